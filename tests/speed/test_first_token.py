from pathlib import Path
from typing import cast

from transformers import BertForSequenceClassification

from lit_hf import PruneLastLayer, TextClassificationDataModule, TextClassifier
from lit_hf.batches import TextBatch
from tests.trainers import quiet_trainer


def test_training__computes_one_token_in_the_end_and_leaves_the_model_whole(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, label_names=["0", "1"])
    widths: set[tuple[bool, int]] = set()  # in training or not, and tokens
    bert = cast("BertForSequenceClassification", module.model).bert
    last = bert.get_submodule("encoder.layer.1.output")
    last.register_forward_hook(lambda *given: widths.add((last.training, given[2].shape[1])))
    trainer = quiet_trainer(
        max_epochs=1,
        enable_checkpointing=False,
        default_root_dir=str(tmp_path),
        callbacks=[PruneLastLayer()],
    )
    trainer.fit(module, data)
    assert widths == {(True, 1), (False, 1)}
    widths.clear()
    batch = cast("TextBatch", next(iter(data.train_dataloader())))
    module.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    assert {tokens for _, tokens in widths} == {batch["input_ids"].shape[1]}
