import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from lit_hf import InputError, SampleLogger, TextClassificationDataModule, TextClassifier
from lit_hf.batches import LossTerms
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]
KEYS = {
    *("panel", "step", "epoch"),
    *("id", "input", "prediction", "probability", "truth", "correct", "loss"),
}
HOSTILE = [
    "[bold]x[/bold] [link=http://e.vil]here[/link]",
    "\x1b[31mred\x1b[0m \x1b]8;;http://e.vil\x07link\x1b]8;;\x07",
    "abc\u202efdp.exe",
    "a | b\nnew row | <script>alert(1)</script> ![i](http://e.vil)",
]


def _lines(folder: Path, panel: str | None = None) -> Rows:
    text = (folder / "samples.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    return [row for row in rows if panel in (None, row["panel"])]


def _panels(folder: Path, panel: str) -> list[Rows]:
    """The panels of a kind, in order."""
    found: dict[object, Rows] = {}
    for row in _lines(folder, panel):
        found.setdefault(row["step"], []).append(row)
    return list(found.values())


class Watch(Callback):
    """Counts the runs of the model, and keeps what each training batch gave."""

    def __init__(self) -> None:
        self.num_forwards = 0
        self.batches: list[tuple[int, list[str], torch.Tensor]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        model = pl_module.model
        assert isinstance(model, torch.nn.Module)
        model.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.num_forwards += 1

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        assert isinstance(outputs, dict)
        assert isinstance(batch, dict)
        self.batches.append((trainer.global_step, batch["id"], outputs["logits"]))


class Swing(Callback):
    """Makes the model answer "no" in the first epoch and "yes" in later ones."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TextClassifier)
        bias = torch.tensor([9.0, 0.0] if trainer.current_epoch == 0 else [0.0, 9.0])
        with torch.no_grad():
            pl_module.model.get_parameter("classifier.bias").copy_(bias)


def test_train_panel__comes_from_the_steps_own_logits(tmp_path: Path, fit: Fit) -> None:
    watch = Watch()
    fit([SampleLogger(every_n_steps=3, num_samples=2), watch], max_epochs=2)
    assert watch.num_forwards == 2 * (4 + 1)  # two epochs of four batches and one of validation
    rows = _lines(tmp_path)
    assert all(row.keys() == KEYS for row in rows)
    assert {row["panel"] for row in rows} == {"train", "fixed", "worst"}
    panels = _panels(tmp_path, "train")
    assert [panel[0]["step"] for panel in panels] == [3, 6]
    assert [panel[0]["epoch"] for panel in panels] == [0, 1]
    for panel in panels:
        ids, logits = next(
            (ids, logits) for step, ids, logits in watch.batches if step == panel[0]["step"]
        )
        assert [row["id"] for row in panel] == ids[:2]
        probabilities = logits[:2].softmax(1).amax(1).tolist()
        assert [row["probability"] for row in panel] == pytest.approx(probabilities)
        answers = [["no", "yes"][c] for c in logits[:2].argmax(1).tolist()]
        assert [row["prediction"] for row in panel] == answers
        assert [row["correct"] for row in panel] == [r["truth"] == r["prediction"] for r in panel]


def test_train_panel__small_batches_fill_it_with_the_last_ones(tmp_path: Path, fit: Fit) -> None:
    watch = Watch()
    fit([SampleLogger(every_n_steps=4, num_samples=5), watch], data={"batch_size": 2})
    ids = [ids for _, ids, _ in watch.batches]
    first, second = _panels(tmp_path, "train")
    assert [row["id"] for row in first] == [*ids[3], *ids[2], ids[1][0]]
    assert [row["id"] for row in second] == [*ids[7], *ids[6], ids[5][0]]


def test_train_panel__shows_no_row_twice(tmp_path: Path, fit: Fit, tweet_rows: Rows) -> None:
    logger = SampleLogger(every_n_steps=1, num_samples=9)
    fit([logger], data={"train": tweet_rows[:3]}, max_epochs=3)
    assert [sorted(r["id"] for r in panel) for panel in _panels(tmp_path, "train")] == [
        ["0", "1", "2"]
    ] * 3


def test_train_panel__once_a_step_where_gradients_are_accumulated(tmp_path: Path, fit: Fit) -> None:
    watch = Watch()
    logger = SampleLogger(every_n_steps=1, num_samples=4)
    fit([logger, watch], accumulate_grad_batches=2)
    panels = _panels(tmp_path, "train")
    assert [(len(panel), panel[0]["step"]) for panel in panels] == [(4, 1), (4, 2)]
    assert [row["id"] for row in panels[1]] == watch.batches[3][1]


def test_fixed_panel__same_examples_and_what_was_said_before(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    fit([SampleLogger(every_n_steps=0, num_samples=4), Swing()], max_epochs=3)
    panels = _panels(tmp_path, "fixed")
    drawn = sorted(map(str, range(16)), key=lambda name: zlib.crc32(name.encode()))[:4]
    assert [[row["id"] for row in panel] for panel in panels] == [drawn] * 3
    shown = capsys.readouterr().out.split("validation, the same examples each time")[1:]
    fixed = [text.split("the largest losses")[0] for text in shown]
    assert [text.count("no → yes (100%)") for text in fixed] == [0, 4, 0]
    assert "training examples" not in shown[0]  # every_n_steps=0


def test_fixed_panel__of_other_rows_does_not_show_what_was_said_of_the_first(
    fit: Fit, tweet_rows: Rows, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer, module, data = fit([SampleLogger(every_n_steps=0, num_samples=4)])
    (bias,) = [value for name, value in module.named_parameters() if "classifier.bias" in name]
    for push in (100.0, -100.0):  # the answer is another one at each validation
        bias.data.copy_(torch.tensor([push, -push]))
        trainer.validate(module, data.with_rows(val=tweet_rows[::-1]), verbose=False)
    assert "→" not in capsys.readouterr().out


def test_worst_panel__has_the_largest_losses_of_all_rows(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    logger = SampleLogger(every_n_steps=0, num_samples=5)
    _, module, data = fit([logger], data={"eval_batch_size": 3})
    module.eval()
    losses: dict[str, float] = {}
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    with torch.no_grad():
        for batch in loader:
            values = torch.nn.functional.cross_entropy(
                module(batch).logits, torch.as_tensor(batch["labels"]), reduction="none"
            )
            losses |= dict(zip(map(str, batch["id"]), values.tolist(), strict=True))
    assert len(losses) == len(tweet_rows)
    worst = sorted(losses, key=lambda name: -losses[name])[:5]
    shown = _lines(tmp_path, "worst")
    assert [row["loss"] for row in shown] == pytest.approx([losses[n] for n in worst], abs=1e-5)
    assert {row["id"] for row in shown} == set(worst)


def test_panels__not_of_the_sanity_check_and_not_without_samples(tmp_path: Path, fit: Fit) -> None:
    fit([SampleLogger(0, 2)], folder=tmp_path / "a", num_sanity_val_steps=2)
    assert {row["step"] for row in _lines(tmp_path / "a")} == {4}
    fit([SampleLogger(1, 0)], folder=tmp_path / "b", num_sanity_val_steps=2)
    assert not (tmp_path / "b" / "samples.jsonl").exists()


def test_panels__where_losses_are_nan_or_ids_repeated(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    rows = [{**row, "id": "the same"} for row in tweet_rows[:6]]
    rows[3]["text"] = rows[0]["text"]

    class Broken(TextClassifier):
        def loss_terms(self, batch: Any, output: Any, loss: Any) -> LossTerms:  # noqa: ANN401 - as above
            terms = super().loss_terms(batch, output, loss)
            if self.training or batch["labels"][0] == 0:
                return terms
            return terms._replace(numerators=terms.numerators * float("nan"))

    fit(
        [SampleLogger(every_n_steps=1, num_samples=3)],
        data={"train": rows, "val": rows, "id_column": "id", "eval_batch_size": 1},
        kind=Broken,
    )
    worst = _lines(tmp_path, "worst")
    assert [row["loss"] for row in worst] == [None] * 3  # NaN is worse than any number
    assert [row["truth"] for row in worst] == ["yes"] * 3
    assert len(_lines(tmp_path, "fixed")) == 3


def test_panels__of_batches_without_names_and_numbers(
    tmp_path: Path, fit: Fit, tiny_model: str, tweet_rows: Rows
) -> None:
    _, module, data = fit(folder=tmp_path / "fit")
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    names = ("input_ids", "attention_mask", "labels")
    batches = [{name: batch[name] for name in names} for batch in loader] * 2  # 16 rows each
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[SampleLogger(num_samples=20)])
    loader = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list will do
    trainer.validate(module, loader, verbose=False)
    for panel in ("fixed", "worst"):
        rows = _lines(tmp_path, panel)
        assert len(rows) == 20
        assert rows[0]["step"] is rows[0]["epoch"] is None  # no training step was taken
    assert {row["input"] for row in rows} <= {str(row["text"]) for row in tweet_rows}


def test_input__is_what_the_model_saw_of_a_pair(tmp_path: Path, fit: Fit) -> None:
    rows = [
        {"a": "a fire in town", "b": "people leave", "label": 1},
        {"a": "a song", "b": "it is fun, " * 9, "label": 0},
    ]
    data = {"train": rows, "val": rows, "text_column": "a", "pair_column": "b", "max_length": 12}
    fit([SampleLogger(every_n_steps=0)], data=data)
    shown = {row["id"]: row["input"] for row in _lines(tmp_path, "worst")}
    assert shown["0"] == "a fire in town ‖ people leave"
    assert shown["1"] == "a song ‖ it is fun…"  # the rest was cut


def test_input__is_the_text_of_the_user_in_every_panel(tmp_path: Path, fit: Fit) -> None:
    texts = ["불이야! 🔥 https://t.co/AbC", "All  QUIET"]
    rows = [{"text": text, "label": i} for i, text in enumerate(texts)]
    fit([SampleLogger(every_n_steps=1)], data={"train": rows, "val": rows})
    for panel in ("train", "fixed", "worst"):
        assert {row["input"] for row in _lines(tmp_path, panel)} == set(texts)


def test_setup__refuses_other_modules_and_negative_numbers(tmp_path: Path) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        callbacks=[SampleLogger()],
    )
    with pytest.raises(InputError, match="BoringModel is no `HFModule`"):
        trainer.fit(BoringModel())
    with pytest.raises(InputError, match="`num_samples` to be at least 0, but got -1"):
        SampleLogger(num_samples=-1)


def test_console__hostile_text_is_harmless(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"id": text, "text": text + " word " * 2000, "label": f"{text}{i}"}
        for i, text in enumerate(HOSTILE)
    ]
    names = [str(row["label"]).strip() for row in rows]
    data = {"train": rows, "val": rows, "label_names": names, "id_column": "id"}
    logger = TensorBoardLogger(tmp_path, name="tensorboard")
    fit([SampleLogger(1, 4)], data=data, logger=logger)
    shown = capsys.readouterr().out
    raw = (tmp_path / "samples.jsonl").read_bytes()
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    stored = b"".join(
        event.tensor_proto.string_val[0]
        for name in ("train", "fixed", "worst")
        for event in events.Tensors(f"samples/{name}/text_summary")
    )
    for text in (shown.encode(), raw, stored):
        assert b"\x1b" not in text
        assert b"\x07" not in text
        assert "\u202e".encode() not in text
    assert "[bold]" in shown.replace("\n", "")
    assert b"<script>" not in stored
    assert not re.search(rb"(?<!\\)[\[\]!`*_]", stored)
    assert b"://" not in stored
    assert stored.count(b"\n") == 3 * (1 + 4)  # a header, a line and four rows in each table
    assert {row["id"] for row in _lines(tmp_path)} == {row["id"] for row in rows}


def test_tensorboard__gets_each_panel_as_text(tmp_path: Path, fit: Fit) -> None:
    logger = TensorBoardLogger(tmp_path, name="tensorboard")
    fit([SampleLogger(every_n_steps=2, num_samples=2)], logger=logger, max_epochs=2)
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    found = {
        name: [(e.step, e.tensor_proto.string_val[0].decode()) for e in events.Tensors(name)]
        for name in events.Tags()["tensors"]
    }
    assert found.keys() == {f"samples/{name}/text_summary" for name in ("train", "fixed", "worst")}
    assert [step for step, _ in found["samples/train/text_summary"]] == [2, 4, 6, 8]
    step, text = found["samples/fixed/text_summary"][1]
    row = _panels(tmp_path, "fixed")[1][0]
    assert step == row["step"] == 8
    lines = text.splitlines()
    assert lines[0] == "| id | input | prediction | probability | truth | loss |"
    assert lines[1] == "| --- | --- | --- | --- | --- | --- |"
    assert lines[2] == (
        f"| {row['id']} | {row['input']} | {row['prediction']} | {row['probability']:.3f} | "
        f"{row['truth']} | {row['loss']:.3f} |"
    )
    assert len(lines) == 4


def test_two_processes__share_the_panels(
    two_processes: Path, tiny_model: str, ddp_rows: Rows, tmp_path: Path
) -> None:
    folder = two_processes / "fit"
    names = {row["id"] for row in ddp_rows[:5]}
    for panel in ("fixed", "worst"):
        for rows in _panels(folder, panel):
            assert len(rows) == 5  # each row once: no padding copy, no row of one process only
            assert {row["id"] for row in rows} == names
    shown = (two_processes / "out").read_text(encoding="utf-8")
    assert shown.count("validation, the same examples each time") == 2 + 1
    assert shown.count("validation, the largest losses") == 2 + 1
    assert shown.count("training examples") == len(_panels(folder, "train")) == 4
    module = TextClassifier.load_from_checkpoint(
        (two_processes / "checkpoint").read_text(), weights_only=True
    )
    data = TextClassificationDataModule(
        tiny_model, id_column="id", label_names=["no", "yes"], eval_batch_size=1
    ).with_rows(val=ddp_rows[:5])
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[SampleLogger(num_samples=2)])
    trainer.validate(module, data, verbose=False)
    alone, shared = _lines(tmp_path), _lines(two_processes / "validate")
    assert len(alone) == 4
    for one, two in zip(alone, shared, strict=True):
        numbers = ("probability", "loss")
        assert {**one, **dict.fromkeys(numbers)} == {**two, **dict.fromkeys(numbers)}
        assert all(math.isclose(one[name], two[name], rel_tol=1e-5) for name in numbers)


class LossOnly(TextClassifier):
    """Returns a plain loss, as Lightning allows."""

    def training_step(  # type: ignore[override]  # Lightning takes a loss alone
        self, batch: Mapping[str, object], batch_idx: int
    ) -> torch.Tensor:
        return super().training_step(batch, batch_idx)["loss"]


def test_training_step__that_returns_the_loss_alone_trains(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit([SampleLogger(every_n_steps=1, num_samples=2)], kind=LossOnly)
    assert caplog.text.count("`training_step` returns no step output") == 1
    assert '"panel": "fixed"' in (tmp_path / "samples.jsonl").read_text(encoding="utf-8")
