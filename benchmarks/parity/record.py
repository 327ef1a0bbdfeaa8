"""Run one case with the lit_hf that is found first, in the working folder; run as a script.

It imports nothing of benchmarks/, so that the package of another commit can be put before it.
"""

import contextlib
import io
import json
import sys
import warnings
from importlib import import_module
from pathlib import Path

COMMANDS = "commands.json"


def main() -> None:
    """Read the commands, run them; write their exit codes, what was printed and what refused."""
    try:
        command = import_module("lit_hf.cli.command").main
    except ImportError:  # a commit in which the command is one file
        command = import_module("lit_hf.cli").main

    commands = json.loads(Path(COMMANDS).read_text(encoding="utf-8"))
    codes = []
    with Path("printed.log").open("w+", encoding="utf-8") as log:
        for number, words in enumerate(commands):
            out, start = io.StringIO(), log.seek(0, io.SEEK_END)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(log):
                warnings.simplefilter("default")
                codes.append(command(words))
            of_a_run = {"--config", "--run"} & set(words)  # with bars that show the time
            kind = "yaml" if "--print_config" in words else "log" if of_a_run else "txt"
            Path(f"printed_{number}.{kind}").write_text(out.getvalue(), encoding="utf-8")
            if codes[-1]:
                log.seek(start)
                told = "".join(log.read().partition("lit-hf: error:")[1:])  # bars come before it
                Path(f"refused_{number}.txt").write_text(told, encoding="utf-8")
    Path(COMMANDS).write_text(json.dumps([commands, codes]), encoding="utf-8")
    print(f"{Path.cwd().name}: exit codes {codes}", file=sys.stderr)


if __name__ == "__main__":
    main()
