"""The command: what it prints and returns; signals in a process of its own."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lit_hf.cli.command import import_named, main
from lit_hf.errors import InputError
from tests.commands import RECIPE, ROOT, fit_words, output_of, run_command
from tests.processes import wait_until


def test_main__help_version_and_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == main([]) == 0
    assert "usage: lit-hf VERB" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lit_hf ")
    assert main(["fti"]) == 2
    assert "Did you mean 'fit'?" in capsys.readouterr().err
    assert main(["test", "--allow-changed"]) == 2


@pytest.mark.parametrize(("verb", "default"), [("fit", "auto"), ("test", "null")])
def test_help__of_a_verb(verb: str, default: str) -> None:
    shown = " ".join(output_of(verb, "--help").split())
    assert re.findall(r"--ckpt_path CKPT_PATH (?!\[|\]).*?default: (\w+)\)", shown) == [default]


def test_help__of_a_group_asks_for_a_class(capsys: pytest.CaptureFixture[str]) -> None:
    for group, kind in (("model", "TextClassifier"), ("data", "TweetDataModule")):
        assert main(["fit", f"--{group}.help"]) == 2
        assert f"name a class, such as {kind}" in capsys.readouterr().err
    assert main(["fit", "--data.help", "TweetDataModule"]) == 0
    assert "--data.text_template" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.batch_sise", "3"], "Did you mean 'batch_size'?"),
        (["--data.batch_size", "many"], "data.batch_size: Expected a int. Got value: many"),
        (["--data.train_file", "trian.csv"], "no such file"),
        (["--model.optimizer.class_path", "subprocess.Popen"], "not allowed"),
        (["--model.head", "os.system"], "not allowed"),
        (["--nope", "1"], "'nope' is not known"),
        (["--learning_rate", "1"], "Here it is `model.optimizer.lr`"),
        (["--ckpt_path", "http://localhost/x.ckpt"], "expected a path on this machine"),
        (["--ckpt_path", "nowhere.ckpt"], "does not exist"),
        (["--data.batch_size", "0"], "`batch_size` to be at least 1"),
        (["--trainer.accelerator", "foo"], "foo"),
        (["--modle.x", "1"], "Did you mean 'model'?"),
        (["--model.label_names", "[p,q]"], "set `data.label_names`"),
        (["--data.label_names", "no"], "Expected a list. Got value: no"),
        (["--seed_everything", "-1"], "-1 is not in bounds"),
        (["--model.optimizer.lr", "-1"], "Invalid learning rate"),
        (["--trainer.max_epoch", "3"], "Did you mean 'trainer.max_epochs'?"),
        (["--trainer.default_root_dir", "/proc/x"], "cannot be written"),
        (["--trainer.default_root_dir", "https://me:s3cr3t@e.org"], "https://***@e.org: expected"),
        (["--config", "/bin/ls"], "/bin/ls"),
        (["--config", "nothing"], "no recipe of this name"),
        (["--trainer.val_check_interval", "900"], "val_check_interval"),
        (["--model.head", "MeenHead"], "Did you mean 'MeanHead'?"),
    ],
    ids=lambda value: "-".join(value)[2:30] if isinstance(value, list) else "",
)
def test_fit__a_mistake_is_one_message_and_exit_code_2(
    words: list[str], message: str, tiny_model: str, tmp_path: Path
) -> None:
    done = run_command(*fit_words(tiny_model, tmp_path / "run", *words), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lit-hf: error: ")
    assert message in done.stderr
    assert "s3cr3t" not in done.stderr
    left = {path.name.partition(".")[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"events"}  # of a logger


def test_fit__bad_row_stops_before_any_weights(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,text,target\n1,a fire,1\n2,a song,0\n3,,1\n")
    words = ["fit", "--config", str(RECIPE), "--model.model_name", "no-such-model"]
    done = run_command(*words, "--data.train_file", "train.csv", folder=tmp_path)
    assert done.returncode == 2
    assert "train.csv: 1 row: the text is empty (column 'text'): line 4" in done.stderr
    assert "no-such-model" not in done.stderr


def test_fit__user_head_by_class_path(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "my_heads.py").write_text(
        "import torch\n"
        "class Flat(torch.nn.Module):\n"
        "    def __init__(self, hidden_size: int, num_labels: int, width: int = 4) -> None:\n"
        "        super().__init__()\n"
        "        self.hidden_size, self.num_labels, self.width = hidden_size, num_labels, width\n"
        "        self.net = torch.nn.Linear(hidden_size, num_labels)\n"
        "    def forward(self, hidden_states, attention_mask):\n"
        "        return self.net(hidden_states[:, 0])\n"
    )
    head = ["--model.head", "my_heads.Flat", "--model.head.width", "3"]
    words = fit_words(tiny_model, tmp_path / "run", *head, "--trainer.max_steps", "2")
    refused = run_command(*words, folder=tmp_path)
    assert refused.returncode == 2
    assert "--import" in refused.stderr
    done = run_command(*words, "--import", "my_heads", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "pretrained" / "config.json").read_text())
    assert config["head"]["init_args"]["width"] == 3
    done = run_command("predict", "--run", "run", "--import", "my_heads", folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_import__by_name_and_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "sub").mkdir()
    (tmp_path / "first_of_mine.py").touch()
    (tmp_path / "sub" / "second_of_mine.py").touch()
    (tmp_path / "broken_one.py").write_text("import gone\n")
    (tmp_path / "json.py").touch()
    assert import_named("first_of_mine") == "first_of_mine"
    assert import_named("sub/second_of_mine.py") == "second_of_mine"
    for name, message in (
        ("json", "rename it"),
        ("frist_of_mine", "Did you mean 'first_of_mine'"),
        ("..", "name of a module"),
    ):
        with pytest.raises(InputError, match=message):
            import_named(name)
    with pytest.raises(ModuleNotFoundError, match="gone"):
        import_named("broken_one")


def test_command__imports_nothing_else_from_the_working_folder(tmp_path: Path) -> None:
    for name in ("yaml", "torch", "numpy"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n")
    words = [sys.executable, "-m", "lit_hf", "validate", "--run", "nowhere"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_fit__signal_gives_its_exit_code(
    number: signal.Signals, code: int, tiny_model: str, tmp_path: Path
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.max_epochs", "1000")
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "lit_hf", *words],
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            # These tests may run by nohup.
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
        )
        try:
            wait_until(lambda: "step 20" in (tmp_path / "log").read_text())
            process.send_signal(number)
            assert process.wait(timeout=300) == code, (tmp_path / "log").read_text()[-2000:]
        finally:
            process.kill()
    assert "the same command resumes" in (tmp_path / "log").read_text()


def test_closed_output__is_no_crash(tmp_path: Path) -> None:
    command = f"{sys.executable} -m lit_hf --help | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False
    )
    assert done.stdout.startswith("usage: lit-hf")
    assert done.stderr == ""


def test_closed_output__does_not_end_a_training(tiny_model: str, tmp_path: Path) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_hf", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()


def test_print_config__is_a_whole_config_without_keys() -> None:
    words = ["fit", "--config", "text_classification/demo", "--model.model_name", "x"]
    shown = output_of(*words, "--data.train_file=https://me:s3cr3t@e.org/a", "--print_config")
    config = yaml.safe_load(shown)
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 1e-4
    assert config["data"]["init_args"]["train_file"] == "https://***@e.org/a"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed"), 1, "num_workers"),
        (RuntimeError("DataLoader timed out after 5 seconds"), 1, "none for 5 seconds"),
        (ConnectionResetError(), 1, "a process that loads batches is gone"),
        (RuntimeError("CUDA out of memory. Tried"), 1, "smaller `data.batch_size`"),
        (MemoryError(), 1, "out of memory"),
        (OSError(errno.ENOSPC, "No space left", "run/events"), 1, "run/events: cannot be written"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit(143), 143, ""),
        (InputError("row 3"), 2, "error: row 3"),
    ],
)
def test_faults__have_their_exit_codes_and_advice(
    error: BaseException,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("lit_hf.cli.main.run_verb", fail)
    assert main(["fit"]) == code
    assert message in capsys.readouterr().err


def test_fault__without_a_message_shows_no_keys_of_addresses() -> None:
    code = (
        "import lit_hf.cli.command as command\n"
        "def fail(words):\n"
        "    raise OSError('https://example.org/x?X-Amz-Signature=s3cr3t: 403')\n"
        "command.main = fail\ncommand.run()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "Signature=***" in done.stderr
    assert "s3cr3t" not in done.stderr


def test_recipes__are_listed_and_shown() -> None:
    assert "text_classification/demo  " in output_of("recipes")
    assert output_of("recipes", "text_classification/demo") == RECIPE.read_text(encoding="utf-8")
    for name in ("nope", "models", ".", ""):
        assert run_command("recipes", name, folder=ROOT).returncode == 2
