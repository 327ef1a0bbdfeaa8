import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lit_hf.cli.command import main
from lit_hf.cli.working_folder import import_named, leave_working_folder, lies_here
from tests.commands import run_command

ROOT = Path(__file__).parents[2]
PAYLOAD = "import pathlib\npathlib.Path(__file__).with_name('ran').write_text(__name__)\n"
NAMES = ("yaml", "accelerate", "torch", "sentencepiece", "wandb", "numpy", "random")


def _run(*words: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A folder with modules that have the names of libraries."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(PAYLOAD)
    return tmp_path


def test_command__imports_nothing_from_the_working_folder(strange: Path) -> None:
    for words in (["--version"], ["validate", "--run", "nowhere"], ["export", "x.ckpt", "y"]):
        done = _run("-m", "lit_hf", *words, folder=strange)
        assert done.returncode == (0 if words == ["--version"] else 2), done.stderr
    assert not (strange / "ran").exists()


def test_command__imports_what_it_is_told_to(strange: Path) -> None:
    """A library that is installed is still the one, in processes that are started too."""
    for name in ("sentencepiece", "wandb"):
        (strange / f"{name}.py").unlink()
    (strange / "mine.py").write_text(
        "import os, subprocess, sys, yaml\n"
        "subprocess.run([sys.executable, '-c', 'import random'], check=True)\n"
        "print(sys.path[-1] == os.getcwd(), yaml.__file__)\n"
    )
    done = _run("-m", "lit_hf", "validate", "--import", "mine", "--run", "no", folder=strange)
    assert done.returncode == 2
    assert "there is no no/config.yaml" in done.stderr
    said, path = done.stdout.split()
    assert said == "True"
    assert "site-packages" in path
    assert not (strange / "ran").exists()


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("my_hedas", "No module named 'my_hedas'; wanted .* Did you mean 'my_heads'?"),
        ("my_hedas.py", "No module named 'my_hedas'; wanted .* Did you mean 'my_heads.py'?"),
        ("my_heads", r"line 2 of \S+my_heads\.py: ModuleNotFoundError: No module named 'gone'$"),
        ("values", r"line 1 of \S+values\.py: ValueError: invalid literal"),
        ("..x", "wanted is a module's name, or its file"),
    ],
)
def test_import__that_fails_says_where(
    module: str,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("my_heads.py").write_text("import os\nimport gone\n")
    Path("values.py").write_text("int('x')\n")
    assert main(["validate", "--run", "no", "--import", module]) == 2
    assert re.search(told, capsys.readouterr().err.strip())


def test_script__has_its_own_folder_first(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("print('mine')\n")
    (tmp_path / "script.py").write_text("import lit_hf, mine\n")
    assert _run("script.py", folder=tmp_path).stdout == "mine\n"
    assert _run("-m", "script", folder=tmp_path).stdout == "mine\n"


def test_package__that_lies_in_the_working_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "lit_hf").symlink_to(ROOT / "lit_hf")
    code = "import sys, lit_hf; sys.exit(lit_hf.__file__ != sys.argv[1])"
    words = ("-c", code, str(tmp_path / "lit_hf" / "__init__.py"))
    assert _run(*words, folder=tmp_path, PYTHONPATH="").returncode == 0
    done = _run("-m", "lit_hf", "--version", folder=tmp_path, PYTHONPATH="")
    assert (done.returncode, done.stderr) == (0, "")


def test_lies_here__of_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert lies_here()
    monkeypatch.chdir(tmp_path)
    assert not lies_here()


def test_leave__takes_nothing_where_python_has_put_nothing_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["others"])
    with monkeypatch.context() as patched:
        patched.setattr(sys, "flags", SimpleNamespace(safe_path=True))
        leave_working_folder()
    assert sys.path == ["others"]


def test_import__by_name_and_by_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "sub").mkdir()
    (tmp_path / "first_of_mine.py").touch()
    (tmp_path / "sub" / "second_of_mine.py").touch()
    assert import_named("first_of_mine") == "first_of_mine"
    assert import_named("sub/second_of_mine.py") == "second_of_mine"
    assert sys.path[-2:] == [str(tmp_path), str(tmp_path / "sub")]
    for name in ("json", "sys"):  # which has no file
        (tmp_path / f"{name}.py").touch()
        with pytest.raises(
            ImportError, match=rf"{name}\.py has the name of another module, .*: re"
        ):
            import_named(name)


def test_import__of_a_name_that_is_taken_is_one_message(strange: Path) -> None:
    done = run_command("export", "x.ckpt", "y", "--import", "yaml", folder=strange)
    assert done.returncode == 2
    assert "yaml.py has the name of another module" in done.stderr
