"""The command: what it prints, writes and returns; signals in a process of its own."""

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from lit_hf.cli import main

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "configs" / "text_classification" / "demo.yaml"
TWEETS = ROOT / "lit_hf" / "assets" / "tweets"


@dataclass
class Done:
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def _run(*words: str, folder: Path) -> Done:
    """Run a command in this process, as it would run in the folder."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")
        path = list(sys.path)
        code = main(words)
        sys.path[:] = path
    return Done(code, out.getvalue(), err.getvalue())


def _told(warned: pytest.WarningsRecorder, part: str) -> list[str]:
    """Warnings of libraries that hold a text; pytest keeps them from stderr."""
    return [text for text in (str(warning.message) for warning in warned) if part in text]


def _fit_words(model: str, run: Path, *more: str) -> list[str]:
    return [
        "fit",
        *("--config", str(RECIPE)),
        *("--model.model_name", model),
        *("--data.train_file", str(TWEETS / "train.csv")),
        *("--data.test_file", str(TWEETS / "test.csv")),
        *("--data.predict_file", str(TWEETS / "test.csv")),
        *("--trainer.default_root_dir", str(run)),
        *("--trainer.accelerator", "cpu"),
        *("--trainer.max_epochs", "2"),
        *more,
    ]


@pytest.fixture(scope="module")
def run_folder(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, made by the command."""
    folder = tmp_path_factory.mktemp("runs")
    done = _run(*_fit_words(tiny_model, folder / "tweets"), folder=folder)
    assert done.returncode == 0, done.stderr
    assert "step 20 · epoch 1 · training examples" in done.stdout
    assert "val/f1" in done.stdout
    return folder / "tweets"


def test_fit__leaves_the_run_folder_of_the_contract(run_folder: Path) -> None:
    names = {str(path.relative_to(run_folder)) for path in run_folder.rglob("*") if path.is_file()}
    wanted = {
        "config.yaml",
        "checkpoints/last.ckpt",
        "metrics.csv",
        "samples.jsonl",
        "results.json",
        "pretrained/config.json",
        "pretrained/model.safetensors",
        "pretrained/tokenizer.json",
        "pretrained/README.md",
    }
    assert wanted <= names
    assert any(name.startswith("lightning_logs/") and "tfevents" in name for name in names)
    results = json.loads((run_folder / "results.json").read_text())
    assert results["fit"]["val/num_examples"] == 60
    assert (run_folder / results["fit"]["checkpoint"]).is_file()


def test_evaluation__needs_no_pretrained_model(run_folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run_folder, moved)
    gone = str(tmp_path / "gone")  # config and tokenizer are in the checkpoint too
    done = _run("validate", "--run", "run", "--model.model_name", gone, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((moved / "results.json").read_text())
    assert results["validate"]["f1"] == pytest.approx(results["fit"]["best_score"], abs=1e-6)


def test_evaluation__needs_the_run_folder_only(run_folder: Path, tmp_path: Path) -> None:
    for verb, stage, count in [("validate", "validate", 60), ("test", "test", 60)]:
        done = _run(verb, "--run", str(run_folder), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        scores = json.loads((run_folder / "results.json").read_text())[stage]
        assert scores["num_examples"] == count
        assert 0 <= scores["accuracy"] <= 1
    results = json.loads((run_folder / "results.json").read_text())
    assert results["validate"]["checkpoint"] == results["fit"]["checkpoint"]  # the best one
    assert results["validate"]["f1"] == pytest.approx(results["fit"]["best_score"], abs=1e-6)


def test_predict__writes_every_row_once_in_order(run_folder: Path, tmp_path: Path) -> None:
    done = _run("predict", "--run", str(run_folder), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (TWEETS / "test.csv").open(encoding="utf-8", newline="") as stream:
        ids = [row["id"] for row in csv.DictReader(stream)]
    with (run_folder / "submission.csv").open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["id"] for row in table] == ids
    lines = (run_folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [json.loads(line) for line in lines]
    assert [row["id"] for row in answers] == ids
    written = {"no": "0", "disaster": "1"}  # as the training file writes its classes
    assert [row["target"] for row in table] == [written[row["prediction"]] for row in answers]
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in answers)


def test_export__any_checkpoint(run_folder: Path, tmp_path: Path) -> None:
    last = run_folder / "checkpoints" / "last.ckpt"
    done = _run("export", str(last), "somewhere", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "somewhere" / "model.safetensors").is_file()


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [[], ["--trainer.max_epochs", "1"], ["--trainer.max_epochs", "-1", "--trainer.max_steps", "7"]],
)
def test_fit__again_after_the_end_changes_nothing(
    run_folder: Path, tmp_path: Path, words: list[str]
) -> None:
    before = _contents(run_folder)
    done = _run("fit", "--run", str(run_folder), *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "already finished" in done.stdout
    assert "the same command" not in done.stdout
    assert _contents(run_folder) == before


def test_fit__that_was_killed_at_its_end_writes_what_it_lacks(
    run_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    whole = json.loads((run_folder / "results.json").read_text())["fit"]
    (tmp_path / "run" / "results.json").unlink()
    shutil.rmtree(tmp_path / "run" / "pretrained")
    done = _run("fit", "--run", "run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())["fit"]
    assert found == whole
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()


def test_fit__again_with_more_epochs_goes_on(
    run_folder: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run_folder, moved)
    done = _run("fit", "--run", "run", "--trainer.max_epochs", "3", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on from" in done.stdout
    assert not _told(recwarn, "is not empty")  # of the folder of its checkpoints
    assert "step 30 · val/accuracy" not in done.stdout  # the epochs that were done
    assert "step 45 · val/accuracy" in done.stdout
    assert json.loads((moved / "results.json").read_text())["fit"]["step"] == 45
    with (moved / "metrics.csv").open() as stream:
        steps = [row["step"] for row in csv.DictReader(stream) if row["name"] == "val/f1"]
    assert steps == ["15", "30", "45"]


def test_fit__that_is_refused_leaves_the_run_as_it_was(run_folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(run_folder, moved)
    before = (moved / "config.yaml").read_bytes()
    words = ["--trainer.max_epochs", "3", "--model.head", "MeanHead"]
    done = _run("fit", "--run", "run", *words, folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "holds the weights of another model" in done.stderr
    assert (moved / "config.yaml").read_bytes() == before


def test_fit__that_goes_on_as_another_training_is_refused_unless_it_is_wanted(
    run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    words = ["--run", "run", "--trainer.max_epochs", "3", "--data.batch_size", "7"]
    done = _run("fit", *words, folder=tmp_path)
    assert done.returncode == 2
    assert "not the training that was stopped: data.batch_size was 16, is 7." in done.stderr
    assert "the same command" not in done.stdout
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before
    done = _run("fit", *words, "--allow-changed", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on as another training: data.batch_size" in caplog.text + done.stderr
    assert _run("test", "--run", "run", "--allow-changed", folder=tmp_path).returncode == 2


def test_fit__that_goes_on_with_other_settings_tells_them(
    run_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    words = ["--trainer.max_epochs", "3", "--data.eval_batch_size", "7"]
    done = _run("fit", "--run", "run", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = caplog.text + done.stderr
    assert "other settings: data.eval_batch_size is 7, was 64. It goes on" in told


def test_fit__that_goes_on_with_another_learning_rate_is_refused(
    run_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    before = _contents(tmp_path / "run")
    words = ["--trainer.max_epochs", "3", "--allow-changed", "--model.optimizer.lr", "0.5"]
    done = _run("fit", "--run", "run", *words, "--model.warmup_ratio", "0.3", folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "model.optimizer.lr is 0.5, was " in done.stderr
    assert "model.warmup_ratio is 0.3, was 0.1: a training that goes on takes" in done.stderr
    assert "the same command" not in done.stdout
    assert _contents(tmp_path / "run") == before
    newest = tmp_path / "run" / "checkpoints" / "last.ckpt"  # in another folder as well
    done = _run(
        *("fit", "--run", "run", *words, "--trainer.default_root_dir", "other"),
        *("--ckpt_path", str(newest)),
        folder=tmp_path,
    )
    assert done.returncode == 2, done.stderr


def test_fit__that_ends_before_a_validation_says_so(
    tiny_model: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    words = _fit_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "2")
    done = _run(*words, "--trainer.limit_val_batches", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ended at step 2 with no score 'val/f1'" in done.stderr
    assert not _told(recwarn, "HINT")
    assert "2,0,train/loss" in (tmp_path / "run" / "metrics.csv").read_text()
    done = _run("validate", "--run", "run", "--data.eval_batch_size", "8", folder=tmp_path)
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
    words = _fit_words(tiny_model, tmp_path / "run", *head, "--trainer.max_epochs", "1")
    refused = _run(*words, folder=tmp_path)
    assert refused.returncode == 2
    assert "--import" in refused.stderr
    done = _run(*words, "--import", "my_heads", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "pretrained" / "config.json").read_text())
    assert config["head"]["init_args"]["width"] == 3
    done = _run("predict", "--run", "run", "--import", "my_heads", folder=tmp_path)
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
        (["--checkpoint.monitor", "val/f2"], "Did you mean 'val/f1'?"),
        (["--ckpt_path", "http://localhost/x.ckpt"], "only local files"),
        (["--ckpt_path", "nowhere.ckpt"], "no such checkpoint"),
        (["--data.batch_size", "0"], "Expected `batch_size` to be at least 1, but got 0."),
        (["--model.warmup_ratio", "2"], "Expected `warmup_ratio` to lie in 0..1"),
        (["--trainer.accelerator", "foo"], "foo"),
        (["--trainer.max_epochs", "1", "--modle.x", "1"], "Did you mean 'model'?"),
        (["--model.label_names", "[p,q]"], "set `data.label_names`"),
        (["--data.label_names", "[no,yes]"], "put the word in quotes"),
        (["--seed_everything", "-1"], "`seed_everything`"),
        (["--model.optimizer.lr", "-1"], "`optimizer`: Invalid learning rate"),
        (["--trainer.default_root_dir", "/proc/x"], "no run folder can be made here"),
        (["--config", "/bin/ls"], "`--config`: a file that is no text in UTF-8"),
        (["--checkpoint.filename", "../x"], "without folders"),
    ],
    ids=lambda value: "-".join(value)[2:30] if isinstance(value, list) else "",
)
def test_fit__a_mistake_is_one_message_and_exit_code_2(
    words: list[str], wanted: str, tiny_model: str, tmp_path: Path
) -> None:
    done = _run(*_fit_words(tiny_model, tmp_path / "run", *words), folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("lit-hf: error: ")
    assert wanted in done.stderr
    assert not (tmp_path / "run").exists()  # what is refused leaves nothing behind


def test_fit__without_classes_asks_for_them(tmp_path: Path) -> None:
    words = ["fit", "--model.model_name", "x", "--data.train_file", "x.csv"]
    done = _run(*words, folder=tmp_path)
    assert done.returncode == 2
    assert "which model? Give a recipe with `--config`" in done.stderr


def test_fit__from_weights_alone_is_refused(run_folder: Path, tmp_path: Path) -> None:
    content = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)
    for name in ("loops", "optimizer_states"):
        content.pop(name)
    torch.save(content, tmp_path / "weights.ckpt")
    words = ["--run", str(run_folder), "--ckpt_path", str(tmp_path / "weights.ckpt")]
    done = _run("fit", *words, folder=tmp_path)
    assert done.returncode == 2
    assert "holds weights only; nothing to go on from" in done.stderr
    done = _run("predict", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_fit__bad_row_stops_before_any_weights(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,text,target\n1,a fire,1\n2,a song,0\n3,,1\n")
    words = ["fit", "--config", str(RECIPE), "--model.model_name", "no-such-model"]
    done = _run(*words, "--data.train_file", "train.csv", folder=tmp_path)
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

    done = _run(*_fit_words(tiny_model, tmp_path / "run"), "--print_config", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 1e-4
    assert config["samples"] == {"every_n_steps": 20, "num_samples": 6, "num_grids": 100}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 143)])
def test_fit__signal_gives_its_exit_code(
    number: signal.Signals, code: int, tiny_model: str, tmp_path: Path
) -> None:
    words = _fit_words(tiny_model, tmp_path / "run", "--trainer.max_epochs", "1000")
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
            deadline = time.monotonic() + 60
            while "step 20" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
                time.sleep(0.2)
            process.send_signal(number)
            assert process.wait(timeout=30) == code, (tmp_path / "log").read_text()[-2000:]
        finally:
            process.kill()
    assert "the same command" in (tmp_path / "log").read_text()


def test_closed_output__is_no_crash(tmp_path: Path) -> None:
    command = f"{Path(sys.executable).parent}/lit-hf --help | head -n 1"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=30, check=False
    )
    assert done.stdout.startswith("usage: lit-hf")
    assert done.stderr == ""


def test_closed_output__does_not_end_a_training(tiny_model: str, tmp_path: Path) -> None:
    words = _fit_words(tiny_model, tmp_path / "run", "--trainer.max_steps", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "lit_hf", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert (tmp_path / "run" / "pretrained" / "model.safetensors").is_file()


def test_kaggle__from_train_file_to_submission(
    tiny_model: str, real_data: Path, tmp_path: Path
) -> None:
    files = real_data / "disaster_tweets"
    recipe = ROOT / "configs" / "text_classification" / "disaster_tweets.yaml"
    done = _run(
        "fit",
        *("--config", str(recipe), "--model.model_name", tiny_model),
        *("--data.train_file", str(files / "train.csv"), "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", "run", "--trainer.max_steps", "3"),
        *("--samples.num_samples", "0", "--data.batch_size", "8"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    done = _run("validate", "--run", "run", "--samples.num_samples", "0", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["validate"]["num_examples"] == 1523
    predict_file = ["--data.predict_file", str(files / "test.csv")]
    done = _run("predict", "--run", "run", *predict_file, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    with (files / "sample_submission.csv").open(newline="") as stream:
        wanted = [row["id"] for row in csv.DictReader(stream)]
    with (tmp_path / "run" / "submission.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == 3263
    assert [row["id"] for row in table] == wanted
    assert {row["target"] for row in table} <= {"0", "1"}
