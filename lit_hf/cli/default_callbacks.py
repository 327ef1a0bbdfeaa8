"""The callbacks of every run of the command."""

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.confusion import ConfusionMatrixWriter
from lit_hf.callbacks.graceful_shutdown import GracefulShutdown
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.trained_weights import TrainedWeights
from lit_hf.speed.callback import CPUSpeed, PruneLastLayer

EVERY_RUN = (
    *(LastCheckpoint, ResultsWriter, ConfusionMatrixWriter),
    *(GracefulShutdown, TrainedWeights, CPUSpeed, PruneLastLayer),
)
"""Those that no setting leaves out, beside RunDirLock and ResumeGuard."""
