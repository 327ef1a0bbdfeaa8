"""The parser's long answers in one line, and faults of the machine with what to do about them."""

import re
from collections.abc import Sequence

from lit_hf.errors import nearest
from lit_hf.files.write_errors import full_disk

# What other programs call a setting, and what it is called here.
_ELSEWHERE = {
    "learning_rate": "model.optimizer.lr",
    "lr": "model.optimizer.lr",
    "weight_decay": "model.optimizer.weight_decay",
    "num_train_epochs": "trainer.max_epochs",
    "epochs": "trainer.max_epochs",
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
_NOISE = re.compile(
    r"(Parser key |Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|"
    r"Expected a path but|Subclass types expect|- a |a class path \(|a dict with)"
)
_EXPECTED = ("Expected", "Not a valid subclass")
_UNKNOWN = re.compile(
    r"Option '([^']+)' is not accepted|Subcommand .* option '(.+)'"
    r"|unrecognized arguments: --([\w.-]+)"
)
_NO_CLASS = re.compile(
    r"Expected a dot import path string: (\S+)|module '[\w.]+' has no attribute '(\w+)'"
)
_DENIED = re.compile(r"Importing '([^']+)' is not allowed")
_REQUIRED = re.compile(r"the following arguments are required: (.+)")
_NO_MEMORY = re.compile("out of memory|not enough memory|can(no|')t allocate memory")
_LOST_WORKER = re.compile(
    r"DataLoader worker \(pid.*?\) (is killed by signal: \w+|exited unexpectedly)"
)
_LATE_WORKER = re.compile(r"DataLoader timed out after (\d+)")


def condense(message: str, options: Sequence[str] = (), classes: Sequence[str] = ()) -> str:
    """Keep of a jsonargparse error which option is wrong, why, and what to do.

    Args:
        message: the error, often one paragraph for each type that an option may have.
        options: names that the parser knows, to find the one that was meant.
        classes: names of classes that a setting may name.

    >>> condense("Option 'batch_sise' is not accepted", ["batch_size"])
    "option 'batch_sise' is not known. Did you mean 'batch_size'?"
    """
    keys = dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message))
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    lines = [line.removeprefix('Parser key "config": ') for line in lines]
    lines = list(dict.fromkeys(line for line in lines if line and not _NOISE.match(line)))
    clauses = [_reworded(line, options, classes) for line in lines]
    clauses = [text for text in clauses if not text.startswith(_EXPECTED)] or clauses
    text = re.sub(r"<class '([^']+)'>", r"\1", "; ".join(clauses or [message]))
    given = re.search(r"Given value: (.*)", message)
    if given and text.startswith(_EXPECTED) and "Got value" not in text:
        text += f". Got value: {given[1][:80]}"
    where = f"{'.'.join(key for key in keys if key != 'config')}: " if {*keys} - {"config"} else ""
    return re.sub(r"^([\w.]+): (\w+(?:\.\w+)*): ", r"\1.\2: ", where + text)


def _reworded(clause: str, options: Sequence[str], classes: Sequence[str]) -> str:
    """Say in other words what names of options or classes are not known, missing or not allowed."""
    if found := _UNKNOWN.search(clause):
        name = next(filter(None, found.groups()))
        if here := _ELSEWHERE.get(name.rsplit(".", 1)[-1]):
            return f"option {name!r} is not known. Here it is `{here}`."
        groups = {option.partition(".")[0] for option in options}
        return f"option {name!r} is not known.{nearest(name, [*options, *groups])}"
    if found := _NO_CLASS.search(clause):
        name = next(filter(None, found.groups()))
        return f"class {name!r} is not known here.{nearest(name, {*classes} - {name})}"
    if found := _DENIED.search(clause):
        return (
            f"importing {found[1]!r} is not allowed. If the class is yours, name its module on the "
            "command line with `--import MODULE`."
        )
    if found := _REQUIRED.search(clause):
        missing = {name.rpartition(".")[2] for name in found[1].split(", ")}
        if parts := sorted(missing & {"model", "data"}):
            return which_classes(parts)
        return f"{found[1]}: is missing, it has no default"
    return clause


def which_classes(parts: Sequence[str]) -> str:
    """Ask for the class of the model, of the data, or of both."""
    return (
        f"which {' and which '.join(parts)}? Give a recipe with `--config`, the folder of a run "
        "with `--run`, or classes such as `--model TextClassifier --data TweetDataModule`."
    )


def is_lost_worker(error: BaseException) -> bool:
    """Whether a process that loads batches was ended from outside.

    It may just be handing a batch over, then the connection to it breaks.
    """
    is_broken = isinstance(error, ConnectionError | EOFError)
    return is_broken or _LOST_WORKER.search(str(error)) is not None


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
            " a smaller `data.num_workers` or `data.batch_size`; `data.num_workers: 0` loads in the"
            " training process."
        )
    if late := _LATE_WORKER.search(text):
        return (
            f"a process that loads batches has given none for {late[1]} seconds: it hangs. Look at "
            "the disk or network of the rows and at augmentations of yours; `data.num_workers: 0` "
            "loads in the training process, `worker_timeout` of the data module waits longer."
        )
    if isinstance(error, MemoryError) or _NO_MEMORY.search(text.lower()):
        return (
            f"out of memory ({first}): set a smaller `data.batch_size` and "
            "`trainer.accumulate_grad_batches` higher by the same factor, which trains on as many "
            "examples a step; in an evaluation a smaller `data.eval_batch_size`."
        )
    return None
