"""PyTorch Lightning modules around Hugging Face models.

The public names, imported when first touched: `import lit_hf` itself is quick and opens nothing.
"""

from lit_hf.working_folder import leave_working_folder

leave_working_folder()

from importlib import import_module  # noqa: E402 - not from the working folder
from typing import TYPE_CHECKING  # noqa: E402 - not from the working folder

from lit_hf.log_handler import show_log_lines  # noqa: E402 - it imports, too

if TYPE_CHECKING:
    from lit_hf.callbacks.confusion import ConfusionMatrixWriter as ConfusionMatrixWriter
    from lit_hf.callbacks.cpu_speed import CPUSpeed as CPUSpeed
    from lit_hf.callbacks.export import ExportPretrained as ExportPretrained
    from lit_hf.callbacks.first_token import FirstTokenOnly as FirstTokenOnly
    from lit_hf.callbacks.freezing import HeadFirst as HeadFirst
    from lit_hf.callbacks.predictions import PredictionWriter as PredictionWriter
    from lit_hf.callbacks.results import ResultsWriter as ResultsWriter
    from lit_hf.callbacks.run_folder import RunFolder as RunFolder
    from lit_hf.callbacks.same_training import SameTraining as SameTraining
    from lit_hf.callbacks.samples import SampleLogger as SampleLogger
    from lit_hf.data.augmentation import CropAndFlip as CropAndFlip
    from lit_hf.data.augmentation import ImageAugmentation as ImageAugmentation
    from lit_hf.data.augmentation import RandomErasing as RandomErasing
    from lit_hf.data.base import HFDataModule as HFDataModule
    from lit_hf.data.cifar10 import CIFAR10DataModule as CIFAR10DataModule
    from lit_hf.data.extractive_qa import ExtractiveQADataModule as ExtractiveQADataModule
    from lit_hf.data.generative_qa import GenerativeQADataModule as GenerativeQADataModule
    from lit_hf.data.image_classification import (
        ImageClassificationDataModule as ImageClassificationDataModule,
    )
    from lit_hf.data.mixing import CutMix as CutMix
    from lit_hf.data.mixing import ImageMixing as ImageMixing
    from lit_hf.data.mixing import MixUp as MixUp
    from lit_hf.data.policies import RandAugment as RandAugment
    from lit_hf.data.policies import TrivialAugment as TrivialAugment
    from lit_hf.data.text_classification import (
        TextClassificationDataModule as TextClassificationDataModule,
    )
    from lit_hf.data.tweets import TweetDataModule as TweetDataModule
    from lit_hf.errors import InputError as InputError
    from lit_hf.functional.draws import Draws as Draws
    from lit_hf.metrics.answer_score import AnswerScore as AnswerScore
    from lit_hf.modules.base import HFModule as HFModule
    from lit_hf.modules.extractive_qa import ExtractiveQA as ExtractiveQA
    from lit_hf.modules.generative_qa import GenerativeQA as GenerativeQA
    from lit_hf.modules.heads import AttentionHead as AttentionHead
    from lit_hf.modules.heads import ClsHead as ClsHead
    from lit_hf.modules.heads import MaxHead as MaxHead
    from lit_hf.modules.heads import MeanHead as MeanHead
    from lit_hf.modules.heads import PoolingHead as PoolingHead
    from lit_hf.modules.image_classification import ImageClassifier as ImageClassifier
    from lit_hf.modules.text_classification import TextClassifier as TextClassifier
    from lit_hf.predictor import Predictor as Predictor
    from lit_hf.saving import WholeCheckpointIO as WholeCheckpointIO

__version__ = "0.1.0"
show_log_lines()

HOMES = {
    "AnswerScore": "lit_hf.metrics.answer_score",
    "AttentionHead": "lit_hf.modules.heads",
    "CIFAR10DataModule": "lit_hf.data.cifar10",
    "CPUSpeed": "lit_hf.callbacks.cpu_speed",
    "ClsHead": "lit_hf.modules.heads",
    "ConfusionMatrixWriter": "lit_hf.callbacks.confusion",
    "CropAndFlip": "lit_hf.data.augmentation",
    "CutMix": "lit_hf.data.mixing",
    "Draws": "lit_hf.functional.draws",
    "ExportPretrained": "lit_hf.callbacks.export",
    "ExtractiveQA": "lit_hf.modules.extractive_qa",
    "ExtractiveQADataModule": "lit_hf.data.extractive_qa",
    "FirstTokenOnly": "lit_hf.callbacks.first_token",
    "GenerativeQA": "lit_hf.modules.generative_qa",
    "GenerativeQADataModule": "lit_hf.data.generative_qa",
    "HFDataModule": "lit_hf.data.base",
    "HFModule": "lit_hf.modules.base",
    "HeadFirst": "lit_hf.callbacks.freezing",
    "ImageAugmentation": "lit_hf.data.augmentation",
    "ImageClassificationDataModule": "lit_hf.data.image_classification",
    "ImageClassifier": "lit_hf.modules.image_classification",
    "ImageMixing": "lit_hf.data.mixing",
    "InputError": "lit_hf.errors",
    "MaxHead": "lit_hf.modules.heads",
    "MeanHead": "lit_hf.modules.heads",
    "MixUp": "lit_hf.data.mixing",
    "PoolingHead": "lit_hf.modules.heads",
    "PredictionWriter": "lit_hf.callbacks.predictions",
    "Predictor": "lit_hf.predictor",
    "RandAugment": "lit_hf.data.policies",
    "RandomErasing": "lit_hf.data.augmentation",
    "ResultsWriter": "lit_hf.callbacks.results",
    "RunFolder": "lit_hf.callbacks.run_folder",
    "SameTraining": "lit_hf.callbacks.same_training",
    "SampleLogger": "lit_hf.callbacks.samples",
    "TextClassificationDataModule": "lit_hf.data.text_classification",
    "TextClassifier": "lit_hf.modules.text_classification",
    "TrivialAugment": "lit_hf.data.policies",
    "TweetDataModule": "lit_hf.data.tweets",
    "WholeCheckpointIO": "lit_hf.saving",
}
"""The module of each public name."""
__all__ = sorted(HOMES)


def __getattr__(name: str) -> object:
    """Import the module that holds a public name when the name is first used."""
    if name not in HOMES:
        raise AttributeError(f"module 'lit_hf' has no attribute {name!r}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
