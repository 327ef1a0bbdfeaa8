"""A set of packages: resolved by uv, and installed into a fresh environment."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
RESOLUTIONS = {
    "lowest": ("--resolution", "lowest-direct"),  # what pyproject.toml names; the rest is newest
    "newest": ("--resolution", "highest"),
    "tested": ("--constraints", str(CONSTRAINTS)),
}
NO_TORCH = 'torch ; sys_platform == "none"\n'  # an override that holds nowhere: torch is left out
LIST = """
import json
from importlib.metadata import distributions
print(json.dumps({d.name.lower().replace("_", "-"): d.version for d in distributions()}))
"""


class StepError(Exception):
    """A command of uv, pip or Python that failed, with what it said last."""


@dataclass(frozen=True)
class Wanted:
    """What an environment is to have.

    Attributes:
        resolution: one of `RESOLUTIONS`.
        python: version of Python such as "3.11", or the path of an interpreter.
        torch: a version that pip installs first; "" leaves torch to uv.
        extras: of lit_hf, such as mlflow.
        pins: other requirements that hold too, such as "numpy==2.1.0", to try a bound.
    """

    resolution: str
    python: str
    torch: str = ""
    extras: Sequence[str] = ()
    pins: Sequence[str] = ()


def run_step(words: Sequence[str], **variables: str) -> str:
    """What a command prints, run with more variables of the environment; StepError if it fails."""
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        env={**os.environ, "UV_NO_PROGRESS": "1", **variables},
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-4000:]
        raise StepError(f"{' '.join(words)}\n{said}")
    return done.stdout


def find_uv() -> str:
    """The path of uv."""
    found = shutil.which("uv")
    if found is None:
        raise StepError("there is no command `uv`, which resolves the packages: pip install uv")
    return found


def python_version(python: str) -> str:
    """Its version: of "3.11" that itself, of a path what the interpreter says.

    >>> python_version("3.13")
    '3.13'
    """
    if re.fullmatch(r"3\.\d+(\.\d+)?", python):
        return python
    say = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    return run_step([python, "-c", say]).strip()


def compile_words(wanted: Wanted, overrides: Path, pins: Path) -> list[str]:
    """The command that resolves: `overrides` is a file that takes torch out, `pins` one of pins."""
    words = [find_uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate"]
    words += RESOLUTIONS[wanted.resolution]
    words += ["--python-version", python_version(wanted.python)]
    for extra in wanted.extras:
        words += ["--extra", extra]
    if wanted.torch:
        words += ["--override", str(overrides)]
    return [*words, "--constraints", str(pins), str(ROOT / "pyproject.toml")]


def resolve(wanted: Wanted) -> list[str]:
    """The packages as `name==version`, without torch where pip installs it."""
    with tempfile.TemporaryDirectory() as name:
        overrides, pins = Path(name) / "overrides.txt", Path(name) / "pins.txt"
        overrides.write_text(NO_TORCH)
        pins.write_text("".join(f"{pin}\n" for pin in wanted.pins))
        return run_step(compile_words(wanted, overrides, pins)).split("\n")[:-1]


def install(wanted: Wanted, requirements: Sequence[str], folder: Path) -> Path:
    """Make an environment in a new folder, with lit_hf as users get it: the path of its Python."""
    uv = find_uv()
    run_step([uv, "venv", "--quiet", "--seed", "--python", wanted.python, str(folder)])
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if wanted.torch:
        run_step([str(python), "-m", "pip", "install", "--quiet", f"torch=={wanted.torch}"])
    listed = folder / "requirements.txt"
    listed.write_text("".join(f"{line}\n" for line in requirements))
    into = [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python)]
    run_step([*into, "--requirement", str(listed)])
    run_step([*into, str(ROOT)])
    run_step([uv, "pip", "check", "--quiet", "--python", str(python)])
    return python


def installed(python: Path) -> dict[str, str]:
    """Names and versions of the packages in an environment."""
    found = json.loads(run_step([str(python), "-c", LIST]))
    return dict(sorted(found.items()))
