import json
from pathlib import Path
from typing import Any, cast

import pytest
from torch.optim import SGD
from transformers import AutoModelForSeq2SeqLM

from lit_hf import GenerativeQA, GenerativeQADataModule
from tests.trainers import MakeTrainer

Rows = list[dict[str, object]]


def _data(model: str, rows: Rows, **settings: Any) -> GenerativeQADataModule:  # noqa: ANN401 - any of the class's
    sizes: dict[str, Any] = {"max_length": 64, "doc_stride": 8, "batch_size": 4, **settings}
    data = GenerativeQADataModule(model, val_fraction=0, **sizes)
    return data.with_rows(train=rows, val=rows, predict=rows)


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
