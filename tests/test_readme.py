"""README and guide: their commands exist, their Python runs, their links lead somewhere."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.kernels import run_cells, text_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_readme__names_the_commands_that_are_there() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for path in re.findall(r"configs/[\w/]+\.yaml", readme):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page__links_and_code(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link:
            assert (page.parent / link).exists(), link
    for block in _blocks(text, "python"):
        ast.parse(block)


# The bar that Lightning takes where Rich is not installed; it has no setting for it.
TQDM = """
from lightning.pytorch.trainer.connectors import callback_connector
callback_connector._RICH_AVAILABLE = False
"""
INTERRUPTED = """
import signal

class Stop(pl.Callback):
    def on_train_batch_end(self, trainer, *args):
        signal.raise_signal(signal.SIGINT)

folder = {"default_root_dir": "runs/notebook", "logger": False}
try:
    pl.Trainer(**folder, max_epochs=1, callbacks=[Stop()]).fit(module, data)
except SystemExit:
    print("stopped")
rows = data.val_dataloader()
pl.Trainer(**folder, callbacks=[lit_hf.PredictionWriter()]).predict(module, rows)
"""


def _lay_into_hub_cache(folder: str, name: str, home: Path) -> None:
    """Make a folder the model of a Hub id, as if it had been downloaded."""
    cache = home / "hub" / f"models--{name.replace('/', '--')}"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, cache / "snapshots" / ("0" * 40))


@pytest.mark.slow
@pytest.mark.usefixtures("jupyter_home")
@pytest.mark.parametrize("first", [[], [TQDM]], ids=["rich", "tqdm"])
def test_readme__notebook_lines_run_in_a_kernel(
    first: list[str], tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = _blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    assert len(re.findall(r"^(?:import|from) ", block, re.MULTILINE)) <= 4
    (name,) = re.findall(r'^MODEL = "(.+)"', block, re.MULTILINE)
    _lay_into_hub_cache(tiny_model, name, tmp_path / "hf")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    (folder := tmp_path / "here").mkdir()
    *_, once, stopped, again = run_cells([*first, block, INTERRUPTED, block], folder)
    panels = ["validation, the same examples each time", "validation, the largest losses"]
    for cell in (once, again):  # each line once, also after an interrupted training
        text = text_of(cell)
        assert re.findall(r"step \d+ · (?:epoch \d · )?[a-z, ]+", text) == [
            *[f"step 15 · epoch 0 · {panel}" for panel in panels],
            "step 15 · val",
            "step 20 · epoch 1 · training examples",
            *[f"step 30 · epoch 1 · {panel}" for panel in panels],
            "step 30 · val",
            "step 40 · epoch 2 · training examples",
            *[f"step 45 · epoch 2 · {panel}" for panel in panels],
            "step 45 · val",
        ]
        assert text.count("15 steps an epoch") == 1  # a log line
        assert text.count("exported runs/notebook/lightning_logs") == 1
        assert text.count("'prediction'") == 2
    lines = re.findall("stopped|wrote .*", text_of(stopped))  # a live bar has outputs of its own
    assert sorted(lines) == ["stopped", "wrote runs/notebook/predictions.jsonl"]
    numbers = (folder / "runs/notebook/metrics.csv").read_text(encoding="utf-8")
    assert numbers.count("val/f1") >= 3
    assert (folder / "runs/notebook/pretrained/config.json").is_file()


def test_project__speaks_of_no_machine() -> None:
    for path in [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "configs").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(root|home|work)/\w", text), path
        if path.suffix == ".yaml":
            yaml.safe_load(text)
