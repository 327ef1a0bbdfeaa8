from types import SimpleNamespace
from typing import Any

from transformers import BertConfig

from lit_hf import TextClassifier
from lit_hf.modules.folder_weights import exported_settings, folder_of, is_export_of


class _Mine(TextClassifier):
    pass


def _config(**about: object) -> BertConfig:
    params: dict[str, Any] = {"translation": {"prefix": "x"}, "text_classification": about}
    config = BertConfig()
    config.task_specific_params = params
    return config


def test_settings__are_those_of_an_export_alone() -> None:
    assert exported_settings(BertConfig()) is None
    assert exported_settings(_config(max_length=3)) is None  # written by others
    known = exported_settings(_config(**{"class": "mine.Mine", "max_length": 3}))
    assert known == {"class": "mine.Mine", "max_length": 3}


def test_export__is_of_the_class_that_made_it_and_of_those_above() -> None:
    base = "lit_hf.modules.text_classification.TextClassifier"
    assert is_export_of(TextClassifier, _config(**{"class": base}))
    assert is_export_of(_Mine, _config(**{"class": base}))
    assert not is_export_of(TextClassifier, _config(**{"class": f"{__name__}._Mine"}))
    assert is_export_of(_Mine, _config(**{"class": f"{__name__}._Mine"}))


def test_folder__is_known_until_a_training_or_a_checkpoint_gives_the_weights() -> None:
    module, trainer = TextClassifier("some/model"), SimpleNamespace(ckpt_path=None)
    asked: Any = trainer
    assert folder_of(asked, module) == "some/model"
    assert folder_of(asked, TextClassifier("some/model", pretrained=False)) is None
    trainer.ckpt_path = "x.ckpt"
    assert folder_of(asked, module) is None
    trainer.ckpt_path = None
    module.weights_step.trained = 3
    assert folder_of(asked, module) is None
