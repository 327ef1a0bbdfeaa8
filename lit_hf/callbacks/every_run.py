"""The callbacks of every run of the command."""

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.confusion import ConfusionMatrixWriter
from lit_hf.callbacks.cpu_speed import CPUSpeed
from lit_hf.callbacks.first_token import FirstTokenOnly
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.signals import StopAtSignal
from lit_hf.callbacks.trained_weights import TrainedWeights

EVERY_RUN = (
    *(LastCheckpoint, ResultsWriter, ConfusionMatrixWriter),
    *(StopAtSignal, TrainedWeights, CPUSpeed, FirstTokenOnly),
)
"""Those that no setting leaves out, beside RunFolder and SameTraining."""
