"""Run the verbs of one task in this process; a script, run by the Python of the environment.

It imports nothing of this folder, so that lit_hf is the installed one. Its argument is JSON: verbs
and their words. Prints a line for each that is done.
"""

import json
import sys
import time
from collections.abc import Sequence

from lit_hf import Predictor
from lit_hf.cli import main

MARK = "VERB IS DONE"


def ask(words: Sequence[str]) -> int:
    """Ask the model in a folder about a row, given as JSON: the exit code."""
    folder, row = words
    answers = Predictor.from_pretrained(folder)([json.loads(row)])
    return 0 if len(answers) == 1 else 1


def run_verbs(commands: dict[str, list[str]]) -> int:
    """Run them in turn up to the first that fails: its exit code, or 0."""
    for verb, words in commands.items():
        start = time.monotonic()
        code = ask(words) if verb == "Predictor" else main([verb, *words])
        if code:
            return code
        print(f"\n{MARK}", verb, round(time.monotonic() - start, 1), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_verbs(json.loads(sys.argv[1])))
