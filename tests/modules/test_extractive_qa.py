import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from torch.optim import AdamW
from transformers import AutoModelForQuestionAnswering

from lit_hf import (
    ExtractiveQA,
    ExtractiveQADataModule,
    PredictionWriter,
)
from lit_hf.batches import SpanBatch, SpanOutput
from lit_hf.callbacks.model_folder import export_checkpoint
from lit_hf.modules.losses import span_terms
from tests.official_squad import evaluate
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
MakeTrainer = Callable[..., pl.Trainer]


def _data(model: str, rows: Rows, eval_batch_size: int = 32) -> ExtractiveQADataModule:
    data = ExtractiveQADataModule(
        model,
        max_length=64,
        doc_stride=16,
        batch_size=4,
        eval_batch_size=eval_batch_size,
        val_fraction=0,
    )
    return data.with_rows(train=rows, val=rows, predict=rows)


def _batch(model: str, rows: Rows) -> dict[str, Any]:
    return dict(next(iter(_data(model, rows).val_dataloader())))


def _module(model: str, **settings: Any) -> ExtractiveQA:  # noqa: ANN401 - of the module
    torch.manual_seed(0)
    overrides: dict[str, Any] = {"initializer_range": 0.4}  # each token has an answer of its own
    module = ExtractiveQA(model, pretrained=False, config_overrides=overrides, **settings)
    module.train(False)
    return module


# The loss.


def test_loss__of_windows_of_one_length_is_that_of_transformers(
    tiny_model: str, question_rows: Rows
) -> None:
    module = _module(tiny_model)
    batch = _batch(tiny_model, question_rows[:1])
    auto = AutoModelForQuestionAnswering
    plain = auto.from_config(module.model.config)  # type: ignore[no-untyped-call]  # has no types
    plain.load_state_dict(module.model.state_dict())
    plain.train(False)
    first = {name: batch[name][:1] for name in ("input_ids", "attention_mask", "token_type_ids")}
    wanted = plain(
        **first, start_positions=batch["first_token"][:1], end_positions=batch["last_token"][:1]
    )
    for name in ("window_of", "offsets", "first_token", "last_token", "no_answer_token"):
        first[name] = batch[name][:1]
    output = module.step({**batch, **first}, "train")
    assert output["loss"].item() == pytest.approx(wanted.loss.item())
    assert torch.allclose(output["start_logits"], wanted.start_logits, atol=1e-6)


def test_empty_windows__can_be_left_out_of_the_loss(tiny_model: str, question_rows: Rows) -> None:
    rows = [question_rows[5], question_rows[7]]  # long contexts, the second without answer
    batch = _batch(tiny_model, rows)
    held = batch["first_token"] != batch["no_answer_token"]
    is_second = batch["window_of"] == 1
    assert held.sum() < (~is_second).sum()
    module = _module(tiny_model, empty_window_weight=0.0)
    output = module.step(batch, "train")
    questions, logits = cast("SpanBatch", batch), cast("SpanOutput", output)
    losses = span_terms(None, questions, logits, empty_weight=1.0).numerators
    kept = held | is_second  # an unanswerable question keeps its windows
    assert output["loss"].item() == pytest.approx(losses[kept].mean().item())
    assert float(output["losses"][0]) == pytest.approx(losses[held].mean().item(), rel=1e-5)


# Windows beyond what is run at once.


def test_evaluation__in_several_passes_gives_the_same(tiny_model: str, question_rows: Rows) -> None:
    batch = _batch(tiny_model, question_rows)
    module = _module(tiny_model)
    whole = module.run(cast("SpanBatch", batch), "val")
    module.max_windows = 2
    parts = module.run(cast("SpanBatch", batch), "val")
    assert len(parts["windows"]) == len(batch["window_of"]) > 8
    assert torch.allclose(parts["start_logits"], whole["start_logits"], atol=1e-5)


# Scores.


def _scored(module: ExtractiveQA, data: ExtractiveQADataModule, folder: Path) -> dict[str, float]:
    trainer = quiet_trainer(default_root_dir=folder, callbacks=[PredictionWriter()])
    (scores,) = trainer.validate(module, data, verbose=False)
    trainer.predict(module, data, return_predictions=False)
    return {name.removeprefix("val/"): value for name, value in scores.items()}


@pytest.mark.parametrize("threshold", [None, -0.4])
def test_scores__are_those_of_the_official_rules_for_every_batch_size(
    tiny_model: str, question_rows: Rows, tmp_path: Path, threshold: float | None
) -> None:
    module = _module(tiny_model, no_answer_threshold=threshold, max_answer_length=4)
    found = [
        _scored(module, _data(tiny_model, question_rows, size), tmp_path) for size in (1, 7, 32)
    ]
    predictions = json.loads((tmp_path / "predictions.json").read_text(encoding="utf-8"))
    lines = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == list(predictions) == [f"q{n}" for n in range(8)]
    golds = {str(row["id"]): cast("list[str]", row["answers"]) for row in question_rows}
    wanted = evaluate(predictions, golds)
    for scores in found:
        assert scores["exact_match"] == pytest.approx(wanted["exact"], abs=1e-6)
        assert scores["f1"] == pytest.approx(wanted["f1"], abs=1e-6)
        assert scores["HasAns_f1"] == pytest.approx(wanted["HasAns_f1"], abs=1e-6)
        assert scores["NoAns_exact"] == pytest.approx(wanted["NoAns_exact"], abs=1e-6)
        assert scores["num_examples"] == 8
        assert scores["loss"] == pytest.approx(found[0]["loss"], rel=1e-5)
    if threshold is None:
        return
    spans = {row["id"]: row["n_best"][0]["text"] for row in rows}
    margins = {row["id"]: row["margin"] for row in rows}
    official = evaluate(spans, golds, margins, threshold)
    for name in ("best_f1", "best_f1_thresh", "best_exact"):
        assert found[0][name] == pytest.approx(official[name], abs=1e-4)


def test_threshold__found_in_training_is_kept_and_used(
    tiny_model: str, question_rows: Rows, tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    module = _module(
        tiny_model, no_answer_threshold=0.0, optimizer=lambda params: AdamW(params, lr=1e-3)
    )
    trainer = make_trainer(max_epochs=1, log_every_n_steps=1)
    data = _data(tiny_model, question_rows)
    module.train(True)
    trainer.fit(module, data)
    found = trainer.callback_metrics["val/best_f1_thresh"]
    assert module.threshold == float(found) != 0.0
    best = float(trainer.callback_metrics["val/best_f1"])
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    again = ExtractiveQA.load_from_checkpoint(tmp_path / "x.ckpt", weights_only=True)
    assert again.settings()["no_answer_threshold"] == float(found)
    (scores,) = make_trainer().validate(again, data, verbose=False)
    assert scores["val/f1"] == pytest.approx(best)
    for given, num_answered in ((1e5, 8), (-1e5, 0)):  # one that is given later goes first
        other = ExtractiveQA.load_from_checkpoint(
            tmp_path / "x.ckpt", weights_only=True, no_answer_threshold=given
        )
        assert other.settings()["no_answer_threshold"] == given
        trainer = make_trainer()
        batches = trainer.predict(
            _module(tiny_model, no_answer_threshold=given),
            data,
            ckpt_path=str(tmp_path / "x.ckpt"),
            weights_only=True,
        )
        rows = [row for batch in batches or [] for row in cast("Rows", batch)]
        assert sum(row["prediction"] != "" for row in rows) == num_answered


@pytest.mark.parametrize(
    ("trained", "given", "used"),
    [(0.0, 0.0, 1e5), (0.0, None, 1e5), (0.0, -1e5, -1e5), (0.5, 0.5, 1e5), (0.5, 0.0, 0.0)],
)
def test_threshold__of_an_export_is_used_with_the_recipe_of_its_training(
    trained: float,
    given: float | None,
    used: float,
    tiny_model: str,
    question_rows: Rows,
    tmp_path: Path,
    make_trainer: MakeTrainer,
) -> None:
    module = _module(tiny_model, no_answer_threshold=trained)
    data = _data(tiny_model, question_rows)
    trainer = make_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(module, data)
    module.best_threshold.value = 1e5  # as if a validation had found it
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    folder = str(export_checkpoint(tmp_path / "x.ckpt", tmp_path / "exported"))
    asked, trainer = ExtractiveQA(folder, no_answer_threshold=given), make_trainer()
    batches = trainer.predict(asked, data) or []
    assert asked.threshold == used
    rows = [row for batch in batches for row in cast("Rows", batch)]
    assert sum(row["prediction"] != "" for row in rows) in {1e5: (8,), -1e5: (0,)}.get(
        used, range(9)
    )
    (scores,) = trainer.validate(asked, data, verbose=False)
    assert asked.threshold == used
    assert scores["val/f1"] <= scores["val/best_f1"] + 1e-6


# Answers and samples.


def test_unanswerable_questions__that_would_all_be_answered_are_told(
    tiny_model: str,
    question_rows: Rows,
    make_trainer: MakeTrainer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "lit_hf"):
        make_trainer().validate(
            _module(tiny_model), _data(tiny_model, question_rows), verbose=False
        )
    assert "set `no_answer_threshold: 0`" in caplog.text
