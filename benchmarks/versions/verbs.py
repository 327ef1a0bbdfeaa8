"""Run the verbs of one task in this process; a script, run by the Python of the environment.

It imports nothing of this folder, so that lit_hf is the installed one. Its argument is JSON: verbs
and their words. Prints a line for each that is done, and one for each warning.
"""

import json
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TextIO

MARK = "VERB IS DONE"


def ask(words: Sequence[str]) -> int:
    """Ask the model in a folder about a row, given as JSON: the exit code."""
    from lit_hf import Predictor  # here, since an import may warn of a deprecation too

    folder, row = words
    answers = Predictor.from_pretrained(folder)([json.loads(row)])
    return 0 if len(answers) == 1 else 1


def run_verbs(commands: dict[str, list[str]]) -> int:
    """Run them in turn up to the first that fails: its exit code, or 0."""
    from lit_hf.cli.command import main

    for verb, words in commands.items():
        start = time.monotonic()
        code = ask(words) if verb == "Predictor" else main([verb, *words])
        if code:
            return code
        print(f"\n{MARK}", verb, round(time.monotonic() - start, 1), flush=True)
    return 0


def write_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    r"""Write a warning as one line; takes the place of `warnings.showwarning`.

    Lightning leaves the category out of those of its own files, and jsonargparse begins its words
    on the next line.

    >>> write_warning("\n  z is gone\n  soon", FutureWarning, "y.py", 3, sys.stdout)
    y.py:3: FutureWarning: z is gone soon
    """
    words = " ".join(str(message).split())
    print(f"{filename}:{lineno}: {category.__name__}: {words}", file=file or sys.stderr, flush=True)


if __name__ == "__main__":
    warnings.showwarning = write_warning
    sys.exit(run_verbs(json.loads(sys.argv[1])))
