from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.cli.new_folders import check_paths, take_back
from lit_hf.files.run_paths import header


def _options(folder: object, **checkpoint: object) -> dict[str, dict[str, object]]:
    return {"trainer": {"default_root_dir": folder}, "checkpoint": checkpoint}


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "{epoch", "{", "x" * 201, "é" * 101])
def test_checkpoint_name__that_leads_out_or_breaks_late_is_refused(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match=r"`checkpoint\.filename`"):
        check_paths(_options(tmp_path, filename=name))


@pytest.mark.parametrize("name", [None, "best", "{epoch}-{val/f1:.2f}".replace("/", "_")])
def test_checkpoint_name__that_is_plain_is_taken(tmp_path: Path, name: str | None) -> None:
    check_paths(_options(tmp_path / "new" / "run", filename=name))
    assert (tmp_path / "new" / "run" / "checkpoints").is_dir()


def test_folders__of_a_refused_run_are_taken_back_those_of_others_stay(tmp_path: Path) -> None:
    root = tmp_path / "new" / "run"
    new = check_paths(_options(root))
    logs = root / "lightning_logs" / "version_0"
    logs.mkdir(parents=True)
    (logs / "events").touch()
    take_back(new)
    assert not list(tmp_path.iterdir())
    (root / "checkpoints").mkdir(parents=True)
    (root / "mine.txt").touch()
    take_back(check_paths(_options(root)))
    assert {path.name for path in root.iterdir()} == {"checkpoints", "mine.txt"}
    new = check_paths(_options(root))
    logs.mkdir(parents=True)
    (logs / "events").touch()
    (root / "config.yaml").write_text(header())  # a training has begun
    take_back(new)
    assert (logs / "events").exists()
    new = check_paths(_options(root))
    (later := root / "lightning_logs" / "version_1").mkdir()
    (later / "events").touch()
    take_back(new)  # one that wanted to go on
    assert list((root / "lightning_logs").iterdir()) == [logs]


def test_run_folder__that_can_be_none_is_refused_before_training(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    long = tmp_path / "a" / ("b" * 300)
    odd = tmp_path / "caf\udce9"
    for folder in (file, file / "run", "/proc/nothing", "s3://bucket/run", long, odd, "a\0b"):
        with pytest.raises(InputError, match=r"`trainer\.default_root_dir`"):
            check_paths(_options(folder))
    assert list(tmp_path.iterdir()) == [file]


def test_run_folder__is_the_working_folder_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    callback: dict[str, object] = {"class_path": "lightning.pytorch.callbacks.ModelSummary"}
    for callbacks in (None, callback, [callback]):
        options = _options(None)
        options["trainer"]["callbacks"] = callbacks
        check_paths(options)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoints"]
