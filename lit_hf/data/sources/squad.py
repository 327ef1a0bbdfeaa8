"""SQuAD's JSON, versions 1.1 and 2.0 and what others publish in it, as flat rows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError


def is_squad(content: object) -> bool:
    """Whether parsed JSON has the outer form of SQuAD: an object with a list `data`."""
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def squad_rows(path: Path, content: Mapping[str, object]) -> list[Row]:
    """Flatten articles, paragraphs and questions.

    Args:
        path: the file, for messages.
        content: its parsed JSON.

    Returns:
        Rows of id, title, question, context and answers, a list of `text` and `answer_start`: []
        for a question marked as impossible, no such column where the file gives none.

    Raises:
        InputError: naming the place where the form is another one.
    """
    return list(_rows(path, content))


def _rows(path: Path, content: Mapping[str, object]) -> Iterator[Row]:
    for a, article in enumerate(_objects(content["data"], f"{path}: data"), start=1):
        where = f"{path}: article {a}"
        if "paragraphs" not in article and "question" in article:  # flat rows under `data`
            yield article
            continue
        for p, paragraph in enumerate(_part(article, "paragraphs", where), start=1):
            place = f"{where}, paragraph {p}"
            if not isinstance(paragraph.get("context"), str):
                raise InputError(f"{place}: wanted a text `context`, found {list(paragraph)}.")
            for question in _part(paragraph, "qas", place):
                row = {"title": article.get("title"), "context": paragraph["context"], **question}
                if question.get("is_impossible") is True:
                    row["answers"] = []
                yield row


def _part(parent: Mapping[str, object], name: str, where: str) -> Sequence[Mapping[str, object]]:
    if name not in parent:
        raise InputError(f"{where}: wanted a list `{name}`, found {list(parent)}.")
    return _objects(parent[name], f"{where}: {name}")


def _objects(value: object, where: str) -> Sequence[Mapping[str, object]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{where}: wanted a list of objects, as SQuAD files have it.")
    return cast("list[Mapping[str, object]]", value)
