"""The parser's long answers to a misspelt option, told in one line."""

import re
from collections.abc import Iterable

from lit_hf.errors import nearest

_GROUPS = ("model", "data", "trainer", "checkpoint", "samples", "export", "predictions", "config")
_AS_WORD = r"\1 (YAML reads yes, no, on and off as true and false: put the word in quotes)"
_NOISE = re.compile(
    r"^(Does not validate against|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>|"
    r"Expected a path but|Parser key )"
)


def condense(message: str, known: Iterable[str] = ()) -> str:
    """Keep of a jsonargparse error which option is wrong, why, and what to do.

    Args:
        message: the error, often one paragraph for each type an option may have.
        known: names of options and classes, to find the one that was meant.

    >>> condense(
    ...     '''Parser key "data":
    ...   Does not validate against any of the Union subtypes
    ...   Errors:
    ...     - Option 'batch_sise' is not accepted
    ...     - Expected a <class 'NoneType'>''',
    ...     ["batch_size"],
    ... )
    "data: option 'batch_sise' is not known. Did you mean 'batch_size'?"
    """
    names = list(known)
    keys = re.findall(r'Parser key "([^"]+)"', message)
    lines = [line.strip().removeprefix("- ").strip() for line in message.splitlines()]
    clauses = [line for line in lines if line and not _NOISE.match(line)]
    told = [_told(clause, names) for clause in dict.fromkeys(clauses)]
    given = re.search(r"Given value: (.*)", message)
    if told and "Got value" not in message and told[0].startswith("expected") and given:
        told[0] += f", but got {given.group(1)[:80]!r}"
    where = f"{'.'.join(dict.fromkeys(keys))}: " if keys else ""
    return re.sub(r"^([\w.]+): (\w+): ", r"\1.\2: ", where + "; ".join(told or [message]))


def _told(clause: str, known: list[str]) -> str:
    option = re.search(r"Option '([^']+)' is not accepted", clause)
    if option:
        name = option.group(1)
        if name.rsplit(".", 1)[-1] in known:
            return f"option {name!r} is none of the class named so far; put --config before it"
        return f"option {name!r} is not known.{nearest(name.rsplit('.', 1)[-1], known)}"
    class_name = re.search(r"Expected a dot import path string: (\S+)", clause)
    if class_name:
        name = class_name.group(1)
        return f"class {name!r} is not known.{nearest(name, known)}"
    denied = re.search(r"Importing '([^']+)' is not allowed", clause)
    if denied:
        return (
            f"importing {denied.group(1)!r} is not allowed. If the class is yours, name its module "
            "on the command line with `--import MODULE`."
        )
    required = re.search(r"the following arguments are required: (.+)", clause)
    if required:
        return f"{required.group(1)} is missing (such as --model.model_name FOLDER_OR_HUB_ID)"
    unknown = re.search(r"unrecognized arguments: (--[\w.-]+)", clause)
    if unknown:
        group = unknown.group(1).removeprefix("--").partition(".")[0]
        return f"option {unknown.group(1)} is not known.{nearest(group, _GROUPS)}"
    clause = re.sub(r"(expected str.*got (?:True|False))", _AS_WORD, clause, flags=re.IGNORECASE)
    clause = re.sub(r"<class '([^']+)'>", r"\1", clause)
    return clause.replace("Expected a ", "expected ").replace(". Got value:", ", but got")
