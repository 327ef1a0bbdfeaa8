import json
import logging
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch.demos.boring_classes import BoringModel
from tokenizers import processors

from lit_hf import GenerativeQADataModule, InputError
from lit_hf.batches import PromptBatch
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]


def _data(model: str, rows: Rows, **settings: Any) -> GenerativeQADataModule:  # noqa: ANN401 - any of the class's
    sizes: dict[str, Any] = {"max_length": 64, "doc_stride": 12, "batch_size": 3, **settings}
    data = GenerativeQADataModule(model, val_fraction=0, **sizes)
    return data.with_rows(train=rows, val=rows, predict=rows)


def test_batch__holds_whole_examples_with_all_windows(tiny_t5: str, question_rows: Rows) -> None:
    data = _data(tiny_t5, question_rows, eval_batch_size=5)
    first, second = (cast("PromptBatch", batch) for batch in data.val_dataloader())
    assert first["id"] == ["q0", "q1", "q2", "q3", "q4"]
    assert first["answers"][1] == ["the old mill", "old mill"]
    owners = first["window_of"].tolist()
    assert owners == sorted(owners)
    assert owners.count(4) > 8
    assert second["is_padding"].tolist() == [False] * 3
    tokenizer = data.processor
    taught = [ids[ids >= 0].tolist() for ids in first["labels"]]
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in taught]
    assert {texts[window] for window in range(len(owners)) if owners[window] == 1} == {
        "the old mill",
        "",
    }
    for owner, ids, (start, end) in zip(owners, taught, first["covers"].tolist(), strict=True):
        held = first["answers"][owner][0] in first["context"][owner][start:end]
        assert held is (len(ids) > 1)


def test_rows_to_predict__have_no_labels(tiny_t5: str, question_rows: Rows) -> None:
    data = _data(tiny_t5, [{**row, "answers": 7} for row in question_rows])
    batch = cast("PromptBatch", next(iter(data.predict_dataloader())))
    assert "labels" not in batch
    assert batch["answers"] == [[]] * len(batch["id"])


def test_loss_of_rows__is_told(
    tiny_t5: str, question_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    question_rows[4]["answers"] = ["a ship"]
    data = _data(tiny_t5, question_rows, max_answer_length=6)
    with caplog.at_level(logging.WARNING):
        data.prepare_data()
    told = [text for text in caplog.messages if text.startswith("val: ")]
    assert len(told) == 3
    assert "of 8 answers are longer than `max_answer_length` tokens and cut." in told[0]
    assert told[1].startswith("val: 1 of 8 answers are cut by the windows")
    assert told[2].startswith("val: 2 of 8 questions have no answer")


@pytest.mark.parametrize("answers", [["  "], [], None, "", {"text": [], "answer_start": []}])
def test_empty_answer__is_no_answer(tiny_t5: str, question_rows: Rows, answers: object) -> None:
    row = {**question_rows[0], "answers": answers}
    batch = cast("PromptBatch", next(iter(_data(tiny_t5, [row]).val_dataloader())))
    assert batch["answers"] == [[]]
    assert set(batch["labels"].flatten().tolist()) == {1}


def test_val_sample__is_scored_while_training_and_all_else(
    tiny_t5: str, question_rows: Rows, tmp_path: Path
) -> None:
    """The same questions in every validation, in the order of the rows, drawn by the seed."""

    class Collect(BoringModel):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[list[str]] = []

        def training_step(self, batch: object, batch_idx: int) -> torch.Tensor:
            return cast("torch.Tensor", self.layer(torch.ones(1, 32)).sum())

        def on_validation_epoch_start(self) -> None:
            self.seen.append([])

        def validation_step(self, batch: object, batch_idx: int) -> None:
            self.seen[-1] += cast("PromptBatch", batch)["id"]

    def run(seed: int) -> list[list[str]]:
        trainer = quiet_trainer(
            max_epochs=2,
            num_sanity_val_steps=0,
            enable_checkpointing=False,
            default_root_dir=tmp_path,
        )
        module = Collect()
        data = _data(tiny_t5, question_rows, val_sample=3, seed=seed)
        trainer.fit(module, datamodule=data)
        trainer.validate(module, datamodule=data, verbose=False)
        return module.seen

    first, second, whole = run(seed=0)
    assert len(first) == 3
    assert first == second == sorted(first)
    assert whole == [row["id"] for row in question_rows]
    assert run(seed=0)[0] == first
    assert {tuple(run(seed=seed)[0]) for seed in range(1, 4)} != {tuple(first)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "answer me"}, "`prompt`"),
        ({"max_length": 13}, "`max_length` to be at least 14"),
        ({"doc_stride": -1}, "`doc_stride` to be at least 0"),
        ({"max_answer_length": 1}, "`max_answer_length` to be at least 2"),
        ({"val_sample": 0}, "`val_sample` to be at least 1"),
        ({"max_length": 20}, "the question has more than 7 tokens"),
    ],
)
def test_settings__that_cannot_be_are_refused(
    tiny_t5: str, question_rows: Rows, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _data(tiny_t5, question_rows, **settings).prepare_data()


def test_positions__of_the_model_limit_prompt_and_answer(
    tiny_t5: str, question_rows: Rows, tmp_path: Path
) -> None:
    folder = tmp_path / "bart"
    folder.mkdir()
    for path in Path(tiny_t5).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    config = {"model_type": "bart", "vocab_size": 700, "max_position_embeddings": 60}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="`max_length` to be at most 60"):
        _data(str(folder), question_rows).prepare_data()
    with pytest.raises(InputError, match="`max_answer_length` to be at most 60"):
        _data(str(folder), question_rows, max_length=60, max_answer_length=61).prepare_data()


def test_squad__is_read_as_published(tiny_t5: str, real_data: Path) -> None:
    file = str(real_data / "squad" / "v2.0-dev.json")
    data = GenerativeQADataModule(tiny_t5, val_file=file, eval_batch_size=8, max_length=512)
    batch = cast("PromptBatch", next(iter(data.val_dataloader())))
    assert batch["labels"].shape[0] == batch["input_ids"].shape[0] >= 8
    wanted = json.loads(Path(file).read_text())["data"]
    num_questions = sum(len(p["qas"]) for article in wanted for p in article["paragraphs"])
    assert data.splits["val"].num_rows == num_questions


def test_bart__knows_which_windows_hold_an_answer(tiny_t5: str, question_rows: Rows) -> None:
    """Its empty answer is two tokens, "<s></s>", and no end token alone."""
    data = _data(tiny_t5, question_rows, eval_batch_size=8)
    post = processors.TemplateProcessing(
        single="<pad> $A </s>", special_tokens=[("<pad>", 0), ("</s>", 1)]
    )
    data.processor.backend_tokenizer.post_processor = post
    batch = cast("PromptBatch", next(iter(data.val_dataloader())))
    answered = {row for row in range(8) if batch["answers"][row]}
    assert set(batch["window_of"][batch["holds"]].tolist()) == answered
    empty = batch["labels"][~batch["holds"]]
    assert {tuple(ids[ids >= 0].tolist()) for ids in empty} == {(0, 1)}
    assert int((batch["labels"][batch["holds"]] >= 0).sum(1).min()) > 2


def test_answers__are_cut_at_their_ends_however_the_tokenizer_cuts(
    tiny_t5: str, question_rows: Rows
) -> None:
    question_rows[0]["answers"] = ["Ada sold the old mill by the river in 1921."]
    data = _data(tiny_t5, question_rows[:1], max_answer_length=6)
    data.processor.truncation_side = "left"
    batch = cast("PromptBatch", next(iter(data.val_dataloader())))
    (ids, *_) = batch["labels"][batch["holds"]].tolist()
    assert str(data.processor.decode(ids, skip_special_tokens=True)).startswith("A")
    assert data.processor.truncation_side == "left"


def test_repeated_ids__are_refused_where_answers_are_predicted(
    tiny_t5: str, question_rows: Rows
) -> None:
    data = _data(tiny_t5, [{**row, "id": "same"} for row in question_rows])
    data.val_dataloader()
    with pytest.raises(InputError, match="an id that came before"):
        data.predict_dataloader()


def test_unknown_signs__are_told(
    tiny_t5: str, question_rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    question_rows[0].update(answers=["東京"], context="Ada sold 東京 in 1921.")
    with caplog.at_level(logging.WARNING):
        _data(tiny_t5, question_rows).val_dataloader()
    assert "val: 1 of 8 answers hold signs that the tokenizer does not know." in caplog.messages


@pytest.mark.parametrize("mark", ["", " </s>"])
def test_texts__that_spell_the_end_stay_texts(mark: str, tiny_t5: str) -> None:
    """In question, context and answer; only a prompt of the user's own has real ones."""
    row = {"question": "What does </s> do?", "answers": ["</s> ends <pad> it"]}
    context = f"Boats. {'Ada sold the mill. ' * 9}Here </s> ends <pad> it."
    prompt = f"question: {{question}}{mark} context: {{context}}"
    data = _data(tiny_t5, [{**row, "context": context}], prompt=prompt)
    batch = cast("PromptBatch", next(iter(data.val_dataloader())))
    assert len(batch["input_ids"]) > 2
    for ids, kept in zip(batch["input_ids"], batch["attention_mask"].bool(), strict=True):
        assert ids[kept].tolist().count(1) == (2 if mark else 1)
        assert (int(ids[kept][-1]), ids[kept].tolist().count(0)) == (1, 0)
    (answer, *_) = batch["labels"][batch["holds"]].tolist()
    taught = [token for token in answer if token >= 0]
    assert (taught.index(1), 0 in taught) == (len(taught) - 1, False)
    assert len(taught) > 6
    first, *_, last = batch["covers"].tolist()
    assert (first[0], last[1]) == (0, len(context))
