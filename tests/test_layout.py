import ast
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from benchmarks.lines_of_code import code_lines

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lit_hf"
FLOORS = {
    "__init__": 0,  # version and homes; its public names are imported when touched
    "errors": 0,
    "batches": 0,
    "log_handler": 0,
    "functional": 0,
    "files": 0,
    "distributed": 1,
    "checkpointing": 1,
    "pretrained": 1,
    "metrics": 1,
    "data": 2,
    "modules": 3,
    "speed": 4,
    "callbacks": 4,
    "predictor": 5,
    "cli": 6,
    "__main__": 6,
}
LONG = {  # functions of more than 40 lines of code, each with its reason
    "lit_hf/data/base.py:__init__": "the settings that all data modules share, a line each",
    "lit_hf/modules/base.py:__init__": "the settings that all modules share, a line each",
}
OLD_WORDS = [  # of layout and messages, each with the word that stands in its place
    r"\bgo(es|ne|ing)? on\b",  # resume, continue
    r"\banew\b",  # from scratch, again
    r"\btold\b|\btell_|\bsaid\b",  # message, report, predictions
    r"[Dd]amaged|whole checkpoint|newest whole",  # corrupt, valid
    r"\bwanted\b|\bmend",  # expected, fix
    r"drawn anew|redraw",  # re-initialised
    r"num_grouped|mixings|setup_scores|score_names|\bhasten",
    r"FiniteLoss|ExactResume|HeadFirst|RunFolder\b|SameTraining|StopAtSignal|LateLoader",
    r"WholeCheckpointIO|newest_whole|read_whole|StepSampler|FirstTokenOnly|later_lines",
    r"share_out|fit_to_data|marks_of|without_copies|cut_middle|find_extracts",
]
FILES = sorted(PACKAGE.rglob("*.py"))
IGNORE = re.compile(
    r"#\s*(type:\s*ignore(\[[^]]*\])?|(ruff:\s*)?noqa(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)?)",
    re.IGNORECASE,
)


def _home(module: str) -> str:
    """The file or folder on a floor: "data" of lit_hf.data.base."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {name for name in found if name.split(".")[0] == "lit_hf"}


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_imports__go_down_only(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    home = _home(_module(path))
    for name in _imports(path):
        other = _home(name)
        assert FLOORS[other] <= FLOORS[home], f"{path.name} imports {name} from a floor above"
        if (home, other) in (("data", "metrics"), ("modules", "data")):
            pytest.fail(f"{path.name} imports {name}: these do not know each other")
        if name == "lit_hf":
            source = path.read_text(encoding="utf-8")
            is_leaf = re.search(r"from lit_hf import (__version__|HOMES)\n", source)
            assert is_leaf, f"{path.name}: import the leaf"


def test_imports__have_no_cycle() -> None:
    graph = {_module(path): _imports(path) - {"lit_hf"} for path in FILES}
    graph.pop("lit_hf.__init__", None)
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, f"cycle: {' -> '.join([*trail, name])}"
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_floors__name_every_file_and_nothing_else() -> None:
    found = {_home(_module(path)) for path in FILES}
    assert found == set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_file__is_short_and_mirrored(path: Path) -> None:
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert num_lines <= 300, f"{path} has {num_lines} lines"
    if path.stem.startswith("__"):
        return
    mirror = ROOT / "tests" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    assert mirror.exists(), f"{path} has no {mirror.relative_to(ROOT)}"


def test_top__has_few_files_and_each_folder_says_what_it_holds() -> None:
    assert len([*PACKAGE.glob("*.py")]) <= 6
    for folder in {path.parent for path in FILES} - {PACKAGE}:
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


@pytest.mark.parametrize("path", FILES, ids=_module)
def test_functions__are_short(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    lines = code_lines(source)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            count = len(lines & {*range(node.lineno, (node.end_lineno or 0) + 1)})
            name = f"{path.relative_to(ROOT).as_posix()}:{node.name}"
            assert count <= 40 or name in LONG, f"{name} has {count} lines"


def test_architecture__names_files_that_are_there() -> None:
    for page in (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md"):
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`(?:lit_hf/)?([a-z_]+(?:/[a-z_]+)*(?:\.py|/))`", text):
            is_there = (ROOT / name).exists() or any(PACKAGE.rglob(name.rstrip("/")))
            assert is_there, f"{page.name}: {name}"


def test_words__are_those_of_the_field() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in [*FILES, *pages, *(ROOT / "configs").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        found = [match[0] for word in OLD_WORDS for match in re.finditer(word, text)]
        assert not found, f"{path.relative_to(ROOT)}: {found}"


@pytest.mark.parametrize(
    "stem", ["text_classification", "image_classification", "extractive_qa", "generative_qa"]
)
def test_task__has_all_its_cells(stem: str) -> None:
    cells = [
        PACKAGE / "data" / f"{stem}.py",
        PACKAGE / "modules" / f"{stem}.py",
        ROOT / "configs" / stem,
        ROOT / "notebooks" / f"{stem}.ipynb",
        ROOT / "tests" / "data" / f"test_{stem}.py",
        ROOT / "tests" / "modules" / f"test_{stem}.py",
    ]
    assert [cell for cell in cells if not cell.exists()] == []


def _bare_ignores(path: Path) -> list[str]:
    """Where a checker is told to look away, with no reason behind it or in a comment above."""
    with tokenize.open(path) as stream:
        tokens = list(tokenize.generate_tokens(stream.readline))
    comments = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
    found = []
    for row, comment in comments.items():
        said = comment.string
        above = comments.get(row - 1)
        if above is not None and above.line.lstrip().startswith("#"):
            said += above.string
        if IGNORE.search(comment.string) and not re.search(r"\w", IGNORE.sub("", said)):
            found.append(f"{path.relative_to(ROOT)}:{row}")
    return found


def test_ignores__each_have_a_reason() -> None:
    folders = [PACKAGE, ROOT / "tests", ROOT / "benchmarks"]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    bare = [place for path in files for place in _bare_ignores(path)]
    assert not bare, f"say behind each of these, or above it, why it is there: {', '.join(bare)}"


def _writes(call: ast.Call) -> bool:
    """Whether a call writes a file, or gives one a name, in a way of its own."""
    name = ast.unparse(call.func)
    if name.rpartition(".")[2] == "open":
        modes = [arg.value for arg in ast.walk(call) if isinstance(arg, ast.Constant)]
        return any(re.fullmatch(r"[rwaxbt+]*[wax+][rwaxbt+]*", str(mode)) for mode in modes)
    methods = "write_text write_bytes touch rename symlink_to hardlink_to to_csv savefig save_file"
    return name in ("os.replace", "os.rename") or name.rpartition(".")[2] in methods.split()


def test_files__are_written_in_one_way() -> None:
    """By `files/atomic.py`; in folders that it has just made, others write too."""
    in_new_folders = {
        *("callbacks/model_folder.py", "data/cache.py", "data/rows/validation.py"),
        *("pretrained/processor_files.py", "pretrained/tokenizer_files.py"),
    }
    names_only = {"callbacks/earlier_run.py"}
    found = set()
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        own = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "lit_hf.files.atomic"
            for alias in node.names
        }
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        if any(_writes(call) and ast.unparse(call.func) not in own for call in calls):
            found.add(str(path.relative_to(PACKAGE)))
    ways = {"files/atomic.py", "files/scratch.py"}
    assert found <= ways | in_new_folders | names_only, "write with `lit_hf.files.atomic`"


def test_public_names__import_and_are_all_documented() -> None:
    import lit_hf

    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    reference = "".join(page.read_text(encoding="utf-8") for page in pages)
    for name in lit_hf.__all__:
        assert getattr(lit_hf, name).__doc__
        assert name in reference, f"{name} stands neither in README.md nor in docs/"
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = lit_hf.nope


def test_import__is_light() -> None:
    code = (
        "import sys, lit_hf, lit_hf.cli.command;"
        "heavy = {'torch', 'lightning', 'transformers', 'datasets', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_import__opens_no_connection_and_starts_no_process() -> None:
    """All public names and the command, with the libraries that they import."""
    code = """
import sys
seen = []
watched = {"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec"}
watched |= {"os.posix_spawn", "os.fork"}
sys.addaudithook(lambda event, _: seen.append(event) if event in watched else None)
import lit_hf, lit_hf.cli.command, lit_hf.cli.main
for name in lit_hf.__all__:
    getattr(lit_hf, name)
sys.exit(f"at import: {seen}" if seen else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_bounds__each_have_a_reason_and_no_cap() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("dependencies = [")[1].split("\n]")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert len(lines) > 10
    for line in lines:
        assert re.match(r'"[\w\[\]-]+>=[\d.]+",\s+# \S+', line), f"no reason or a cap: {line}"


def test_constraints__meet_the_bounds() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bounds = re.findall(r'"([\w-]+)(?:\[\w+\])?>=([\d.]+)"', text)
    for name, bound in bounds:
        if name == "setuptools" or name in ("wandb", "mlflow"):
            continue
        pin = pins[name.lower()]
        as_numbers = [[int(part) for part in re.findall(r"\d+", v)] for v in (pin, bound)]
        assert as_numbers[0] >= as_numbers[1], f"{name}: {pin} is below {bound}"
