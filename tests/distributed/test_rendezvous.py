import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lightning.pytorch as pl
import pytest

from lit_hf.distributed.rendezvous import Place, place_of_process, tell_wait

RANKS = (
    *("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK", "RANK"),
    *("WORLD_SIZE", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_USE_AGENT_STORE"),
    *(
        "SLURM_NTASKS",
        "SLURM_NTASKS_PER_NODE",
        "SLURM_JOB_NAME",
        "SLURM_PROCID",
        "SLURM_NODELIST",
        "SLURM_JOB_ID",
    ),
)
COMMAND = """
import os, sys
name, value, what = os.environ["STRANGE"].split(",")
if os.environ.get(name, "0") == value:
    if what == "kill":
        import lightning.pytorch.trainer.trainer as place
        place._verify_loop_configurations = lambda trainer: os.kill(os.getpid(), 9)
    elif what == "late":
        import time, lit_hf.cli.main as place
        check = place.check_recipes
        place.check_recipes = lambda *given: (time.sleep(6), check(*given))
    else:
        sys.argv += what.split(" ")
from lit_hf.cli.command import run
run()
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class _Nodes:
    """Processes as on machines of their own, each with a folder of its own."""

    def __init__(self, folder: Path, model: str) -> None:
        self.folder, self.model, self.port = folder, model, _free_port()
        self.processes: list[subprocess.Popen[str]] = []
        rows = "\n".join(f"fire in town {n},{n % 2}" for n in range(40))
        (folder / "train.csv").write_text(f"text,label\n{rows}\n")

    def start(self, node: int, strange: str = "NONE,1,", devices: int = 1, nodes: int = 2) -> None:
        """Start one; `strange` says which variable, of which value, makes a process do what."""
        settings = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(self.port)}
        beside = {**settings, "NODE_RANK": str(node)} if nodes > 1 else {}
        words = [
            *("fit", "--model", "TextClassifier", "--model.model_name", self.model),
            *("--data", "TextClassificationDataModule", "--data.val_fraction", "0"),
            *("--data.train_file", str(self.folder / "train.csv"), "--checkpoint.monitor", "null"),
            *("--trainer.accelerator", "cpu", "--trainer.strategy", "ddp"),
            *("--trainer.devices", str(devices), "--trainer.num_nodes", str(nodes)),
            *("--trainer.default_root_dir", str(self.folder / f"run{node}")),
            *("--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false"),
        ]
        alone = {name: value for name, value in os.environ.items() if name not in RANKS}
        script = self.folder / "command.py"
        script.write_text(COMMAND)
        process = subprocess.Popen(
            [sys.executable, str(script), *words],
            env={**alone, **beside, "STRANGE": strange},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)

    def ends(self) -> list[tuple[int, str]]:
        """Exit code and errors of each."""
        found = [process.communicate(timeout=120)[1] for process in self.processes]
        codes = [process.returncode for process in self.processes]
        return list(zip(codes, found, strict=True))


@pytest.fixture
def nodes(tmp_path: Path, tiny_model: str) -> Iterator[_Nodes]:
    found = _Nodes(tmp_path, tiny_model)
    yield found
    for process in found.processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("refused", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_node_that_refuses__ends_the_other(nodes: _Nodes, refused: int) -> None:
    nodes.start(refused, f"NODE_RANK,{refused},--import missing.py")
    nodes.start(1 - refused)
    own, other = nodes.ends()
    assert (own[0], other[0]) == (2, 2), own[1] + other[1]
    assert "missing.py" in own[1]
    assert "has ended before the processes of this run met (code 2)" in other[1]
    assert other[1].count("lit-hf: error:") == 1
    assert not (nodes.folder / f"run{1 - refused}").exists()


@pytest.mark.slow
def test_node_that_is_late__hears_of_one_that_has_ended_before(nodes: _Nodes) -> None:
    nodes.start(0, "NODE_RANK,0,late")
    nodes.start(1, "NODE_RANK,1,--data.train_file missing.csv")
    late, own = nodes.ends()
    assert (late[0], own[0]) == (2, 2), late[1] + own[1]
    assert "has ended before the processes of this run met" in late[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("--data.train_file missing.csv", 2, "missing.csv: there is no such file"),
        ("kill", 1, "ended by SIGKILL"),
    ],
)
def test_started_process_that_ends__ends_the_first(
    nodes: _Nodes, what: str, code: int, told: str
) -> None:
    """On one machine, where Lightning would kill the first one without a word."""
    nodes.start(0, f"LOCAL_RANK,1,{what}", devices=2, nodes=1)
    ((found, errors),) = nodes.ends()
    assert found == code, errors
    assert told in errors
    assert "Forcefully terminating" not in errors


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable tells of others; none that the test makes is left."""
    for name in RANKS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("alone")
def test_place__is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "12345")
    assert place_of_process() is None  # no word of others
    monkeypatch.setenv("NODE_RANK", "0")
    assert place_of_process() == Place("10.0.0.1", 12345, is_host=True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert place_of_process() == Place("10.0.0.1", 12345, is_host=False)
    monkeypatch.setenv("MASTER_PORT", "none")
    assert place_of_process() is None  # the Trainer says what is wrong
    monkeypatch.setenv("MASTER_PORT", "12345")
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert place_of_process() == Place("10.0.0.1", 12345, is_host=True)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    assert place_of_process() == Place("10.0.0.1", 12345, is_host=False)


@pytest.mark.usefixtures("alone")
def test_place__of_jobs_of_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {
        "NTASKS": "2",
        "NTASKS_PER_NODE": "1",
        "JOB_NAME": "a",
        "PROCID": "1",
        "NODELIST": "n[1-2]",
        "JOB_ID": "7",
    }
    for name, value in about.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert place_of_process() == Place("n1", 15007, is_host=False)
    monkeypatch.setenv("SLURM_NTASKS", "1")
    assert place_of_process() is None


class _Heard(logging.Handler):
    """Keeps lines, and says when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.is_there = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        self.is_there.set()


def test_wait__for_others_is_told_where_it_is_long() -> None:
    heard, log = _Heard(), logging.getLogger("lit_hf.distributed.rendezvous")
    trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    log.addHandler(heard)
    try:
        for patience, wait in ((60, lambda: None), (0.05, lambda: heard.is_there.wait(60))):
            assert not heard.lines  # the others are there at once, then late
            trainer.strategy.setup_environment = wait  # type: ignore[method-assign,assignment]  # meets nobody
            tell_wait(trainer, patience=patience)
            trainer.strategy.setup_environment()
    finally:
        log.removeHandler(heard)
    assert "waiting for the other processes of this run, which meet at " in heard.lines[0]
