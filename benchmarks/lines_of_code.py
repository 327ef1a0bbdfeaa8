"""Count lines of code: without blank lines, comments, docstrings and imports.

    python -m benchmarks.lines_of_code lit_hf tests

Prints a table of folders; `--files` lists each file, the longest first.
"""

import argparse
import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def code_lines(source: str) -> set[int]:
    r"""The numbers of the lines that hold code.

    Args:
        source: text of a Python file.

    >>> sorted(code_lines("import os\n\nx = [  # comment\n    1,\n]\n"))
    [3, 4, 5]
    """
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            held.update(range(token.start[0], token.end[0] + 1))
    return held - _free_lines(ast.parse(source))


def _free_lines(tree: ast.Module) -> set[int]:
    """Lines of docstrings and imports, which make code clear and cost nothing."""
    free: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Import | ast.ImportFrom):
            free.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                free.update(range(value.lineno, (value.end_lineno or 0) + 1))
    return free


def count(folder: Path) -> Counter[Path]:
    """Lines of code of each Python file below a folder."""
    files = sorted(folder.rglob("*.py"))
    return Counter({path: len(code_lines(path.read_text(encoding="utf-8"))) for path in files})


def main() -> None:
    """Print the counts of the folders that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--files", action="store_true", help="a line for each file")
    options = parser.parse_args()
    for folder in options.folders:
        files, folders = count(folder), Counter[Path]()
        for path, lines in files.items():
            folders[path.parent] += lines
        for path, lines in (files if options.files else folders).most_common():
            print(f"{lines:7} {path}")
        print(f"{files.total():7} {folder} in all")


if __name__ == "__main__":
    main()
