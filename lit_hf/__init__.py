"""PyTorch Lightning modules around Hugging Face models.

The public names, imported when first touched: `import lit_hf` itself is quick and opens nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lit_hf.log_handler import show_log_lines

if TYPE_CHECKING:
    from lit_hf.callbacks.confusion import ConfusionMatrixWriter as ConfusionMatrixWriter
    from lit_hf.callbacks.export import ExportPretrained as ExportPretrained
    from lit_hf.callbacks.freeze_backbone import FreezeBackbone as FreezeBackbone
    from lit_hf.callbacks.predictions import PredictionWriter as PredictionWriter
    from lit_hf.callbacks.results import ResultsWriter as ResultsWriter
    from lit_hf.callbacks.resume_guard import ResumeGuard as ResumeGuard
    from lit_hf.callbacks.run_dir_lock import RunDirLock as RunDirLock
    from lit_hf.callbacks.samples import SampleLogger as SampleLogger
    from lit_hf.checkpointing.checkpoint_io import AtomicCheckpointIO as AtomicCheckpointIO
    from lit_hf.data.augmentation.basic import CropAndFlip as CropAndFlip
    from lit_hf.data.augmentation.basic import ImageAugmentation as ImageAugmentation
    from lit_hf.data.augmentation.basic import RandomErasing as RandomErasing
    from lit_hf.data.augmentation.mix import CutMix as CutMix
    from lit_hf.data.augmentation.mix import ImageMixing as ImageMixing
    from lit_hf.data.augmentation.mix import MixUp as MixUp
    from lit_hf.data.augmentation.policies import RandAugment as RandAugment
    from lit_hf.data.augmentation.policies import TrivialAugment as TrivialAugment
    from lit_hf.data.base import HFDataModule as HFDataModule
    from lit_hf.data.cifar10 import CIFAR10DataModule as CIFAR10DataModule
    from lit_hf.data.extractive_qa import ExtractiveQADataModule as ExtractiveQADataModule
    from lit_hf.data.generative_qa import GenerativeQADataModule as GenerativeQADataModule
    from lit_hf.data.image_classification import (
        ImageClassificationDataModule as ImageClassificationDataModule,
    )
    from lit_hf.data.text_classification import (
        TextClassificationDataModule as TextClassificationDataModule,
    )
    from lit_hf.data.tweets import TweetDataModule as TweetDataModule
    from lit_hf.errors import InputError as InputError
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
    from lit_hf.speed.callback import CPUSpeed as CPUSpeed
    from lit_hf.speed.callback import PruneLastLayer as PruneLastLayer

__version__ = "0.1.0"
show_log_lines()

HOMES = {
    "AnswerScore": "lit_hf.metrics.answer_score",
    "AttentionHead": "lit_hf.modules.heads",
    "CIFAR10DataModule": "lit_hf.data.cifar10",
    "CPUSpeed": "lit_hf.speed.callback",
    "ClsHead": "lit_hf.modules.heads",
    "ConfusionMatrixWriter": "lit_hf.callbacks.confusion",
    "CropAndFlip": "lit_hf.data.augmentation.basic",
    "CutMix": "lit_hf.data.augmentation.mix",
    "ExportPretrained": "lit_hf.callbacks.export",
    "ExtractiveQA": "lit_hf.modules.extractive_qa",
    "ExtractiveQADataModule": "lit_hf.data.extractive_qa",
    "PruneLastLayer": "lit_hf.speed.callback",
    "GenerativeQA": "lit_hf.modules.generative_qa",
    "GenerativeQADataModule": "lit_hf.data.generative_qa",
    "HFDataModule": "lit_hf.data.base",
    "HFModule": "lit_hf.modules.base",
    "FreezeBackbone": "lit_hf.callbacks.freeze_backbone",
    "ImageAugmentation": "lit_hf.data.augmentation.basic",
    "ImageClassificationDataModule": "lit_hf.data.image_classification",
    "ImageClassifier": "lit_hf.modules.image_classification",
    "ImageMixing": "lit_hf.data.augmentation.mix",
    "InputError": "lit_hf.errors",
    "MaxHead": "lit_hf.modules.heads",
    "MeanHead": "lit_hf.modules.heads",
    "MixUp": "lit_hf.data.augmentation.mix",
    "PoolingHead": "lit_hf.modules.heads",
    "PredictionWriter": "lit_hf.callbacks.predictions",
    "Predictor": "lit_hf.predictor",
    "RandAugment": "lit_hf.data.augmentation.policies",
    "RandomErasing": "lit_hf.data.augmentation.basic",
    "ResultsWriter": "lit_hf.callbacks.results",
    "RunDirLock": "lit_hf.callbacks.run_dir_lock",
    "ResumeGuard": "lit_hf.callbacks.resume_guard",
    "SampleLogger": "lit_hf.callbacks.samples",
    "TextClassificationDataModule": "lit_hf.data.text_classification",
    "TextClassifier": "lit_hf.modules.text_classification",
    "TrivialAugment": "lit_hf.data.augmentation.policies",
    "TweetDataModule": "lit_hf.data.tweets",
    "AtomicCheckpointIO": "lit_hf.checkpointing.checkpoint_io",
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
