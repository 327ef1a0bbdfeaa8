"""Runs cells in a real Jupyter kernel, on the Python that runs the tests."""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode


def run_notebook(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a folder and keep the outputs.

    Raises:
        CellExecutionError: if a cell ends in an error and has no tag "raises-exception".
    """
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


def run_cells(sources: Sequence[str], folder: Path) -> list[NotebookNode]:
    """Run some lines of code as cells, and give the cells with their outputs."""
    # nbformat's functions have no types.
    cells = [nbformat.v4.new_code_cell(source) for source in sources]  # type: ignore[no-untyped-call]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]  # see above
    run_notebook(notebook, folder)
    return list(notebook.cells)


def text_of(cell: NotebookNode) -> str:
    """What a cell has printed and shown, as text."""
    outputs = cell.get("outputs", [])
    return "".join(str(o.get("text") or o.get("data", {}).get("text/plain", "")) for o in outputs)
