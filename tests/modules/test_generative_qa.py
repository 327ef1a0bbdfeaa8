import copy
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch.optim import SGD
from transformers import AutoModelForSeq2SeqLM

from lit_hf import GenerativeQA, GenerativeQADataModule, InputError
from lit_hf.batches import PromptBatch
from tests.trainers import MakeTrainer

Rows = list[dict[str, object]]


def _data(model: str, rows: Rows, **settings: Any) -> GenerativeQADataModule:  # noqa: ANN401 - any of the class's
    sizes: dict[str, Any] = {"max_length": 64, "doc_stride": 8, "batch_size": 4, **settings}
    data = GenerativeQADataModule(model, val_fraction=0, **sizes)
    return data.with_rows(train=rows, val=rows, predict=rows)


def _batch(data: GenerativeQADataModule) -> dict[str, object]:
    return cast("dict[str, object]", next(iter(data.val_dataloader())))


def _sgd(params: Any) -> SGD:  # noqa: ANN401 - parameters or groups
    return SGD(params, lr=0.01)


def test_training__equals_a_loop_by_hand(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    """Twenty steps over the same batches: transformers' own loss, plain SGD."""
    data = _data(tiny_t5, question_rows)
    losses: list[float] = []

    class Told(GenerativeQA):
        def training_step(self, batch: Any, batch_idx: int) -> Any:  # noqa: ANN401 - a step's output
            output = super().training_step(batch, batch_idx)
            losses.append(float(output["loss"].detach()))
            return output

    module = Told(tiny_t5, max_windows=999, optimizer=_sgd, scheduler="constant", warmup_ratio=0)
    make_trainer(max_epochs=10, limit_val_batches=0).fit(module, data)
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5).train()
    optimizer = _sgd(model.parameters())
    loader = _data(tiny_t5, question_rows).train_dataloader()
    wanted = []
    for epoch in range(10):
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # a DistributedSampler
        for batch in loader:
            part = {
                k: cast("dict[str, Any]", batch)[k]
                for k in ("input_ids", "attention_mask", "labels")
            }
            loss = model(**part).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wanted.append(float(loss.detach()))
    assert len(losses) == 20
    assert losses == pytest.approx(wanted, abs=1e-5)
    assert losses[-1] < losses[0]


def _length(module: GenerativeQA) -> int | None:
    return cast("int | None", module.model.generation_config.max_new_tokens)


@pytest.mark.parametrize("is_touched", [False, True])
@pytest.mark.parametrize(("typed", "wanted"), [({}, 60), ({"max_new_tokens": 5}, 5)])
def test_answers__are_as_long_as_those_taught_unless_typed(
    tiny_t5: str,
    question_rows: Rows,
    make_trainer: MakeTrainer,
    tmp_path: Path,
    is_touched: bool,
    typed: dict[str, Any],
    wanted: int,
) -> None:
    module = GenerativeQA(tiny_t5, typed)
    if is_touched:
        assert _length(module) == typed.get("max_new_tokens", 32)
    trainer = make_trainer(max_steps=1)
    trainer.fit(module, _data(tiny_t5, question_rows, max_answer_length=60))
    assert _length(module) == wanted
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    other = _data(tiny_t5, question_rows[:1], max_answer_length=9)
    make_trainer().validate(module, other, verbose=False)
    assert _length(module) == wanted  # what it was taught
    again = GenerativeQA.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    make_trainer().validate(again, other, verbose=False)
    assert _length(again) == wanted
    make_trainer(max_steps=1).fit(again, other)
    assert _length(again) == typed.get("max_new_tokens", 9)


def test_answers__of_a_model_that_was_not_trained_follow_what_is_scored(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    module = GenerativeQA(tiny_t5)
    data = _data(tiny_t5, question_rows[:1], max_answer_length=9)
    make_trainer().validate(module, data, verbose=False)
    assert _length(module) == 9


def test_step__trains_the_windows_with_answers_first(tiny_t5: str, question_rows: Rows) -> None:
    batch = cast("PromptBatch", _batch(_data(tiny_t5, question_rows, eval_batch_size=8)))
    num_held = int(((batch["labels"] >= 0).sum(1) > 1).sum())
    module = GenerativeQA(tiny_t5, max_windows=num_held + 1)
    output = module.step(cast("dict[str, object]", batch), "train")
    windows = output["windows"]
    assert len(windows) == num_held + 1 < len(batch["window_of"])
    assert int(((batch["labels"][windows] >= 0).sum(1) > 1).sum()) == num_held
    assert output["logits"].shape[0] == len(windows)
    assert not output["logits"].requires_grad
    assert len(output["losses"]) == 8


def test_evaluation__does_not_depend_on_batches_and_windows(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    found = []
    for eval_batch_size, max_windows in ((1, 64), (3, 2), (8, 5)):
        module = GenerativeQA(tiny_t5, {"max_new_tokens": 5}, max_windows=max_windows)
        data = _data(tiny_t5, question_rows, eval_batch_size=eval_batch_size)
        (scores,) = make_trainer(precision="64-true").validate(module, data, verbose=False)
        found.append(scores)
    assert found[0] == pytest.approx(found[1], abs=1e-6)
    assert found[0] == pytest.approx(found[2], abs=1e-6)
    assert found[0]["val/num_examples"] == 8
    assert found[0]["val/NoAns_total"] == 2


def test_padding_copies__count_in_nothing(tiny_t5: str, question_rows: Rows) -> None:
    module = GenerativeQA(tiny_t5)
    batch = _batch(_data(tiny_t5, question_rows, eval_batch_size=8))
    copies = torch.tensor([False] * 7 + [True])
    module.step({**batch, "is_padding": copies}, "val")
    scores = module.scores("val")
    module.reset_metrics("val")
    module.step(_batch(_data(tiny_t5, question_rows[:7], eval_batch_size=8)), "val")
    assert scores == module.scores("val")
    assert scores["num_examples"] == 7
    answers = module.predict_step({**batch, "is_padding": copies}, 0)
    assert [answer["id"] for answer in answers] == [f"q{n}" for n in range(7)]


def test_predict__needs_no_answers(tiny_t5: str, question_rows: Rows) -> None:
    module = GenerativeQA(tiny_t5, {"max_new_tokens": 5})
    data = _data(tiny_t5, question_rows, eval_batch_size=8)
    unknown = cast("dict[str, object]", next(iter(data.predict_dataloader())))
    assert module.predict_step(unknown, 0) == module.predict_step(_batch(data), 0)


@pytest.mark.parametrize("stage", ["train", "val"])
def test_samples__show_what_the_model_writes(tiny_t5: str, question_rows: Rows, stage: str) -> None:
    module = GenerativeQA(tiny_t5, {"max_new_tokens": 4})
    batch = _batch(_data(tiny_t5, question_rows, eval_batch_size=8))
    module.train(stage == "train")
    output = module.step(batch, "train" if stage == "train" else "val")
    shown = module.samples(batch, output, [6, 1])
    assert [sample["id"] for sample in shown] == ["q6", "q1"]
    assert [sample["truth"] for sample in shown] == ["(no answer)", "the old mill"]
    assert "[the old mill]" in shown[1]["input"]
    assert shown[1]["loss"] == pytest.approx(float(output["losses"][1]))
    assert all(isinstance(sample["prediction"], str) for sample in shown)
    assert module.samples(batch, output, []) == []
    assert module.model.training is (stage == "train")


def test_samples__of_sharded_weights_need_no_writing(
    tiny_t5: str, question_rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one process cannot run the model alone, the step's own logits are told."""
    module = GenerativeQA(tiny_t5)
    batch = _batch(_data(tiny_t5, question_rows, eval_batch_size=8))
    output = module.step(batch, "train")
    monkeypatch.setattr(module, "_in_step", lambda: True)
    monkeypatch.setattr(module.model, "generate", None)
    monkeypatch.setattr(module, "decode_tokens", lambda ids: f"{len(ids)} tokens")
    samples = module.samples(batch, output, [5, 0])
    questions = cast("PromptBatch", batch)
    for sample, row in zip(samples, (5, 0), strict=True):
        taught = (questions["labels"][questions["window_of"] == row] >= 0).sum(1)
        assert sample["prediction"] == f"{int(taught.max())} tokens"
    assert samples[0]["prediction"] != samples[1]["prediction"]


def test_checkpoint__keeps_generation_and_forgets_the_folder(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """Also tokens that the pretrained folder told, which a config does not hold."""
    folder = tmp_path / "model"
    folder.mkdir()
    for path in Path(tiny_t5).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    said = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**said, "forced_eos_token_id": 1}))
    module = GenerativeQA(str(folder), {"num_beams": 2, "max_new_tokens": 40})
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, _data(str(folder), question_rows))
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    wanted = module.model.generation_config.to_dict()
    for path in folder.iterdir():
        path.unlink()
    again = GenerativeQA.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.model.generation_config.to_dict() == wanted
    assert (wanted["num_beams"], wanted["forced_eos_token_id"]) == (2, 1)
    other = GenerativeQA.load_from_checkpoint(
        tmp_path / "a.ckpt", weights_only=True, generation={"num_beams": 5}
    )
    assert other.model.generation_config.num_beams == 5
    assert other.model.generation_config.forced_eos_token_id == 1
    assert other.model.generation_config.max_new_tokens == 40


def test_module__pickles_and_copies(tiny_t5: str) -> None:
    module = GenerativeQA(tiny_t5)
    assert copy.deepcopy(module).generation == module.generation


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_windows": 0}, "`max_windows` to be at least 1"),
        ({"warmup_ratio": 2.0}, "`warmup_ratio`"),
        ({"generation": {"num_return_sequences": 2}}, "cannot be set"),
    ],
)
def test_settings__that_cannot_be_are_refused(
    tiny_t5: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        GenerativeQA(tiny_t5, **settings).configure_model()


def test_model__that_only_reads_is_refused(tiny_model: str) -> None:
    with pytest.raises(InputError, match="has no decoder"):
        GenerativeQA(tiny_model).configure_model()


def test_float16__is_refused_before_training(
    tiny_t5: str, question_rows: Rows, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_epochs=1, precision="16-true")
    with pytest.raises(InputError, match="bfloat16"):
        trainer.fit(GenerativeQA(tiny_t5), _data(tiny_t5, question_rows))
