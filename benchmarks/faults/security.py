"""Group F: code that nobody asked for, secrets, hostile names and texts."""

import json
import pickle
import sys
import zipfile
from pathlib import Path

import torch

from benchmarks.faults.checkpoints import named
from benchmarks.faults.data import HEAD, words_of
from benchmarks.faults.resume import Outcomes
from benchmarks.faults.stage import Outcome, Stage
from benchmarks.faults.told import refused, told

SECRET = "hf_planted" + "0123456789abcdef"


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """What a pickle runs."""
        return exec, (f"open({str(self.path)!r}, 'w').close()",)


def _not_run(outcome: Outcome, canary: Path) -> Outcome:
    if canary.exists():
        return Outcome(outcome.case, (*outcome.faults, "silent"), "the code of the file was run")
    return outcome


def pickles(stage: Stage) -> Outcomes:
    """Group 72: as the checkpoint that is named, as `last.ckpt`, by URL, as the model's weights."""
    canary = stage.home / "72-canary"
    folder, _ = stage.killed("72")
    last = folder / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    content["hyper_parameters"]["extra"] = Evil(canary)
    torch.save(content, last)
    named_file = refused(stage, "a checkpoint", named(stage, folder, last), ["last.ckpt"])
    yield _not_run(named_file, canary)
    env = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    forced = stage.run(named(stage, folder, last), env=env)
    yield _not_run(told("a checkpoint, forced by the environment", forced, None), canary)
    words = [*stage.command(folder), "--ckpt_path", "http://127.0.0.1:9/last.ckpt"]
    yield refused(stage, "a URL", words, ["local"])
    model = stage.home / "72-model"
    model.mkdir()
    for path in (stage.inputs / "bert").iterdir():
        if path.suffix != ".safetensors":
            (model / path.name).write_bytes(path.read_bytes())
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(canary)))
    words = [str(model) if w.endswith("/bert") else w for w in stage.command(stage.home / "72-run")]
    yield _not_run(refused(stage, "pytorch_model.bin", words), canary)


def instantiators(stage: Stage) -> Outcomes:
    """Group 73: names of functions and classes in a checkpoint's hyperparameters."""
    canary = stage.home / "73-canary"
    folder, _ = stage.killed("73")
    last = folder / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    settings = content["hyper_parameters"]
    settings["_instantiator"] = "os.system"
    settings["_class_path"] = "subprocess.Popen"
    settings["head"] = {"class_path": "subprocess.Popen", "init_args": {"args": f"touch {canary}"}}
    torch.save(content, last)
    words = [sys.executable, "-m", "lit_hf", "export", str(last), str(stage.home / "73-out")]
    run = stage.run(words)
    yield _not_run(told("export", run._replace(code=run.code or 0), run.code or 0), canary)


def configs(stage: Stage) -> Outcomes:
    """Group 74: a config that names what is not ours."""
    canary = stage.home / "74-canary"
    (stage.home / "mischief.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
    start = f"touch {canary}"
    texts = {
        "os.system": f"callbacks: [{{class_path: os.system, init_args: {{command: {start}}}}}]",
        "Popen": f"logger: {{class_path: subprocess.Popen, init_args: {{args: {start}}}}}",
        "a module of the folder": "callbacks: [{class_path: mischief.Thing}]",
        "a YAML tag": f"max_epochs: !!python/object/apply:os.system ['{start}']",
    }
    for number, (case, text) in enumerate(texts.items()):
        path = stage.home / f"74-{number}.yaml"
        path.write_text(f"trainer: {{{text}}}\n")
        words = [*stage.command(stage.home / "74"), "--config", str(path)]
        at = words.index("--trainer.callbacks+")
        yield _not_run(refused(stage, case, words[:at] + words[at + 2 :]), canary)


def remote_code(stage: Stage) -> Outcomes:
    """Group 75: a model's config that asks for its own code."""
    canary = stage.home / "75-canary"
    model = stage.home / "75-model"
    model.mkdir()
    for path in (stage.inputs / "bert").iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    config["trust_remote_code"] = True
    config["auto_map"] = {
        "AutoModelForSequenceClassification": "code.Model",
        "AutoConfig": "code.C",
    }
    (model / "config.json").write_text(json.dumps(config))
    (model / "code.py").write_text(f"open({str(canary)!r}, 'w').close()\nclass Model: ...\n")
    words = [str(model) if w.endswith("/bert") else w for w in stage.command(stage.home / "75")]
    run = stage.run(words)
    yield _not_run(told("auto_map", run._replace(code=run.code or 0), run.code or 0), canary)


def secrets(stage: Stage) -> Outcomes:
    """Group 76: planted tokens stand in no file that a run writes, and nothing prints them."""
    env = {"HF_TOKEN": SECRET, "WANDB_API_KEY": SECRET, "MLFLOW_TRACKING_PASSWORD": SECRET}
    folder = stage.home / "76"
    words = [*stage.command(folder), "--trainer.logger", "TensorBoardLogger"]
    run = stage.run([*words, "--trainer.logger.save_dir", str(folder)], env=env)
    found = [str(p) for p in folder.rglob("*") if p.is_file() and _holds(p)]
    found += ["what it printed"] * (SECRET in run.said)
    outcome = told("tokens of the environment", run, 0)
    yield outcome if not found else Outcome(outcome.case, ("silent",), str(found))


def _holds(path: Path) -> bool:
    content = path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            content += b"".join(archive.read(name) for name in archive.namelist())
    return SECRET.encode() in content


def names(stage: Stage) -> Outcomes:
    """Group 77: names that lead out of the run folder."""
    for case, name in {
        "../../x": "../../x",
        "absolute": "/tmp/x",
        "300 letters": "x" * 300,
    }.items():
        words = [*stage.command(stage.home / "77" / "run"), "--checkpoint.filename", name]
        yield refused(stage, case, words, ["checkpoint.filename"])


def hostile(stage: Stage) -> Outcomes:
    """Groups 78 and 79: marks of HTML, Markdown, tables and terminals in texts and labels."""
    labels = ["<script>alert(1)</script>", "![x](http://evil.example/a.png)"]
    rows = [f't{n},"\x1b[31m=cmd|{n}",{labels[n % 2]}\n' for n in range(24)]
    (path := stage.home / "78.csv").write_text(HEAD + "".join(rows))
    words = words_of(stage, folder := stage.home / "78", path, "--samples.num_samples", "3")
    outcome = told("in labels and texts", run := stage.run(words), 0, ("-\x1b[31m",))
    card = (folder / "pretrained" / "README.md").read_text() if run.code == 0 else ""
    body = card.split("---")[-1]
    if "<script>" in body or "![x](http" in body:
        outcome = Outcome(outcome.case, ("silent",), "markup in the model card")
    yield outcome
    words = [sys.executable, "-m", "lit_hf", "predict", "--run", str(folder)]
    words += ["--import", "benchmarks.faults.witness", "--data.predict_file", str(path)]
    outcome = told("predict", stage.run(words), 0, ("-\x1b[31m",))
    lines = (folder / "predictions.jsonl").read_text().splitlines()
    if len(lines) != 24 or {json.loads(line)["prediction"] for line in lines} - set(labels):
        outcome = Outcome(outcome.case, ("silent",), "other labels")
    yield outcome


FAULTS = {
    72: pickles,
    73: instantiators,
    74: configs,
    75: remote_code,
    76: secrets,
    77: names,
    78: hostile,
}
PLAIN: tuple[int, ...] = ()
