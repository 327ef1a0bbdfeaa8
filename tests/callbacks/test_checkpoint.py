import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.states import TrainerFn

from lit_hf import InputError, ResultsWriter, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.best_checkpoint import best_callback
from lit_hf.callbacks.checkpoint import (
    LastCheckpoint,
    _at_home,
    _tell_uncounted,
    decides,
    share_folder,
)
from lit_hf.checkpointing.reader import best_of, read_checkpoint
from lit_hf.modules.monitors import MonitorError
from tests.trainers import quiet_trainer

Fit = Callable[..., tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]]


def test_last_checkpoint__is_written_also_when_the_score_does_not_rise(
    tmp_path: Path, fit: Fit
) -> None:
    best = ModelCheckpoint(
        tmp_path / "checkpoints", monitor="val/loss", enable_version_counter=False
    )  # the first epoch stays the "best"
    fit([best, LastCheckpoint()], data={"batch_size": 16}, loss_rises=True, max_epochs=3)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["epoch=0-step=1.ckpt", "last.ckpt"]
    last = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert int(str(last["global_step"])) == 3
    found = best_of(tmp_path / "checkpoints")
    assert found is not None
    assert found.name == "epoch=0-step=1.ckpt"


def test_last_checkpoint__is_the_one_file_of_that_name(tmp_path: Path, fit: Fit) -> None:
    """A callback of the user's own writes it too, and no `last-v1.ckpt` beside it."""
    own = ModelCheckpoint(tmp_path / "checkpoints", save_last=True, every_n_train_steps=3)
    fit([LastCheckpoint(), own], data={"batch_size": 8}, max_epochs=2)
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"epoch=1-step=3.ckpt", "last.ckpt"}
    last = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert int(str(last["global_step"])) == 4


def test_last__is_found_in_the_run_folder_beside_a_logger(
    tmp_path: Path, fit: Fit, tiny_model: str
) -> None:
    """Lightning looks in the folder of the logger, which is a new one at every start."""
    _, _, data = fit([LastCheckpoint()], data={"batch_size": 8})
    trainer = quiet_trainer(
        logger=CSVLogger(tmp_path),
        default_root_dir=tmp_path,
        callbacks=[LastCheckpoint()],
        max_epochs=2,
    )
    trainer.fit(TextClassifier(tiny_model), data, ckpt_path="last", weights_only=True)
    assert trainer.ckpt_path == str(tmp_path / "checkpoints" / "last.ckpt")


def test_callbacks__without_a_folder_write_where_a_run_looks_for_its_newest(
    tmp_path: Path,
) -> None:
    own = [
        ModelCheckpoint(every_n_epochs=2),
        ModelCheckpoint(filename="own", every_n_epochs=3),
        ModelCheckpoint(tmp_path, every_n_epochs=4),
    ]
    weights = ModelCheckpoint(save_weights_only=True, every_n_epochs=5)  # nothing goes on from it
    callbacks: list[pl.Callback] = [LastCheckpoint(), *own, weights]
    share_folder(quiet_trainer(default_root_dir=tmp_path, callbacks=callbacks))
    folder = str(tmp_path / "checkpoints")
    assert [callback.dirpath for callback in own] == [folder, folder, str(tmp_path)]
    assert [callback.filename for callback in own] == ["{epoch}-{step}-callback1", "own", None]
    assert weights.dirpath is None


def test_checkpoints__of_a_state_lie_in_the_folder_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that was made by somebody else may name files elsewhere, which Lightning would remove."""
    folder, outside = tmp_path / "checkpoints", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "own.ckpt").touch()
    (outside / "a.ckpt").touch()
    (folder / "link").symlink_to(outside)
    (folder / "b.ckpt").symlink_to(outside / "a.ckpt")
    names = ["own.ckpt", "link/a.ckpt", "b.ckpt", "../outside/a.ckpt"]
    state = {
        "dirpath": "/before",
        "best_k_models": {f"/before/{name}": 0.5 for name in names},
        "kth_best_model_path": "/before/link/a.ckpt",
        "last_model_path": str(outside / "a.ckpt"),
    }
    found = _at_home(state, ModelCheckpoint(folder, monitor="val/loss"), folder)
    assert list(found["best_k_models"]) == [str(folder / "own.ckpt")]
    assert found["kth_best_model_path"] == found["last_model_path"] == ""
    assert not caplog.text  # no best one was named
    for name, is_told in (("own.ckpt", False), ("link/a.ckpt", True)):
        state = {"dirpath": "/before", "best_model_path": f"/before/{name}"}
        found = _at_home(state, ModelCheckpoint(folder, monitor="val/loss"), folder)
        assert found["best_model_path"] == ("" if is_told else str(folder / name))
        assert ("the best checkpoint of before" in caplog.text) is is_told


@pytest.mark.parametrize(
    ("key", "monitor", "before", "is_told"),
    [
        ("other", "a", {"monitor": "b", "best_model_path": "b.ckpt"}, True),
        ("own", "a", {"monitor": "b", "best_model_path": "b.ckpt"}, False),
        ("other", None, {"monitor": "b", "best_model_path": "b.ckpt"}, False),
        ("other", "a", {"monitor": "b", "best_model_path": ""}, False),
        ("other", "a", {"monitor": None, "best_model_path": "b.ckpt"}, False),
    ],
)
def test_best_of_before__that_counts_no_more_is_told(
    key: str,
    monitor: str | None,
    before: dict[str, object],
    is_told: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    saver = ModelCheckpoint(monitor=monitor)
    _tell_uncounted([saver], {saver.state_key if key == "own" else key: before})
    assert ("b.ckpt, the best by 'b', stays" in caplog.text) is is_told


def test_last_checkpoint__is_written_for_a_wrong_monitor_once_a_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    missed = RuntimeError("Early stopping conditioned on metric `f1` which is not available.")
    written: list[BaseException] = []
    trainer, module = quiet_trainer(callbacks=[last := LastCheckpoint()]), pl.LightningModule()
    for error in (MonitorError("wrong"), missed, RuntimeError("crash")):
        monkeypatch.setattr(last, "_save_topk_checkpoint", lambda *_, e=error: written.append(e))
        for saved in (trainer.global_step, trainer.global_step - 1):
            last._last_global_step_saved = saved
            last.on_exception(trainer, module, error)
    assert [str(error) for error in written] == ["wrong", str(missed)]


def test_decides__comes_before_other_checkpoints_and_behind_the_rest() -> None:
    first, second = ModelCheckpoint(monitor="a"), ModelCheckpoint(monitor="b")
    trainer = quiet_trainer(callbacks=[timer := pl.callbacks.Timer(), first, second])
    decides(trainer, second)
    found = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
    assert [c for c in found if c in (timer, first, second)] == [timer, second, first]


def test_state__of_a_checkpoint_callback_of_ones_own_stays_as_it_is() -> None:
    class Own(Checkpoint):
        pass

    trainer = quiet_trainer(callbacks=[own := Own(), last := LastCheckpoint()])
    trainer.state.fn = TrainerFn.FITTING
    held: dict[str, Any] = {"callbacks": {own.state_key: {"dirpath": "/mine"}}}
    last.on_load_checkpoint(trainer, pl.LightningModule(), held)
    assert held == {"callbacks": {own.state_key: {"dirpath": "/mine"}}}


@pytest.mark.parametrize("link", ["checkpoints", "checkpoints/sub"])
def test_link_out_of_the_run_folder__is_refused_without_run_folder_too(
    link: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, fit: Fit
) -> None:
    """A `ModelCheckpoint` would write through it, and remove what has the name of an old one."""
    run, outside = tmp_path, tmp_path_factory.mktemp("outside")
    (outside / "epoch=0.ckpt").write_text("theirs")
    (run / link).parent.mkdir(exist_ok=True)
    (run / link).symlink_to(outside)
    saver = ModelCheckpoint(run / "checkpoints", "sub/{epoch}", enable_version_counter=False)
    with pytest.raises(InputError, match=r"a link to .*outside.*, out of the folder of the run"):
        fit([LastCheckpoint(), saver], max_epochs=2)
    assert [path.name for path in outside.iterdir()] == ["epoch=0.ckpt"]
    assert (outside / "epoch=0.ckpt").read_text() == "theirs"


@pytest.mark.parametrize("settings", [{"check_val_every_n_epoch": 5}, {"max_steps": 2}])
def test_last_checkpoint__is_written_where_nothing_is_validated(
    tmp_path: Path, fit: Fit, settings: dict[str, int]
) -> None:
    trainer, _, _ = fit([LastCheckpoint()], data={"batch_size": 16}, max_epochs=2, **settings)
    last = read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert int(str(last["global_step"])) == trainer.global_step == 2


def _write_as_on_windows(path: Path, folder: str) -> None:
    """Let the callbacks of a checkpoint name files of a drive."""
    content = torch.load(path, weights_only=True)

    def changed(value: object) -> Any:  # noqa: ANN401 - any plain value
        if isinstance(value, dict):
            return {changed(key): changed(part) for key, part in value.items()}
        if isinstance(value, str) and value.startswith(folder):
            return value.replace(folder, "C:\\run").replace("/", "\\")
        return value

    content["callbacks"] = changed(content["callbacks"])
    torch.save(content, path)


@pytest.mark.parametrize("how", ["moved", "copied", "moved without its best", "of Windows"])
def test_run_folder__elsewhere_is_the_same_run(
    how: str, tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"

    def saver(folder: Path) -> ModelCheckpoint:
        return ModelCheckpoint(
            folder / "checkpoints", monitor="val/loss", enable_version_counter=False
        )

    callbacks = [first := saver(old), LastCheckpoint(), ResultsWriter()]
    _, module, data = fit(callbacks, folder=old, loss_rises=True, max_epochs=2)
    best = Path(first.best_model_path)
    assert best.name == "epoch=0-step=4.ckpt"
    (shutil.copytree if how == "copied" else shutil.move)(old, new)
    if how == "moved without its best":
        (new / "checkpoints" / best.name).unlink()
    trainer = quiet_trainer(
        max_epochs=3,
        default_root_dir=new,
        callbacks=[again := saver(new), LastCheckpoint(), ResultsWriter()],
        num_sanity_val_steps=0,
    )
    last = new / "checkpoints" / "last.ckpt"
    if how == "of Windows":
        _write_as_on_windows(last, str(old / "checkpoints"))
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    assert best_callback(trainer) is again
    found = json.loads((new / "results.json").read_text())["fit"]["best"]
    if how == "moved without its best":
        assert f"{best}, is not in {new / 'checkpoints'}" in caplog.text
        assert found["checkpoint"] == "checkpoints/epoch=2-step=12.ckpt"
        return
    assert again.best_model_path == str(new / "checkpoints" / best.name)
    assert again.best_model_score == first.best_model_score
    assert found["checkpoint"] == f"checkpoints/{best.name}"
    names = sorted(path.name for path in (new / "checkpoints").iterdir())
    assert names == ["epoch=0-step=4.ckpt", "last.ckpt"]


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({"monitor": "val/f1", "mode": "max"}, True),
        ({"monitor": "val/loss", "every_n_epochs": 2}, True),
        ({"monitor": "val/loss"}, False),
        ({}, False),
    ],
)
def test_best__by_another_monitor_than_before_is_told(
    settings: dict[str, Any],
    is_told: bool,
    tmp_path: Path,
    fit: Fit,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = tmp_path / "checkpoints"
    first = ModelCheckpoint(folder, monitor="val/loss", enable_version_counter=False)
    _, module, data = fit([first, LastCheckpoint()], max_epochs=1)
    other = ModelCheckpoint(folder, filename="other-{epoch}", **settings)
    trainer = quiet_trainer(
        max_epochs=2, default_root_dir=tmp_path, callbacks=[other, LastCheckpoint()]
    )
    trainer.fit(module, data, ckpt_path=folder / "last.ckpt", weights_only=True)
    told = f"{first.best_model_path}, the best by 'val/loss', stays until a file of its name"
    assert (told in caplog.text) == is_told
    assert Path(first.best_model_path).is_file() == (settings != {"monitor": "val/loss"})


def test_best__of_another_run_in_a_used_folder_is_not_taken(
    tmp_path: Path, fit: Fit, caplog: pytest.LogCaptureFixture
) -> None:
    """Both runs have a best checkpoint of one name and, by chance, of one score."""

    def saver(name: str) -> ModelCheckpoint:
        folder = tmp_path / name / "checkpoints"
        return ModelCheckpoint(
            folder, monitor="val/num_examples", mode="max", enable_version_counter=False
        )

    bests = {}
    for name, rate in (("a", 1e-3), ("b", 1e-2)):
        settings = {"optimizer": lambda p, rate=rate: torch.optim.SGD(p, lr=rate)}
        best = saver(name)
        _, module, data = fit([best, LastCheckpoint()], folder=tmp_path / name, module=settings)
        bests[name] = Path(best.best_model_path)
    assert bests["a"].name == bests["b"].name
    again = saver("b")
    trainer = quiet_trainer(
        max_epochs=2,
        limit_val_batches=2,
        default_root_dir=tmp_path / "b",
        callbacks=[again, LastCheckpoint()],
        num_sanity_val_steps=0,
    )
    last = bests["a"].parent / "last.ckpt"
    trainer.fit(module, data, ckpt_path=last, weights_only=True)
    assert f"{bests['a']}, is not in {tmp_path / 'b' / 'checkpoints'}" in caplog.text
    assert Path(again.best_model_path).name != bests["b"].name
