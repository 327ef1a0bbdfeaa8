"""README and guide: their commands exist, their Python runs, their links lead somewhere."""

import ast
import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

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


def test_readme__notebook_lines_run(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = _blocks((ROOT / "README.md").read_text(encoding="utf-8"), "python")
    block = block.replace("FOLDER_OR_HUB_ID", tiny_model).replace("max_epochs=5", "max_epochs=1")
    block = block.replace('"lit_hf/assets', f'"{ROOT}/lit_hf/assets')
    monkeypatch.chdir(tmp_path)
    space: dict[str, object] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block, "README.md", "exec"), space)
    assert "validation, the same examples each time" in out.getvalue()
    assert (tmp_path / "runs" / "notebook" / "pretrained" / "config.json").is_file()


def test_project__speaks_of_no_machine() -> None:
    for path in [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "configs").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(root|home|work)/\w", text), path
        if path.suffix == ".yaml":
            yaml.safe_load(text)
