"""The notebooks run from top to bottom; run this file as a script to renew their outputs.

`python tests/test_notebooks.py extractive_qa` renews those that are named, without a name all.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode

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


def _run(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a folder, on the Python that runs this file, and keep the outputs."""
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    # With no folders to look in, the kernel is ipykernel's own: no venv needs to be activated, and
    # a kernel of the same name that the user has installed is not taken for it.
    client.create_kernel_manager().kernel_spec_manager = KernelSpecManager(kernel_dirs=[])
    client.execute()


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _texts(cell: NotebookNode) -> list[str]:
    """What a reader sees of a cell, without its pictures."""
    texts = [str(cell.source)]
    for output in cell.get("outputs", []):
        texts.append(str(output.get("text", "")))
        texts += [str(v) for k, v in output.get("data", {}).items() if not k.startswith("image/")]
    return texts


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
def test_notebook__runs(
    notebook: NotebookNode, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    _code(notebook)[0].source += f"\nMODEL_NAME = {model!r}\nMAX_EPOCHS = 1"
    folder = tmp_path / "here"
    folder.mkdir()
    _run(notebook, folder)
    stderr = [
        output.text
        for cell in _code(notebook)
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]
    assert stderr == []


def _renew(stems: Sequence[str]) -> None:
    unknown = set(stems) - {path.stem for path in NOTEBOOKS}
    if unknown:
        sys.exit(f"there is no notebook {', '.join(sorted(unknown))}")
    for path in NOTEBOOKS:
        if stems and path.stem not in stems:
            continue
        notebook = _read(path)
        with tempfile.TemporaryDirectory() as folder:
            _run(notebook, Path(folder))
        notebook.metadata["language_info"] = {"name": "python"}  # not the version: it churns
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]  # has no types
        print(f"renewed {path}")


if __name__ == "__main__":
    _renew(sys.argv[1:])
