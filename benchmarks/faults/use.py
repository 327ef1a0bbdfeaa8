"""Group G: the command line, terminals, folders of the system, and notebooks."""

import signal
import sys
import time

from benchmarks.faults.resume import Outcomes, judged
from benchmarks.faults.stage import Outcome, Stage, end_group
from benchmarks.faults.told import refused, right, told


def settings(stage: Stage) -> Outcomes:
    """Group 81."""
    base = stage.command(stage.home / "81")
    (broken := stage.home / "81.yaml").write_text("trainer: [max_epochs\n")
    cases = {
        "a misspelt setting": (["--data.batch_sise", "4"], ["batch_size"]),
        "a wrong type": (["--trainer.max_epochs", "many"], ["max_epochs", "many"]),
        "a file that is not there": (["--config", "nowhere.yaml"], ["nowhere.yaml"]),
        "broken YAML": (["--config", str(broken)], []),
        "rows that are not there": (["--data.train_file", "nowhere.csv"], ["nowhere.csv"]),
        "a monitor that nothing logs": (["--checkpoint.monitor", "val_loss"], ["val/loss"]),
    }
    for case, (more, said) in cases.items():
        yield refused(stage, case, [*base, *more], said)
    yield refused(stage, "an unknown verb", [*base[:3], "fitt"], ["fit"])


NOTEBOOK = """\
import multiprocessing, signal, sys, threading
import lightning.pytorch as pl
from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.graceful_shutdown import GracefulShutdown

class Press(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, number):
        if number == 3:
            signal.raise_signal(signal.SIGINT)

def cell(*more):
    data = TextClassificationDataModule(sys.argv[1], train_file=sys.argv[2], num_workers=1)
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, callbacks=[GracefulShutdown(), *more])
    data.batch_size = 4
    trainer.fit(TextClassifier(sys.argv[1]), data)
    return trainer.global_step

before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
try:
    cell(Press())
except (SystemExit, KeyboardInterrupt) as stop:
    print("stopped by", repr(stop))
print("steps", cell(), cell())
import gc; gc.collect()
after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
print("handlers", "same" if before == after else "changed")
print("workers left", len(multiprocessing.active_children()))
"""


def notebook(stage: Stage) -> Outcomes:
    """Group 82: interrupted, then trained twice, in one process."""
    (script := stage.home / "82.py").write_text(NOTEBOOK)
    words = [
        sys.executable,
        str(script),
        str(stage.inputs / "bert"),
        str(stage.inputs / "rows.csv"),
    ]
    said = ("stopped by", "steps 10 10", "handlers same", "workers left 0")
    yield told("Ctrl-C, then two trainings", stage.run(words), 0, said)


def terminals(stage: Stage) -> Outcomes:
    """Group 83: output that is closed, terminals that know little."""
    whole = stage.whole()
    command = stage.command(stage.home / "83-head", None)
    script = 'set -o pipefail; "$@" | head -n 1'
    run = stage.run(["bash", "-c", script, "bash", *command])
    yield judged("| head -n 1", whole, [run])
    env = {
        "TERM": "dumb",
        "LC_ALL": "C",
        "LANG": "C",
        "PYTHONUTF8": "0",
        "PYTHONIOENCODING": "ascii",
    }
    words = [*stage.command(stage.home / "83-dumb"), "--samples.num_samples", "3"]
    yield judged("TERM=dumb, ASCII", whole, [stage.run(words, env=env)])


def folders(stage: Stage) -> Outcomes:
    """Group 84: no home, no cache, no folder for temporary files."""
    file = stage.home / "84-file"
    file.write_text("no folder")
    env = {"HOME": "/proc/nowhere", "LIT_HF_CACHE": str(stage.home / "84-cache")}
    run = stage.run(stage.command(stage.home / "84-home"), env=env)
    yield told("a home that cannot be written", run, 0)
    run = stage.run(stage.command(stage.home / "84-cache-run"), env={"LIT_HF_CACHE": str(file)})
    yield told("a cache that is a file", run, 2, ("84-file", "-Traceback"))
    run = stage.run(stage.command(stage.home / "84-tmp"), env={"TMPDIR": str(stage.home / "none")})
    yield told("TMPDIR that is not there", run, 0)


def interrupted(stage: Stage) -> Outcomes:
    """Group 85: Ctrl-C while rows are being prepared; the cache works afterwards."""
    whole = stage.whole()
    for number, wait in enumerate((2.5, 4.0, 5.5)):
        folder, cache = stage.home / f"85-{number}", stage.folder(f"85-cache-{number}")
        env, seen = {"LIT_HF_CACHE": str(cache)}, stage.folder(f"85-seen-{number}")
        with (seen / "said").open("wb") as said:
            process = stage.begin(stage.command(folder), seen, "", said, env)
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
            end_group(process)
        case = f"Ctrl-C after {wait} s, exit code {code}"
        # Before Python has imported the command it is Python that answers.
        text = (seen / "said").read_text(errors="replace")
        if code not in (130, -2, 0) and "Traceback" not in text:
            yield Outcome(case, ("wrong code",), text[-300:])
        run = stage.run(stage.command(folder), env=env)
        is_same = run.code == 0 and (run.end in (None, whole.end))
        yield right(case, is_same, "inexact", run.said[-300:])


FAULTS = {81: settings, 82: notebook, 83: terminals, 84: folders, 85: interrupted}
PLAIN: tuple[int, ...] = ()
