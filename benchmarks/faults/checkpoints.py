"""Groups 29 to 35: damaged and foreign checkpoints."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.resume import Outcomes, judged
from benchmarks.faults.stage import Outcome, Stage, Training
from benchmarks.faults.told import refused, told

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def _foreign(path: Path) -> None:
    path.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no checkpoint")


def _cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def _flip(path: Path, seed: int) -> None:
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:  # a bit of a weight, not of what lies between files
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    place = largest.header_offset + 200 + random.Random(seed).randrange(largest.file_size - 200)
    content[place] ^= 1 << seed % 8
    path.write_bytes(bytes(content))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut in half": lambda path: _cut(path, path.stat().st_size // 2),
    "one byte short": lambda path: _cut(path, path.stat().st_size - 1),
    "empty": lambda path: _cut(path, 0),
    "an LFS pointer": lambda path: path.write_bytes(POINTER),
    "a web page": lambda path: path.write_text("<html>404</html>"),
    "another zip": _foreign,
}


def named(stage: Stage, folder: Path, path: Path) -> list[str]:
    """The command that goes on from a file."""
    return [*stage.command(folder), "--ckpt_path", str(path)]


def damaged(stage: Stage) -> Outcomes:
    """Group 29: one clear line."""
    for number, (case, harm) in enumerate(DAMAGES.items()):
        folder, _ = stage.killed(f"29-{number}")
        harm(last := folder / "checkpoints" / "last.ckpt")
        words = stage.command(folder) if stage.is_plain else named(stage, folder, last)
        yield refused(stage, case, words, ["last.ckpt"])


def fallen_back(stage: Stage) -> Outcomes:
    """Group 30: from the newest whole checkpoint, with a warning, and to the same weights."""
    for number, case in enumerate(("cut in half", "empty")):
        folder, first = stage.killed(f"30-{number}", 12)
        DAMAGES[case](folder / "checkpoints" / "last.ckpt")
        run = stage.fit(folder)
        outcome = judged(f"last.ckpt {case}", stage.whole(), [first, run])
        if "damaged" not in run.said:
            outcome = Outcome(outcome.case, (*outcome.faults, "silent"), run.said[-300:])
        yield outcome


def flipped(stage: Stage) -> Outcomes:
    """Group 31: found before training, whether the file is looked for or named."""
    for seed in range(2):
        folder, _ = stage.killed(f"31-{seed}", 12)
        _flip(folder / "checkpoints" / "last.ckpt", seed)
        run = stage.fit(folder)
        if stage.is_plain:
            yield told("one bit", run, None)
        else:
            yield told("one bit", run, 0, ("damaged",))
    if not stage.is_plain:
        folder, _ = stage.killed("31-named", 12)
        _flip(last := folder / "checkpoints" / "last.ckpt", 3)
        yield refused(
            stage, "one bit of a file that is named", named(stage, folder, last), ["damaged"]
        )


def _changed(stage: Stage, name: str, change: Callable[[dict[str, Any]], object]) -> list[str]:
    """The command that goes on from a changed checkpoint."""
    folder, _ = stage.killed(f"changed-{name}".replace(" ", "-"))
    last = folder / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content = change(content) or content
    torch.save(content, last)
    return stage.command(folder) if stage.is_plain else named(stage, folder, last)


def _without_head(content: dict[str, Any]) -> None:
    del content["state_dict"]["model.classifier.bias"]


def incomplete(stage: Stage) -> Outcomes:
    """Group 32: what is missing is named."""
    parts: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
        "without optimizer": (lambda c: c.pop("optimizer_states") and None, "weights only"),
        "a bare state_dict": (lambda c: c["state_dict"], "state_dict"),
        "without head": (_without_head, "classifier"),
    }
    for case, (change, word) in parts.items():
        yield refused(stage, case, _changed(stage, case, change), [word])


def newer(stage: Stage) -> Outcomes:
    """Group 33: a warning or a refusal."""

    def lightning(content: dict[str, Any]) -> None:
        content["pytorch-lightning_version"] = "99.0"

    def lit_hf(content: dict[str, Any]) -> None:
        content["lit_hf"]["fingerprint"]["lit_hf"] = "99.0"

    run = stage.run(_changed(stage, "newer lightning", lightning))
    yield told("of lightning", run._replace(code=0) if run.code == 2 else run, 0, ("99.0",))
    if not stage.is_plain:
        yield refused(stage, "of lit_hf", _changed(stage, "newer lit_hf", lit_hf), ["99.0"])


def plain_types(stage: Stage) -> Outcomes:
    """Group 34: every checkpoint loads with `weights_only=True`."""
    for training in (Training(), Training(is_random=True)):
        stage.whole(training)
        for path in sorted(stage.whole_folder(training).rglob("*.ckpt")):
            try:
                torch.load(path, weights_only=True)
                yield Outcome(path.name)
            except Exception as error:  # whatever a reader of pickles may raise
                yield Outcome(path.name, ("silent",), str(error)[:200])


def best_exists(stage: Stage) -> Outcomes:
    """Group 35: the best that a checkpoint names is a file."""
    stage.whole()
    last = torch.load(stage.whole_folder() / "checkpoints" / "last.ckpt", weights_only=True)
    states = [state for state in last["callbacks"].values() if "best_model_path" in state]
    named_files = [state["best_model_path"] for state in states if state["best_model_path"]]
    missing = [path for path in named_files if not Path(path).is_file()]
    yield Outcome("of a whole run", ("silent",) if missing or not named_files else (), str(missing))


FAULTS = {
    29: damaged,
    30: fallen_back,
    31: flipped,
    32: incomplete,
    33: newer,
    34: plain_types,
    35: best_exists,
}
PLAIN = (29, 30, 31, 32, 33, 34, 35)
