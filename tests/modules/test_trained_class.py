import pytest
from transformers import PreTrainedConfig

from lit_hf import (
    ExtractiveQA,
    GenerativeQA,
    HFModule,
    ImageClassifier,
    InputError,
    TextClassifier,
)
from lit_hf.modules.trained_class import class_taking, settings_of


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("BertForQuestionAnswering", ExtractiveQA),
        ("T5ForConditionalGeneration", GenerativeQA),
        ("ViTForImageClassification", ImageClassifier),
        ("BertForSequenceClassification", TextClassifier),
        ("BackboneWithHead", TextClassifier),
        (None, TextClassifier),
    ],
)
def test_class__is_the_one_that_takes_the_model(
    architecture: str | None, kind: type[HFModule]
) -> None:
    config = PreTrainedConfig(
        architectures=None if architecture is None else [architecture],
        is_encoder_decoder=kind is GenerativeQA,
    )
    assert class_taking(config, "folder") is kind


def test_class_of_the_users_own__goes_first_where_it_says_so_itself() -> None:
    class Musical(TextClassifier):
        @classmethod
        def takes(cls, config: PreTrainedConfig) -> bool:
            return "MusicForSequenceClassification" in (config.architectures or [])

    class Louder(Musical): ...  # leaves it to Musical

    class Drummer(Musical):
        @classmethod
        def takes(cls, config: PreTrainedConfig) -> bool:
            return super().takes(config) and config.num_labels == 7

    music = PreTrainedConfig(architectures=["MusicForSequenceClassification"])
    drums = PreTrainedConfig(architectures=music.architectures)
    drums.num_labels = 7
    texts = PreTrainedConfig(architectures=["BertForSequenceClassification"])
    found = [class_taking(config, "folder") for config in (music, drums, texts)]
    assert found == [Musical, Drummer, TextClassifier]
    assert issubclass(Louder, Musical)


def test_model__that_nothing_takes_is_refused() -> None:
    config = PreTrainedConfig(architectures=["BertForMaskedLM"])
    with pytest.raises(InputError, match=r"folder.*BertForMaskedLM.*text_classification"):
        class_taking(config, "folder")


def test_settings__are_those_that_the_class_takes() -> None:
    known = {"num_best": 3, "max_length": 64, "class": "x", "pretrained": True}
    assert settings_of(ExtractiveQA, known) == {"num_best": 3, "pretrained": True}
