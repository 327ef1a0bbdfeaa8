"""The command: what it prints and returns; signals in a process of its own."""

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO, cast

import pytest

from lit_hf.cli.command import _Unread, main
from tests.commands import RECIPE, ROOT, fit_words, run_command, warnings_with
from tests.processes import wait_until


def test_fit__that_ends_before_a_validation_says_so(
    tiny_model: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "2")
    done = run_command(*words, "--trainer.limit_val_batches", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ended at step 2 with no score 'val/f1'" in done.stderr
    assert not warnings_with(recwarn, "HINT")
    assert "2,0,train/loss" in (tmp_path / "run" / "metrics.csv").read_text()
    done = run_command("validate", "--run", "run", "--data.eval_batch_size", "8", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["validate"]["num_examples"] == 60  # not the one batch of the training


def test_fit__user_head_by_class_path(tiny_model: str, tmp_path: Path) -> None:
    (tmp_path / "my_heads.py").write_text(
        "import torch\n"
        "class Flat(torch.nn.Module):\n"
        "    def __init__(self, hidden_size: int, num_labels: int, width: int = 4) -> None:\n"
        "        super().__init__()\n"
        "        self.hidden_size, self.num_labels, self.width = hidden_size, num_labels, width\n"
        "        self.net = torch.nn.Sequential(\n"
        "            torch.nn.Linear(hidden_size, width), torch.nn.Linear(width, num_labels))\n"
        "    def forward(self, hidden_states, attention_mask):\n"
        "        return self.net(hidden_states[:, 0])\n"
    )
    head = ["--model.head", "my_heads.Flat", "--model.head.width", "3"]
    words = fit_words(tiny_model, tmp_path / "run", *head, "--trainer.max_epochs", "1")
    refused = run_command(*words, folder=tmp_path)
    assert refused.returncode == 2
    assert "--import" in refused.stderr
    done = run_command(*words, "--import", "my_heads", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "pretrained" / "config.json").read_text())
    assert config["head"]["init_args"]["width"] == 3
    done = run_command("predict", "--run", "run", "--import", "my_heads", folder=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--data.batch_sise", "3"], "Did you mean 'batch_size'?"),
        (["--data.batch_size", "many"], "expected int"),
        (["--data.train_file", "trian.csv"], "no such file"),
        (["--model.optimizer.class_path", "subprocess.Popen"], "not allowed"),
        (["--model.head", "os.system"], "not allowed"),
        (["--nope", "1"], "--nope"),
        (["--checkpoint.monitor", "val/F1"], "the monitor is called 'val/f1' here"),
        (["--ckpt_path", "http://localhost/x.ckpt"], "wanted is a path on this machine"),
        (["--ckpt_path", "nowhere.ckpt"], "does not exist"),
        (["--data.batch_size", "0"], "Expected `--data.batch_size` to be at least 1, but got 0."),
        (["--model.warmup_ratio", "2"], "Expected `--model.warmup_ratio` to lie in 0..1"),
        (["--trainer.accelerator", "foo"], "foo"),
        (["--trainer.max_epochs", "1", "--modle.x", "1"], "Did you mean 'model'?"),
        (["--model.label_names", "[p,q]"], "set `data.label_names`"),
        (["--data.label_names", "no"], "expected list, but got 'no'"),
        (["--seed_everything", "null"], "expected bool or int, but got 'None'"),
        (["--seed_everything", "-1"], "`--seed_everything`"),
        (["--model.optimizer.lr", "-1"], "`--model.optimizer`: Invalid learning rate"),
        (["--trainer.max_epoch", "3"], "Did you mean 'max_epochs'?"),
        (["--trainer.default_root_dir", "/proc/x"], "no run folder can be made here"),
        (["--config", "/bin/ls"], "/bin/ls: this is not text in UTF-8"),
        (["--checkpoint.filename", "../x"], "without folders"),
    ],
    ids=lambda value: "-".join(value)[2:30] if isinstance(value, list) else "",
)
def test_fit__a_mistake_is_one_message_and_exit_code_2(
    words: list[str], wanted: str, tiny_model: str, tmp_path: Path
) -> None:
    done = run_command(*fit_words(tiny_model, tmp_path / "run", *words), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lit-hf: error: ")
    assert wanted in done.stderr
    assert not (tmp_path / "run").exists()  # what is refused leaves nothing behind


def test_fit__without_classes_asks_for_them(tmp_path: Path) -> None:
    words = ["fit", "--model.model_name", "x", "--data.train_file", "x.csv"]
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 2
    assert "which model? Give a recipe with `--config`" in done.stderr


def test_fit__bad_row_stops_before_any_weights(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,text,target\n1,a fire,1\n2,a song,0\n3,,1\n")
    words = ["fit", "--config", str(RECIPE), "--model.model_name", "no-such-model"]
    done = run_command(*words, "--data.train_file", "train.csv", folder=tmp_path)
    assert done.returncode == 2
    assert "train.csv: 1 row: the text is empty (column 'text'): line 4" in done.stderr
    assert "no-such-model" not in done.stderr


@pytest.mark.parametrize("more", [[], ["--run", "x"], ["--data.batch_size", "2"]])
def test_help__of_a_group_asks_for_a_class(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for group, kind in (("model", "ExtractiveQA"), ("data", "TweetDataModule")):
        assert main(["fit", f"--{group}.help", *more]) == 2
        assert f"--{group}.help: name a class, such as" in (told := capsys.readouterr().err)
        assert kind in told
    assert main(["fit", "--data.help", "TweetDataModule"]) == 0
    assert "--data.text_template" in capsys.readouterr().out


def test_help__of_a_verb_tells_of_runs_and_imports(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "--run DIR takes the configuration of an earlier run" in out
    assert "--import MODULE" in out


@pytest.mark.parametrize(("verb", "default"), [("fit", "auto"), ("test", "null")])
def test_help__shows_from_where_a_verb_begins(verb: str, default: str, tmp_path: Path) -> None:
    told = " ".join(run_command(verb, "--help", folder=tmp_path).stdout.split())
    (about,) = re.findall(r"--ckpt_path CKPT_PATH (?!\[|\]).*?default: (\w+)\)", told)
    assert about == default


def test_main__help_version_and_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main([]) == 0
    assert "usage: lit-hf VERB" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lit_hf ")
    assert main(["fti"]) == 2
    assert "Did you mean 'fit'?" in capsys.readouterr().err


def test_print_config__is_a_whole_config(tiny_model: str, tmp_path: Path) -> None:
    import yaml

    done = run_command(*fit_words(tiny_model, tmp_path / "run"), "--print_config", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 1e-4
    assert config["samples"] == {"every_n_steps": 20, "num_samples": 6, "num_grids": 100}


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
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            preexec_fn=lambda: signal.signal(
                number, signal.SIG_DFL
            ),  # these tests may run by nohup
        )
        try:
            wait_until(lambda: "step 20" in (tmp_path / "log").read_text())
            process.send_signal(number)
            assert process.wait(timeout=300) == code, (tmp_path / "log").read_text()[-2000:]
        finally:
            process.kill()
    assert "the same command" in (tmp_path / "log").read_text()


def test_closed_output__is_no_crash(tmp_path: Path) -> None:
    command = f"{Path(sys.executable).parent}/lit-hf --help | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=300, check=False
    )
    assert done.stdout.startswith("usage: lit-hf")
    assert done.stderr == ""


def test_closed_output__does_not_end_a_training(tiny_model: str, tmp_path: Path) -> None:
    words = fit_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_hf", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=300) == 0
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("number", "is_gone"), [(errno.EPIPE, True), (errno.EINVAL, True), (errno.ENOSPC, False)]
)
def test_closed_output__is_told_in_the_way_of_each_system(
    number: int, is_gone: bool, tmp_path: Path
) -> None:
    class Closed:
        def __init__(self, stream: TextIO) -> None:
            self.fileno = stream.fileno

        def write(self, text: str) -> int:
            raise OSError(number, os.strerror(number))

    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        unread = _Unread(cast("TextIO", Closed(stream)))
        with nullcontext() if is_gone else pytest.raises(OSError, match="No space"):
            assert unread.write("text") == 0


def test_kaggle__from_train_file_to_submission(
    tiny_model: str, real_data: Path, tmp_path: Path
) -> None:
    files = real_data / "disaster_tweets"
    recipe = ROOT / "configs" / "text_classification" / "disaster_tweets.yaml"
    done = run_command(
        "fit",
        *("--config", str(recipe), "--model.model_name", tiny_model),
        *("--data.train_file", str(files / "train.csv"), "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", "run", "--trainer.max_steps", "3"),
        *("--samples.num_samples", "0", "--data.batch_size", "8"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = run_command("validate", "--run", "run", "--samples.num_samples", "0", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["validate"]["num_examples"] == 1523
    predict_file = ["--data.predict_file", str(files / "test.csv")]
    done = run_command("predict", "--run", "run", *predict_file, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (files / "sample_submission.csv").open(newline="") as stream:
        wanted = [row["id"] for row in csv.DictReader(stream)]
    with (tmp_path / "run" / "submission.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == 3263
    assert [row["id"] for row in table] == wanted
    assert {row["target"] for row in table} <= {"0", "1"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "--config", "https://me:s3cr3t@e.org/r.yaml"], "`--config` https://***@e.org"),
        (["validate", "--run", "s3://b/run"], "`--run` s3://b/run"),
        (["export", "s3://b/last.ckpt", "out"], "`checkpoint` s3://b/last.ckpt"),
        (["export", "last.ckpt", "s3://b/out"], "`folder` s3://b/out"),
    ],
)
def test_command__refuses_addresses_in_one_line(
    words: list[str], told: str, tmp_path: Path
) -> None:
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lit-hf: error: {told}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("data.train_file", "s3://b/t.csv"),
        ("data.val_file", "[a.csv, gs://b/*.csv]"),
        ("model.model_name", "abfs://b/model"),
        ("ckpt_path", "s3://b/last.ckpt"),
        ("trainer.default_root_dir", "file:///tmp/run"),
        ("trainer.callbacks", "{class_path: ModelCheckpoint, init_args: {dirpath: 'gs://b'}}"),
        ("trainer.callbacks", "[{class_path: ModelCheckpoint, init_args: {dirpath: 'gs://b'}}]"),
    ],
)
def test_fit__refuses_addresses_before_it_trains(
    option: str, value: str, tiny_model: str, tmp_path: Path
) -> None:
    words = fit_words(tiny_model, tmp_path / "run", f"--{option}", value)
    done = run_command(*words, folder=tmp_path)
    assert done.returncode == 2
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("lit-hf: error")]
    name = "dirpath" if option == "trainer.callbacks" else option
    assert f"`{name}` " in told.replace("`--", "`")
    assert "wanted is a path on this machine" in told
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_fault__of_no_words_shows_no_keys_of_addresses() -> None:
    code = """
import lit_hf.cli.command
def fail(words):
    raise OSError("https://example.org/x?X-Amz-Signature=s3cr3t: 403")
lit_hf.cli.command.main = fail
lit_hf.cli.command.run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Signature=***" in done.stderr
    assert done.stderr.startswith("Traceback")
    assert "s3cr3t" not in done.stderr
