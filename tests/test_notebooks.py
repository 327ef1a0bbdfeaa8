"""The notebooks run from top to bottom; run this file as a script to renew their outputs.

`python -m tests.test_notebooks extractive_qa` renews those that are named, without a name all.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from tests.kernels import run_notebook

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# The fixture that stands in for MODEL_NAME, where it is not tiny_model.
MODELS = {"generative_qa": "tiny_t5", "image_classification": "tiny_vit"}
MACHINE_PATH = re.compile(
    r"(?<![\w.])/(work|root|home|Users|tmp|private|var|opt|usr|mnt)\b|site-packages|[A-Z]:\\Users"
)


def _read(path: Path) -> NotebookNode:
    # nbformat's functions have no types.
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _texts(cell: NotebookNode) -> list[str]:
    """What a reader sees of a cell, without its pictures."""
    texts = [str(cell.source)]
    for output in cell.get("outputs", []):
        texts.append(str(output.get("text", "")))
        texts += [str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/")]
    return texts


NUMBER = re.compile(r"(?<!\w)(?<!\w\.)-?(\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?|nan|inf)%?(?!\w)")
QUOTED = re.compile(r"""'[^']*'|"[^"]*"|["'].*""")
FILE = re.compile(r"'[\w.]+\.(json|md|safetensors)'")
# Lines of which there are more or fewer with another tokenizer.
BY_TOKENIZER = ("tokens and are cut.", "signs that the tokenizer does not know.")
BY_WINDOW = ("window ", "labels:", "taught:")


def _masked(line: str) -> str:
    """A line without its numbers and what stands in quotes; one of a list for all of it."""
    step = re.match(r"(step \d+( · epoch \d+ · )?)?", line)
    assert step
    rest = QUOTED.sub(lambda m: m[0] if FILE.fullmatch(m[0]) else "'…'", line[step.end() :])
    return step[0] + re.sub(r"(#|'…')(, \1)+", r"\1", NUMBER.sub("#", rest))


def _lines(output: NotebookNode) -> Iterator[str]:
    """What an output shows: a table by its header and index, a picture by its kind."""
    data = output.get("data", {})
    yield from (kind for kind in data if kind.startswith("image/"))
    if "<table" in (html := str(data.get("text/html", ""))):
        yield "table: " + ", ".join(re.findall(r"<th>(.*?)</th>", html, re.DOTALL))
        return
    if any(kind.startswith("image/") for kind in data):
        return
    text = str(output.get("text") or data.get("text/plain", ""))
    # Scores stand on one line, which Rich's bar wraps: here each has one of its own.
    for line in re.sub(r"\s+·\s+(val/\S+)\s", r"\n\1 ", text).splitlines():
        # Rows of a panel, and lines of a row, begin with a sign or a space; its header ends so.
        if line.split()[-1:] == ["loss"] or not re.match(r"[✓✗ ─]|$", line):
            yield " ".join(line.split())


def _structure(notebook: NotebookNode) -> list[list[str]]:
    """What each cell shows, but for what another model, processor or progress bar changes."""
    cells = []
    for cell in _code(notebook):
        shown: list[str] = []
        for line in (_masked(line) for output in _own(cell) for line in _lines(output)):
            is_repeated = line.startswith(BY_WINDOW) and line in shown
            if not (is_repeated or line.endswith(BY_TOKENIZER)):
                shown.append(line)
        cells.append(shown)
    return cells


def _own(cell: NotebookNode) -> list[NotebookNode]:
    """The outputs without progress bars: widgets, and the empty one that Rich's bar ends with."""

    def is_bar(output: NotebookNode) -> bool:
        data = output.get("data", {})
        return any("widget" in kind for kind in data) or data.get("text/plain") == ""

    return [output for output in cell.outputs if not is_bar(output)]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture
def notebook(path: Path) -> NotebookNode:
    return _read(path)


@pytest.fixture
def model(path: Path, request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(MODELS.get(path.stem, "tiny_model"))
    return name


def test_notebooks__are_there() -> None:
    assert NOTEBOOKS


def test_notebook__is_valid_short_and_starts_with_its_parameters(notebook: NotebookNode) -> None:
    nbformat.validate(notebook)
    cells = _code(notebook)
    assert len(cells) <= 15
    assert "parameters" in cells[0].metadata.get("tags", [])
    assert {"MODEL_NAME", "MAX_EPOCHS", "RUN"} <= set(re.findall(r"^\w+", cells[0].source, re.M))


def test_notebook__is_committed_executed(notebook: NotebookNode) -> None:
    assert "widgets" not in notebook.metadata, "left of progress bars"
    cells = _code(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert "execution" not in cell.metadata, "times of execution change with every run"
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text


def test_notebook__is_a_small_file(path: Path) -> None:
    assert path.stat().st_size < 600_000


def test_notebook__holds_no_machine_path(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        for text in _texts(cell):
            assert not MACHINE_PATH.search(text), text


@pytest.mark.slow
@pytest.mark.usefixtures("jupyter_home")
def test_notebook__runs(notebook: NotebookNode, model: str, tmp_path: Path) -> None:
    """And shows what is committed: steps, log lines, names of scores and files, headers."""
    committed = _structure(notebook)
    _code(notebook)[0].source += f"\nMODEL_NAME = {model!r}"
    (folder := tmp_path / "here").mkdir()
    run_notebook(notebook, folder)
    outputs = [output for cell in _code(notebook) for output in cell.outputs]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    for fresh, old in zip(_structure(notebook), committed, strict=True):
        assert fresh == old, "renew the notebook: `python -m tests.test_notebooks NAME`"


def _renew(stems: Sequence[str]) -> None:
    unknown = set(stems) - {path.stem for path in NOTEBOOKS}
    if unknown:
        sys.exit(f"there is no notebook {', '.join(sorted(unknown))}")
    for path in NOTEBOOKS:
        if stems and path.stem not in stems:
            continue
        notebook = _read(path)
        with tempfile.TemporaryDirectory() as folder:
            run_notebook(notebook, Path(folder))
        for cell in _code(notebook):
            cell.outputs = _own(cell)
        notebook.metadata.pop("widgets", None)  # what is left of progress bars
        notebook.metadata["language_info"] = {"name": "python"}  # not the version: it churns
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]  # has no types
        print(f"renewed {path}")


if __name__ == "__main__":
    _renew(sys.argv[1:])
