"""SQuAD's JSON, versions 1.1 and 2.0 and what others publish in it, as flat rows."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lit_hf.data.sources.table import Row
from lit_hf.errors import InputError


def is_squad(content: object) -> bool:
    """Whether parsed JSON has the outer form of SQuAD: an object with a list `data`."""
    return isinstance(content, dict) and isinstance(content.get("data"), list)


def squad_rows(path: Path, content: Mapping[str, Any]) -> list[Row]:
    """Flatten articles, paragraphs and questions.

    Args:
        path: the file, for messages.
        content: its parsed JSON.

    Returns:
        Rows of id, title, question, context and answers, a list of `text` and `answer_start`: []
        for a question marked as impossible, no such column where the file gives none.

    Raises:
        InputError: naming the article where the form is another one.
    """
    rows: list[Row] = []
    for number, article in enumerate(content["data"], start=1):
        try:
            rows += _rows_of(article)
        except (KeyError, TypeError, AttributeError) as error:
            form = "expected `paragraphs`, each with a `context` and a list `qas`"
            raise InputError(f"{path}: article {number}: {form}; {error!r}.") from None
    return rows


def _rows_of(article: Mapping[str, Any]) -> Iterator[Row]:
    if "paragraphs" not in article and "question" in article:  # flat rows under `data`
        yield article
        return
    for paragraph in article["paragraphs"]:
        for question in paragraph["qas"]:
            row = {"title": article.get("title"), "context": paragraph["context"], **question}
            if question.get("is_impossible") is True:
                row["answers"] = []  # SQuAD 2.0 has plausible ones there
            yield row
