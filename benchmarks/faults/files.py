"""Groups 23 to 28 and 36 to 38: disks, folders and names."""

import os
import random
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults.resume import Outcomes, judged
from benchmarks.faults.stage import Outcome, Stage, Training, end_group
from benchmarks.faults.told import refused, right, told
from lit_hf.files.scratch import own_name


def is_readable(path: Path) -> bool:
    """Whether a checkpoint is there as a whole."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def killed_while_saving(stage: Stage) -> Outcomes:
    """Group 23: files for the time being lie on another file system."""
    draw = random.Random(23)
    training = Training(is_big=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        for number in range(stage.moments):
            delay = draw.uniform(0.0, 0.12)
            folder = stage.home / f"23-{number}"
            words = stage.command(folder, training)
            faults = f"kill~{delay:.3f}@save:{2 + number % 2}"
            stage.run(words, faults, env={"TMPDIR": elsewhere})
            found = sorted((folder / "checkpoints").glob("*.ckpt"))
            damaged = [path.name for path in found if not is_readable(path)]
            seen = f"damaged: {', '.join(damaged)}" if damaged else ""
            yield Outcome(f"kill {delay:.3f} s into saving", ("silent",) if damaged else (), seen)
        if not stage.is_plain:
            last = stage.fit(folder, "", training)
            is_same = last.code == 0 and last.end == stage.whole(training).end
            yield right("going on", is_same, "inexact", last.said[-300:])


def _mounted(options: str, folder: Path, words: Sequence[str], kept: Path) -> list[str]:
    """A command that runs with a small disk of its own in a folder, which is then copied."""
    script = (
        f'mount -t tmpfs -o {options} none "$1" && kept="$2" && at="$1" && shift 2 && '
        '"$@"; code=$?; cp -a "$at/." "$kept"; exit $code'
    )
    return ["unshare", "-rm", "sh", "-c", script, "sh", str(folder), str(kept), *words]


def can_mount() -> bool:
    """Whether a process may have mounts of its own here."""
    words = ["unshare", "-rm", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def full_disk(stage: Stage) -> Outcomes:
    """Group 24: a disk of 2 MB that is full at the first, and at a later checkpoint."""
    if not can_mount():
        return
    for case, faults, is_big in (("first", "", True), ("later", "fill@batch:7", False)):
        folder, kept = stage.folder(f"24-{case}"), stage.folder(f"24-{case}-kept")
        words = stage.command(folder, Training(is_big=is_big))
        run = stage.run(_mounted("size=2m", folder, words, kept), faults)
        said = () if stage.is_plain else ("cannot be written", "bytes", str(folder), "-Traceback")
        outcome = told(f"full at the {case} checkpoint", run, 1, said)
        left = list((kept / "checkpoints").glob("*"))
        partial = [path.name for path in left if path.is_file() and not is_readable(path)]
        is_kept = is_big or is_readable(kept / "checkpoints" / "last.ckpt")
        if partial or not is_kept:
            seen = f"{outcome.seen} left: {partial}, the old one whole: {is_kept}"
            outcome = Outcome(outcome.case, (*outcome.faults, "silent"), seen)
        yield outcome


def read_only(stage: Stage) -> Outcomes:
    """Group 25: refused before anything is trained."""
    if not can_mount():
        return
    folder, kept = stage.folder("25"), stage.folder("25-kept")
    run = stage.run(_mounted("ro,size=1m", folder, stage.command(folder), kept))
    said = () if stage.is_plain else (str(folder), "-Traceback")
    outcome = told("a read-only folder", run, None if stage.is_plain else 2, said)
    if any(run.batches):
        outcome = Outcome(outcome.case, (*outcome.faults, "silent"), f"trained; {outcome.seen}")
    yield outcome


def removed(stage: Stage) -> Outcomes:
    """Group 26: the folder goes away in mid-run; made again, or an error."""
    run = stage.fit(folder := stage.home / "26", "remove@batch:7")
    if run.code == 0:
        is_there = is_readable(folder / "checkpoints" / "last.ckpt")
        yield Outcome("made again", () if is_there else ("silent",), run.said[-300:])
    else:
        yield told("an error", run, 1)


def no_file(stage: Stage) -> Outcomes:
    """Group 27: `last.ckpt` is something else."""
    for kind in ("folder", "link", "pipe"):
        folder = stage.folder(f"27-{kind}")
        (folder / "checkpoints").mkdir()
        last = folder / "checkpoints" / "last.ckpt"
        if kind == "folder":
            last.mkdir()
        elif kind == "link":
            last.symlink_to("/etc/hostname")
        else:
            os.mkfifo(last)
        yield refused(stage, f"a {kind}", stage.command(folder), ["last.ckpt"])


def orphans(stage: Stage) -> Outcomes:
    """Group 28: only what dead writers of ours left is swept."""
    folder, _ = stage.killed("28")
    home = folder / "checkpoints"
    alive = home / own_name("last.ckpt")
    gone = home / alive.name.replace(f"-{os.getpid()}-", "-4194303-")
    others = home / ".notes.tmp"
    for path in (gone, alive, others):
        path.write_text("half")
    run = stage.fit(folder)
    left = [path.exists() for path in (gone, alive, others)]
    is_right = run.code == 0 and left == [False, True, True]
    yield Outcome("three files", () if is_right else ("silent",), f"{left}" * (not is_right))


def two_runs(stage: Stage) -> Outcomes:
    """Group 36: a second run in a folder in which one trains."""
    folder, seen = stage.home / "36", stage.folder("36-seen")
    first = stage.begin(stage.command(folder), seen, "sleep@batch:3")
    try:
        deadline = time.monotonic() + 60
        while not (seen / "0.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        yield refused(stage, "a second run", stage.command(folder), ["another"])
    finally:
        end_group(first)


def odd_names(stage: Stage) -> Outcomes:
    """Group 37: folders with spaces, signs of templates, other encodings, long names."""
    whole = stage.whole()
    names = ["a b = {step} $HOME 100%", "x" * 200]
    for number, name in enumerate(names):
        folder = stage.home / f"37-{number}" / name
        run = stage.fit(folder)
        yield judged(name[:30], whole, [run])
    latin = os.fsdecode(b"caf\xe9")  # which torch cannot read from: refused before training
    if not stage.is_plain:
        yield refused(stage, "latin-1", stage.command(stage.home / latin), ["UTF-8"])


def clock(stage: Stage) -> Outcomes:
    """Group 38: times of files that say the wrong order."""
    folder, first = stage.killed("38", 12)
    for path in (folder / "checkpoints").glob("*.ckpt"):
        when = 0 if path.stem == "last" else 2_000_000_000
        os.utime(path, (when, when))
    yield judged("last.ckpt of 1970", stage.whole(), [first, stage.fit(folder)])


FAULTS = {
    23: killed_while_saving,
    24: full_disk,
    25: read_only,
    26: removed,
    27: no_file,
    28: orphans,
    36: two_runs,
    37: odd_names,
    38: clock,
}
PLAIN = (23, 24, 25, 26, 27, 36, 37, 38)
