"""The parser's long answers to a misspelt option, and faults with known remedies, in one line."""

import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from lit_hf.errors import InputError, SharedFaultError, WriteError, nearest, told_as_input
from lit_hf.files.bundled import GROUPS
from lit_hf.files.write_errors import full_disk
from lit_hf.log_handler import SafeLines

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

# What other programs call a setting, and what it is called here.
_ELSEWHERE = {
    "learning_rate": "model.optimizer.lr",
    "lr": "model.optimizer.lr",
    "weight_decay": "model.optimizer.weight_decay",
    "num_train_epochs": "trainer.max_epochs",
    "epochs": "trainer.max_epochs",
    "max_epoch": "trainer.max_epochs",
    "per_device_train_batch_size": "data.batch_size",
    "per_device_eval_batch_size": "data.eval_batch_size",
    "gradient_accumulation_steps": "trainer.accumulate_grad_batches",
    "output_dir": "trainer.default_root_dir",
    "num_beams": "model.generation.num_beams",
    "max_new_tokens": "model.generation.max_new_tokens",
    "group_by_length": "data.length_group_size",
    "train_sampling_strategy": "data.length_group_size",
    "seed": "data.seed or seed_everything",
}
_TYPED_ONLY = ("import", "run", "allow-changed")  # a recipe, which may be a stranger's, has none
_MISSING = re.compile(r"(--)?[\w.]+ is missing")
_CHOICES = re.compile(r"Expected a typing\.Literal\[(.*?)\](\. Got value: .*|)$")
_CHOICE = re.compile(r"""["']([^"']*)["']|([\w.]+)""")
_TENSOR = "valid subclass of Tensor"
_NOISE = re.compile(
    r"^(Does not validate against|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|"
    r"Expected a path but|Parser key |a string or stream input is required)"
)
_NO_MEMORY = re.compile("out of memory|not enough memory|can(no|')t allocate memory")
_LOST_WORKER = re.compile(
    r"DataLoader worker \(pid.*?\) (is killed by signal: \w+|exited unexpectedly)"
)
_LATE_WORKER = re.compile(r"DataLoader timed out after (\d+)")
_LOADER = ("utils", "data", "dataloader.py")
_RESTORES = ("connectors", "checkpoint_connector.py")


@contextmanager
def restoring(trainer: "Trainer") -> Iterator[None]:
    """Tell what the state in a checkpoint makes Lightning and callbacks raise when they take it.

    Raises:
        InputError: naming the checkpoint, in place of an error while it is restored.
    """
    try:
        yield
    except Exception as error:
        frames = [Path(f.filename).parts for f in traceback.extract_tb(error.__traceback__)]
        if trainer.ckpt_path is None or not any(parts[-2:] == _RESTORES for parts in frames):
            raise
        with told_as_input(str(trainer.ckpt_path)):
            raise


def is_lost_worker(error: Exception) -> bool:
    """Whether a process that loads batches was ended from outside."""
    if isinstance(error, ConnectionError | EOFError):  # while it handed a batch over
        frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
        return any(Path(name).parts[-3:] == _LOADER for name in frames)
    return _LOST_WORKER.search(str(error)) is not None


def advice_on(error: Exception) -> str | None:
    """What to do about a fault of the machine; None where that is not known.

    >>> advice_on(MemoryError("while adding"))
    'out of memory (while adding): set a smaller `data.batch_size` and ...'
    >>> advice_on(RuntimeError("CUDA error: an illegal memory access was encountered"))
    """
    if (full := full_disk(error)) is not None:
        return str(full)
    text = str(error)
    first = next(iter(text.splitlines()), "").split(". ")[0] or type(error).__name__
    if is_lost_worker(error):
        return (
            f"a process that loads batches is gone ({first}). If the machine ran out of memory, set"
            " a smaller `data.num_workers` or `data.batch_size`; `data.num_workers: 0` "
            "loads in the training process."
        )
    if late := _LATE_WORKER.search(text):
        return (
            f"the processes that load batches have given none for {late[1]} seconds, one of them "
            "hangs. Look at the disk or the network that the rows lie on, and at augmentations of "
            "yours; `data.num_workers: 0` loads in the training process. Where a batch may take "
            "longer, set `worker_timeout` of the data module in Python."
        )
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text.lower()):
        return (
            f"out of memory ({first}): set a smaller `data.batch_size` and "
            "`trainer.accumulate_grad_batches` higher by the same factor, which trains on as many "
            "examples a step; in an evaluation a smaller `data.eval_batch_size`."
        )
    return None


def condense(
    message: str, known: Mapping[str, Sequence[str]] = MappingProxyType({}), chosen: str = ""
) -> str:
    """Keep of a jsonargparse error which option is wrong, why, and what to do.

    Args:
        message: the error, often one paragraph for each type an option may have.
        known: names of options, to find the one that was meant, each with the classes that have it;
            and names of classes.
        chosen: the class whose options are read, where it is a model or a data module.

    >>> condense('  Expected a typing.Literal[1, 2, "all"]. Got value: al')
    "expected one of 1, 2, all, but got al. Did you mean 'all'?"
    >>> condense(
    ...     '''Parser key "data":
    ...   Does not validate against any of the Union subtypes
    ...   Errors:
    ...     - Option 'batch_sise' is not accepted
    ...     - Expected a <class 'NoneType'>''',
    ...     {"batch_size": ["TweetDataModule"]},
    ... )
    "data: option 'batch_sise' is not known. Did you mean 'batch_size'?"
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    lines = [line.strip().removeprefix("- ").strip() for line in message.splitlines()]
    clauses = [line for line in lines if line and not _NOISE.match(line)]
    clauses = [clause for clause in clauses if _TENSOR in clause] or clauses
    clauses, choices = _one_choice(dict.fromkeys(clauses))
    told = [_told(clause, known, chosen) for clause in clauses]
    told = [clause for clause in told if _MISSING.match(clause)] or told
    if len(told) > 1 and all(re.fullmatch(r"expected \w+", clause) for clause in told):
        told = ["expected " + " or ".join(clause.split()[1] for clause in told)]
    given = re.search(r"(?:Got|Given) value: (.*)", message)
    if told and "Got value" not in message and told[0].startswith("expected") and given:
        told[0] += f", but got {given.group(1)[:80]!r}"
    if choices and given and (meant := nearest(given.group(1), choices)):
        told[-1] += f".{meant}"
    where = f"{'.'.join(dict.fromkeys(keys))}: " if keys else ""
    line = re.sub(r"^([\w.]+): (\w+): ", r"\1.\2: ", where + "; ".join(told or [message]))
    return re.sub(r"^(?:([\w.]+): )?(?:--)?([\w.]+) is missing", _typed_missing, line)


def _one_choice(clauses: Iterable[str]) -> tuple[list[str], list[str]]:
    """Make one clause of those that list the values of a setting; give these values, too."""
    found = {clause: match for clause in clauses if (match := _CHOICES.match(clause))}
    choices = [
        text or other for match in found.values() for text, other in _CHOICE.findall(match[1])
    ]
    if not choices:
        return list(clauses), []
    got = next((match[2] for match in found.values()), "")
    # Of whole numbers among the values jsonargparse says no more than their type.
    others = [text for text in clauses if text not in found and text != "Expected a <class 'int'>"]
    return [f"Expected one of {', '.join(dict.fromkeys(choices))}{got}", *others], choices


def _typed_missing(found: "re.Match[str]") -> str:
    return f"--{'.'.join(filter(None, found.groups()))} is missing"


def which_classes(parts: Iterable[str], verb: str = "fit") -> str:
    """Ask for the class of the model, of the data, or of both."""
    ways = ["a recipe with `--config`", "the folder of a run with `--run`"]
    first, second = ways if verb == "fit" else ways[::-1]
    return (
        f"which {' and which '.join(parts)}? Give {first}, {second}, or classes such as "
        "`--model TextClassifier --data TextClassificationDataModule`."
    )


def as_typed(message: str, options: Mapping[str, Iterable[str]]) -> str:
    """Name the arguments of classes in a message as they are typed on the command line.

    Args:
        message: of a class that is used in Python too, where an argument is named `in_quotes`.
        options: for each beginning of an option, such as "--data.", the arguments behind it.

    >>> options = {"--data.": ["test_file"], "--model.": ["scheduler"]}
    >>> as_typed("set `test_file`, or `scheduler: constant` for `nothing`", options)
    'set `--data.test_file`, or `--model.scheduler constant` for `nothing`'
    """
    begins = {name: begin for begin, names in options.items() for name in names}

    def typed(found: "re.Match[str]") -> str:
        name, inner, value = found.groups(default="")
        begin = begins.get(name)
        if begin is None or (inner and begin == "--"):
            return found[0]
        return f"`{begin}{name}{inner}{value and f' {value}'}`"

    return re.sub(r"`(\w+)((?:\.\w+)+)?(?:: ([^`]+))?`", typed, message)


def retyped(error: Exception, options: Mapping[str, Iterable[str]]) -> Exception:
    """An error that is told in one message, with arguments named as by `as_typed`."""
    kind = type(error) if isinstance(error, SharedFaultError | WriteError) else InputError
    return kind(as_typed(str(error), options))


def type_lines(options: Mapping[str, Iterable[str]]) -> None:
    """Name arguments as by `as_typed` in the log lines of the package, too."""
    for handler in logging.getLogger("lit_hf").handlers:
        handler.setFormatter(_TypedLines(options))


class _TypedLines(SafeLines):
    def __init__(self, options: Mapping[str, Iterable[str]]) -> None:
        super().__init__("%(message)s")
        self._options = options

    def format(self, record: logging.LogRecord) -> str:
        return as_typed(super().format(record), self._options)


def _classes(names: Iterable[str]) -> list[str]:
    return [name for name in names if name[:1].isupper()]


def _told(clause: str, known: Mapping[str, Sequence[str]], chosen: str) -> str:
    options = [name for name in known if not name[:1].isupper()]
    option = re.search(r"Option '([^']+)' is not accepted", clause)
    if option:
        name = option.group(1)
        if (here := _ELSEWHERE.get(name)) is not None:
            return f"option {name!r} is not known here. Here it is `{here}`."
        if owners := known.get(name.rsplit(".", 1)[-1]):
            if chosen:
                has = "has" if len(owners) == 1 else "have"
                return f"{chosen} has no option {name!r}, {' and '.join(owners)} {has} it"
            return (
                f"option {name!r} is none of the class that was chosen; it is one of "
                f"{', '.join(owners)}"
            )
        return f"option {name!r} is not known.{nearest(name.rsplit('.', 1)[-1], options)}"
    if _TENSOR in clause:
        return "a tensor cannot be typed: make the object in Python, or by a class of yours"
    class_name = re.search(r"Expected a dot import path string: (\S+)", clause)
    if class_name:
        name = class_name.group(1)
        own: list[str] = getattr(sys.modules.get("lit_hf"), "__all__", [])
        if name in own:
            return f"class {name!r} is of another kind than what belongs here."
        return f"class {name!r} is not known.{nearest(name, _classes([*known, *own]))}"
    lacking = re.search(r"module '([\w.]+)' has no attribute '(\w+)'", clause)
    if lacking:
        module, name = lacking.groups()
        there = _classes(dir(sys.modules.get(module)))
        return f"class '{module}.{name}' is not known.{nearest(name, there)}"
    denied = re.search(r"Importing '([^']+)' is not allowed", clause)
    if denied:
        return (
            f"importing {denied.group(1)!r} is not allowed. If the class is yours, name its module "
            "on the command line with `--import MODULE`."
        )
    required = re.search(r"the following arguments are required: (.+)", clause)
    if required:
        missing = [name.rpartition(".")[2] for name in required.group(1).split(", ")]
        if parts := [part for part in ("model", "data") if part in missing]:
            return which_classes(parts, required.group(1).partition(".")[0])
        is_model = required.group(1).endswith("model_name")
        example = " (such as --model.model_name FOLDER_OR_HUB_ID)" if is_model else ""
        return f"{required.group(1)} is missing, it has no default{example}"
    unknown = re.search(r"unrecognized arguments: --([\w.-]+)|^Subcommand .* option '(.+)'", clause)
    if unknown:
        found = unknown[1] or unknown[2]
        if found in _TYPED_ONLY:
            return f"{found!r} is no setting of a recipe: type `--{found}` on the command line."
        group, _, name = found.partition(".")
        if not name and (here := _ELSEWHERE.get(group)) is not None:
            return f"option --{found} is not known here. Here it is `{here}`."
        is_inner = group in GROUPS and name
        meant = nearest(name, options) if is_inner else nearest(group, (*GROUPS, "config"))
        return f"option --{found} is not known.{meant}"
    if stray := re.search(r"unrecognized arguments: ([^-].*)", clause):
        return f"{stray.group(1)!r} belongs to no option; recipes are given with `--config`"
    clause = re.sub(r"<class '([^']+)'>", r"\1", clause)
    clause = re.sub(r"^Expected (a )?", "expected ", clause)
    return clause.replace(". Got value:", ", but got")
