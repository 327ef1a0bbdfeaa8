"""Lightning's averages of the weights: validated, kept, exported, scored, and gone on with."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import Tensor
from transformers import AutoModelForImageClassification

from lit_hf import (
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    Predictor,
    ResumeGuard,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.checkpointing.reader import best_of, read_checkpoint
from lit_hf.cli.command import main
from tests.commands import output_of
from tests.images import NAMES, drawn, write_folder
from tests.stopping import StopBefore
from tests.trainers import quiet_trainer

DECAY = 0.8
# Lightning's remark that averages do not go with sharded models; the command leaves it out.
quiet = pytest.mark.filterwarnings("ignore:You're using the WeightAveraging callback")


class ByHand(Callback):
    """The averages, worked out once more from the weights after each step."""

    def __init__(self) -> None:
        self.average: dict[str, Tensor] = {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        for name, value in pl_module.state_dict().items():
            before = self.average.get(name, value)
            self.average[name] = DECAY * before + (1 - DECAY) * value


def _fit(
    model: str,
    folder: Path,
    *callbacks: Callback,
    ckpt_path: Path | None = None,
    has_averages: bool = True,
) -> None:
    """Train on images of three classes, whose names only the data knows."""
    averages = [EMAWeightAveraging(decay=DECAY)] if has_averages else []
    pl.seed_everything(0, verbose=False)
    names = [*NAMES, "other"]
    rows = [{"image": drawn(n), "label": names[n % 3]} for n in range(24)]
    data = ImageClassificationDataModule(model, batch_size=4, val_fraction=0.25)
    trainer = quiet_trainer(
        max_epochs=3,
        default_root_dir=folder,
        callbacks=[*averages, LastCheckpoint(), *callbacks],
    )
    trainer.fit(
        ImageClassifier(model), data.with_rows(train=rows), ckpt_path=ckpt_path, weights_only=True
    )


@quiet
def test_averages__are_kept_as_the_weights_and_a_stopped_run_goes_on_with_them(
    tiny_vit: str, tmp_path: Path
) -> None:
    by_hand = ByHand()
    _fit(tiny_vit, tmp_path / "whole", by_hand)
    whole: Any = read_checkpoint(tmp_path / "whole" / "checkpoints" / "last.ckpt")
    assert whole["state_dict"]["model.classifier.bias"].shape == (3,)
    assert not torch.equal(
        whole["state_dict"]["model.classifier.bias"],
        whole["current_model_state"]["model.classifier.bias"],
    )
    for name, value in by_hand.average.items():
        torch.testing.assert_close(whole["state_dict"][name], value)
    with pytest.raises(SystemExit):
        _fit(tiny_vit, tmp_path / "parts", StopBefore(1))
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    assert int(str(read_checkpoint(last)["global_step"])) == 5
    _fit(tiny_vit, tmp_path / "parts", ckpt_path=last)
    parts: Any = read_checkpoint(last)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(parts[part][name], whole[part][name]) for name in whole[part])


@quiet
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore:The checkpoint was not created with WeightAveraging")
def test_averages__that_are_left_out_or_added_in_a_resumed_run(
    tiny_vit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Refused by ResumeGuard; else the trained weights go on, not their averages."""
    _fit(tiny_vit, tmp_path / "plain", ResumeGuard(), has_averages=False)
    with pytest.raises(SystemExit):
        _fit(tiny_vit, tmp_path / "parts", StopBefore(1), ResumeGuard())
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"was EMAWeightAveraging\(.*\), is none"):
        _fit(tiny_vit, tmp_path / "a", ResumeGuard(), ckpt_path=last, has_averages=False)
    assert "trained weights" not in caplog.text
    _fit(tiny_vit, tmp_path / "b", ckpt_path=last, has_averages=False)
    assert "goes on with the trained weights" in caplog.text
    plain, mixed = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("plain", "b")
    )
    torch.testing.assert_close(mixed["state_dict"], plain["state_dict"], rtol=0, atol=0)
    assert "averaged_by" not in mixed["lit_hf"]
    last = tmp_path / "plain" / "checkpoints" / "last.ckpt"
    with pytest.raises(InputError, match=r"was none, is EMAWeightAveraging\("):
        _fit(tiny_vit, tmp_path / "c", ResumeGuard(), ckpt_path=last)


def test_command__scores_exports_and_answers_with_the_averages(
    tiny_vit: str, tmp_path: Path
) -> None:
    write_folder(tmp_path / "set" / "train", 24)
    new = write_folder(tmp_path / "new", 3, by_class=False)
    run = tmp_path / "run"
    said, shown = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        words = [
            *("--model", "ImageClassifier", "--model.model_name", tiny_vit),
            *("--data", "ImageClassificationDataModule", "--data.dataset", str(tmp_path / "set")),
            *("--data.batch_size", "8", "--data.val_fraction", "0.25"),
            *("--model.optimizer", "AdamW", "--model.optimizer.lr", "0.01"),
            *("--trainer.default_root_dir", str(run), "--trainer.max_epochs", "2"),
            *("--trainer.accelerator", "cpu", "--checkpoint.monitor", "val/accuracy"),
            *("--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay", "0.8"),
        ]
        assert main(["fit", *words]) == 0
        assert main(["validate", "--run", str(run)]) == 0
        assert main(["predict", "--run", str(run), "--data.predict_file", str(new)]) == 0
    assert "WeightAveraging" not in said.getvalue()
    assert shown.getvalue().count("are averages (EMAWeightAveraging)") == 2  # of both evaluations
    card = (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    assert "weights are averages over the training (EMAWeightAveraging)" in card
    best = best_of(run / "checkpoints")
    assert best is not None
    checkpoint: Any = read_checkpoint(best)
    again = json.loads((run / "results.json").read_text())["validate"]
    kept = checkpoint["lit_hf"]["metrics"]
    assert again["loss"] == pytest.approx(kept["val/loss"], abs=1e-6)
    exported = AutoModelForImageClassification.from_pretrained(run / "pretrained").state_dict()
    for name, value in exported.items():
        assert torch.equal(value, checkpoint["state_dict"][f"model.{name}"])
    trained = checkpoint["current_model_state"]["model.classifier.weight"]
    assert not torch.equal(exported["classifier.weight"], trained)
    lines = (run / "predictions.jsonl").read_text().splitlines()
    for source in (best, run / "pretrained"):
        answers = Predictor.from_pretrained(source)(sorted(new.iterdir()))
        for answer, line in zip(answers, lines, strict=True):
            assert answer["probability"] == pytest.approx(json.loads(line)["probability"], abs=1e-5)


def test_command__keeps_the_threshold_of_the_averages(
    tiny_model: str, question_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    """In checkpoint, results, export, card, predictions and answers; four validations."""
    file, copy, run = tmp_path / "rows.jsonl", tmp_path / "copy.jsonl", tmp_path / "run"
    for path in (file, copy):
        path.write_text("".join(json.dumps(row) + "\n" for row in question_rows))
    output_of(
        *("fit", "--model", "ExtractiveQA", "--model.model_name", tiny_model),
        *("--model.no_answer_threshold", "0", "--model.pretrained", "false"),
        *("--model.config_overrides", "{initializer_range: 0.4}"),
        *("--model.optimizer", "AdamW", "--model.optimizer.lr", "0.003"),
        *("--data", "ExtractiveQADataModule", "--data.train_file", str(file)),
        *("--data.val_file", str(copy), "--data.batch_size", "2", "--data.max_length", "64"),
        *("--data.doc_stride", "16", "--checkpoint.monitor", "val/best_f1"),
        *("--trainer.default_root_dir", str(run), "--trainer.max_epochs", "2"),
        *("--trainer.val_check_interval", "0.5", "--trainer.accelerator", "cpu"),
        *("--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay", "0.5"),
        *("--trainer.callbacks.use_buffers", "false"),
    )
    output_of("validate", "--run", str(run))
    output_of("predict", "--run", str(run), "--data.predict_file", str(file))
    best = best_of(run / "checkpoints")
    assert best is not None
    kept: Any = read_checkpoint(best)["lit_hf"]["metrics"]
    again = json.loads((run / "results.json").read_text())["validate"]
    assert again["f1"] == pytest.approx(kept["val/best_f1"])
    config = json.loads((run / "pretrained" / "config.json").read_text())
    threshold = config["task_specific_params"]["extractive_qa"]["no_answer_threshold"]
    assert threshold == kept["val/best_f1_thresh"] != 0
    card = (run / "pretrained" / "README.md").read_text(encoding="utf-8")
    assert rf"| no\_answer\_threshold | {threshold} |" in card
    lines = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    asked = [{name: row[name] for name in ("question", "context")} for row in question_rows]
    for source in (best, run / "pretrained"):
        answers = Predictor.from_pretrained(source)(asked)
        assert [a["prediction"] for a in answers] == [line["prediction"] for line in lines]


@quiet
def test_texts__are_averaged_without_their_positions(tiny_model: str, tmp_path: Path) -> None:
    rows = [{"text": f"fire {n}", "label": NAMES[n % 2]} for n in range(8)]
    data = TextClassificationDataModule(tiny_model, batch_size=2, val_fraction=0)
    module = TextClassifier(tiny_model)
    trainer = quiet_trainer(
        max_epochs=5,
        callbacks=[EMAWeightAveraging(decay=0.9, use_buffers=False)],
        enable_checkpointing=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, data.with_rows(train=rows))
    positions = module.model.get_buffer("bert.embeddings.position_ids")
    assert positions[0].tolist() == list(range(128))
