import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.demos.boring_classes import BoringModel
from torch.utils.data import DataLoader

from lit_hf import InputError, SampleLogger, TextClassificationDataModule, TextClassifier
from lit_hf.batches import LossTerms
from tests.trainers import quiet_trainer

Rows = list[dict[str, Any]]
Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def _panels(folder: Path, panel: str) -> list[Rows]:
    """The panels of a kind, in order."""
    text = (folder / "samples.jsonl").read_text(encoding="utf-8")
    found: dict[object, Rows] = {}
    for row in (json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()):
        if row["panel"] == panel:
            found.setdefault(row["step"], []).append(row)
    return list(found.values())


class Watch(Callback):
    """Counts the runs of the model, and keeps what each training batch gave."""

    def __init__(self) -> None:
        self.num_forwards = 0
        self.batches: list[tuple[int, list[str], torch.Tensor]] = []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TextClassifier)
        pl_module.model.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.num_forwards += 1

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - of a step
        batch: Any,  # noqa: ANN401 - of the task
        batch_idx: int,
    ) -> None:
        self.batches.append((trainer.global_step, batch["id"], outputs["logits"]))


def test_train_panel__comes_from_the_steps_own_logits(tmp_path: Path, fit: Fit) -> None:
    watch = Watch()
    fit([SampleLogger(every_n_steps=3, num_samples=2), watch], max_epochs=2)
    assert watch.num_forwards == 2 * (4 + 1)  # two epochs of four batches and one of validation
    panels = _panels(tmp_path, "train")
    assert [(panel[0]["step"], panel[0]["epoch"]) for panel in panels] == [(3, 0), (6, 1)]
    for panel in panels:
        _, ids, logits = next(batch for batch in watch.batches if batch[0] == panel[0]["step"])
        assert [row["id"] for row in panel] == ids[:2]
        probabilities = logits[:2].softmax(1).amax(1).tolist()
        assert [row["probability"] for row in panel] == pytest.approx(probabilities)
        answers = [["no", "yes"][c] for c in logits[:2].argmax(1).tolist()]
        assert [row["prediction"] for row in panel] == answers
        assert [row["correct"] for row in panel] == [r["truth"] == r["prediction"] for r in panel]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_train_panel__small_batches_fill_it_with_the_last_ones(
    accumulate: int, tmp_path: Path, fit: Fit
) -> None:
    watch, every = Watch(), 4 // accumulate
    logger = SampleLogger(every_n_steps=every, num_samples=5)
    fit([logger, watch], data={"batch_size": 2}, accumulate_grad_batches=accumulate)
    ids = [ids for _, ids, _ in watch.batches]
    shown = [[row["id"] for row in panel] for panel in _panels(tmp_path, "train")]
    assert shown == [[*ids[n], *ids[n - 1], ids[n - 2][0]] for n in (3, 7)]


def test_fixed_panel__same_examples_with_the_predictions_of_before(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    class Swing(Callback):
        """Makes the model answer "no" in the first epoch and "yes" in later ones."""

        def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, TextClassifier)
            bias = torch.tensor([9.0, 0.0] if trainer.current_epoch == 0 else [0.0, 9.0])
            pl_module.model.get_parameter("classifier.bias").data.copy_(bias)

    logger = SampleLogger(every_n_steps=0, num_samples=4)
    fit([logger, Swing()], max_epochs=3, num_sanity_val_steps=2)
    drawn = sorted(map(str, range(16)), key=lambda name: zlib.crc32(name.encode()))[:4]
    panels = _panels(tmp_path, "fixed")
    assert [[row["id"] for row in panel] for panel in panels] == [drawn] * 3
    shown = capsys.readouterr().out.split("validation, the same examples each time")[1:]
    fixed = [text.split("the largest losses")[0] for text in shown]
    assert [text.count("no → yes (100%)") for text in fixed] == [0, 4, 0]
    assert "training examples" not in shown[0]  # every_n_steps=0


def test_worst_panel__has_the_largest_losses_of_all_rows(tmp_path: Path, fit: Fit) -> None:
    logger = SampleLogger(every_n_steps=0, num_samples=5)
    _, module, data = fit([logger], data={"eval_batch_size": 3})
    module.eval()
    losses: dict[str, float] = {}
    loader: Any = data.val_dataloader()
    for batch in loader:
        with torch.no_grad():
            logits = module(batch).logits
        values = torch.nn.functional.cross_entropy(logits, batch["labels"], reduction="none")
        losses |= dict(zip(batch["id"], values.tolist(), strict=True))
    expected = sorted(losses, key=lambda name: -losses[name])[:5]
    (shown,) = _panels(tmp_path, "worst")
    assert [row["loss"] for row in shown] == pytest.approx([losses[n] for n in expected], abs=1e-5)
    assert {row["id"] for row in shown} == set(expected)


def test_worst_panel__counts_nan_as_worst_and_ids_may_repeat(
    tmp_path: Path, fit: Fit, tweet_rows: Rows
) -> None:
    class Broken(TextClassifier):
        def loss_terms(self, batch: Any, output: Any, loss: Any) -> LossTerms:  # noqa: ANN401 - as above
            terms = super().loss_terms(batch, output, loss)
            is_broken = not self.training and batch["labels"][0] == 1
            return terms._replace(numerators=terms.numerators * (math.nan if is_broken else 1))

    rows = [{**row, "id": "the same"} for row in tweet_rows[:6]]
    data = {"train": rows, "val": rows, "id_column": "id", "eval_batch_size": 1}
    fit([SampleLogger(every_n_steps=1, num_samples=3)], data=data, kind=Broken)
    (worst,) = _panels(tmp_path, "worst")
    assert [(row["loss"], row["truth"]) for row in worst] == [(None, "yes")] * 3
    assert len(_panels(tmp_path, "fixed")[0]) == 3


def test_panels__of_batches_without_names_and_numbers(tmp_path: Path, fit: Fit) -> None:
    _, module, data = fit([SampleLogger(1, num_samples=0)], folder=tmp_path / "fit")
    assert not (tmp_path / "fit" / "samples.jsonl").exists()
    names = ("input_ids", "attention_mask", "labels")
    loader: Any = data.val_dataloader()
    batches: Any = [{name: batch[name] for name in names} for batch in loader] * 2  # 16 rows each
    trainer = quiet_trainer(default_root_dir=tmp_path, callbacks=[SampleLogger(num_samples=20)])
    trainer.validate(module, DataLoader(batches, batch_size=None), verbose=False)
    for panel in ("fixed", "worst"):
        (rows,) = _panels(tmp_path, panel)
        assert len(rows) == 20
        assert rows[0]["step"] is rows[0]["epoch"] is None  # no training step was taken


def test_input__is_the_text_of_the_user_as_far_as_the_model_saw_it(
    tmp_path: Path, fit: Fit
) -> None:
    rows = [
        {"a": "불이야! 🔥 https://t.co/AbC", "b": "people  LEAVE", "label": 1},
        {"a": "a song", "b": "it is fun, " * 9, "label": 0},
    ]
    data = {"train": rows, "val": rows, "text_column": "a", "pair_column": "b", "max_length": 22}
    fit([SampleLogger(every_n_steps=1)], data=data)
    for panel in ("train", "fixed", "worst"):
        texts = {row["id"]: row["input"] for row in _panels(tmp_path, panel)[0]}
        assert texts["0"] == "불이야! 🔥 https://t.co/AbC ‖ people  LEAVE"
        assert texts["1"].startswith("a song ‖ it is fun, it")
        assert texts["1"].endswith("…")  # the rest was cut


def test_what_cannot_be_shown__is_refused_or_reported(
    fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError, match="HFModule"):
        quiet_trainer(max_epochs=1, callbacks=[SampleLogger()]).fit(BoringModel())
    with pytest.raises(InputError, match="num_samples"):
        SampleLogger(num_samples=-1)

    class LossOnly(TextClassifier):
        def training_step(  # type: ignore[override]  # Lightning takes a loss alone
            self, batch: Mapping[str, object], batch_idx: int
        ) -> torch.Tensor:
            return super().training_step(batch, batch_idx)["loss"]

    fit([SampleLogger(every_n_steps=1, num_samples=2)], kind=LossOnly)
    assert caplog.text.count("returns no step output") == 1
    assert _panels(tmp_path, "fixed")


def test_console_and_lines__of_hostile_text_are_harmless(
    tmp_path: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [
        "[bold]x[/bold]",
        "\x1b[31mred\x1b[0m \x1b]8;;http://e.vil\x07link",
        "abc\u202efdp.exe",
    ]
    rows = [
        {"id": t, "text": f"{t}{' word' * 2000}", "label": f"{t}{i}"} for i, t in enumerate(texts)
    ]
    names = [str(row["label"]) for row in rows]
    data = {"train": rows, "val": rows, "label_names": names, "id_column": "id"}
    fit([SampleLogger(1, 4)], data=data)
    shown = capsys.readouterr().out
    for text in (shown, (tmp_path / "samples.jsonl").read_text(encoding="utf-8")):
        assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "[bold]" in shown.replace("\n", "")
    assert {row["id"] for row in _panels(tmp_path, "fixed")[0]} == set(texts)


def test_two_processes__share_the_panels(two_processes: Path, ddp_rows: Rows) -> None:
    names = {row["id"] for row in ddp_rows[:5]}
    for panel in ("fixed", "worst"):
        for rows in _panels(two_processes / "fit", panel):
            assert len(rows) == 5  # each row once: no padding copy, no row of one process only
            assert {row["id"] for row in rows} == names
            losses = [row["loss"] for row in rows]
            assert panel == "fixed" or losses == sorted(losses, reverse=True)
    shown = (two_processes / "out").read_text(encoding="utf-8")
    assert shown.count("validation, the same examples each time") == 2
    assert shown.count("training examples") == len(_panels(two_processes / "fit", "train"))
