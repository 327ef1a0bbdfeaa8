import lightning.pytorch as pl

from lit_hf import TextClassificationDataModule
from lit_hf.modules.data_facts import DataFacts
from tests.trainers import quiet_trainer


def trainer_with(data: object) -> pl.Trainer:
    trainer = quiet_trainer()
    trainer.datamodule = data  # type: ignore[attr-defined]  # as `fit` sets it
    return trainer


def test_facts__of_our_data(tiny_model: str, tweet_rows: list[dict[str, object]]) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    facts = DataFacts(trainer_with(data))
    assert (facts.task, facts.model_name) == ("text_classification", tiny_model)
    assert facts.label_names == ["0", "1"]
    assert (facts.problem_type, facts.has_unanswerable) == ("single_label", None)
    assert facts.processor is data.processor
    assert facts.inputs["text_column"] == "text"


def test_facts__of_the_data_of_others_are_not_known() -> None:
    for facts in (DataFacts(None), DataFacts(trainer_with(pl.LightningDataModule()))):
        assert [facts.task, facts.processor, facts.label_names, facts.pixels] == [None] * 4
        assert not facts.has_unanswerable
        assert not facts.answer_lengths
        assert facts.inputs == {}
