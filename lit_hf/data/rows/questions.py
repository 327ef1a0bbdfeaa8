"""Rows with questions to checked examples: id, question, context and answers with their places.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import cast
from unicodedata import normalize

from datasets import Dataset, Features, List, Value

from lit_hf.data.rows.answer_places import Answer, FindAnswer
from lit_hf.data.rows.cells import is_blank, is_true, name_of, text_of
from lit_hf.data.rows.report import CellError, Note, RowSummary
from lit_hf.data.rows.validation import Item, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table

_FEATURES = Features(
    {
        **dict.fromkeys(("id", "question", "context"), Value("string")),
        **{"answers": List(Value("string")), "starts": List(Value("int32"))},
    }
)


@dataclass(frozen=True)
class QuestionColumns:
    """Which columns of a table make a question.

    Attributes:
        question: column of the question.
        context: column of the text that it is asked about.
        answers: column of the answers; None reads none.
        id: column of the questions' names; without one a question is numbered, from 0.
        weight: column of the weight in the training loss; None reads none.
    """

    question: str
    context: str
    answers: str | None
    id: str
    weight: str | None = None


def read_questions(
    tables: Sequence[Table], columns: QuestionColumns, find_answer: FindAnswer, on_bad_row: str
) -> tuple[Dataset, RowSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make a question.
        find_answer: `locate` where answers have to stand in the context, `given_place` where they
            need not.
        on_bad_row: "error" to refuse bad rows, "skip" to skip them; "all" to refuse them and ids
            that came before, since a file of predictions has one answer for each.

    Returns:
        A data set of `id`, `question`, `context`, `answers` and `starts`, memory-mapped, and what
        was found. A question without answer has none in `answers`.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    settings = {"question": columns.question, "context": columns.context}
    settings |= {} if columns.answers is None else {"answers": columns.answers}
    for table in tables:
        for setting, column in settings.items():
            table.require(column, f"{setting}_column")
    kind = RowKind(
        name="questions",
        settings=[asdict(columns), find_answer.__qualname__],
        features=_FEATURES,
        read=_Reader(columns, find_answer).read,
        texts=list(settings.values()),
        weight=columns.weight,
        unique_ids=on_bad_row == "all",
    )
    return checked_rows(tables, kind, on_bad_row)


@dataclass(frozen=True)
class _Reader:
    """Rows to questions."""

    columns: QuestionColumns
    find_answer: FindAnswer

    def read(self, row: Row, note: Note) -> Item:
        """The question of a row."""
        columns = self.columns
        name = name_of(row, columns.id)
        context = text_of(row, columns.context, strict=True)
        answers = self._answers(row, columns.answers, context, note) if columns.answers else []
        return {
            **({} if name is None else {"id": name}),
            "question": text_of(row, columns.question, strict=True),
            "context": context,
            "answers": [answer.text for answer in answers],
            "starts": [answer.start for answer in answers],
        }

    def _answers(self, row: Row, column: str, context: str, note: Note) -> list[Answer]:
        """The right answers of a row, each with its place; blank ones say that there is none."""
        given = [pair for pair in answers_of(row.get(column), column) if not is_blank(pair[0])]
        if given and is_true(row.get("is_impossible")):  # they are plausible ones, as of SQuAD 2.0
            note("the question is marked as impossible, so its answers are not read", given[0][0])
            return []
        found = [self.find_answer(context, text, start) for text, start in given]
        if given and not any(found):
            clause = "the answer does not stand in the context, or not near its `answer_start`"
            raise CellError(clause, column, given[0][0])
        for (text, start), answer in zip(given, found, strict=True):
            if answer is None:
                note("one answer of several does not stand in the context; it is right", text)
            elif answer.start >= 0 and start not in (None, answer.start):
                note("`answer_start` is wrong; the place where the answer stands is used", text)
            if answer and normalize("NFC", answer.text) != normalize("NFC", text):
                note("the answer has another form in the context, which is taught", text)
        taught = next((answer for answer in found if answer and answer.start >= 0), None)
        if taught and taught.num_places > 1:
            clause = "the answer stands in several places; without `answer_start` the first counts"
            note(clause, taught.text)
        return [answer or Answer(text, -1) for (text, _), answer in zip(given, found, strict=True)]


def answers_of(cell: object, column: str) -> list[tuple[str, int | None]]:
    """Texts and starts of a cell.

    A cell holds a list of objects with `text` and `answer_start` (SQuAD's files), an object of two
    lists (the Hub's SQuAD), a list of texts, or one text. An empty cell says that there is none.

    Raises:
        CellError: if it holds anything else.
    """
    form = "expected texts, or objects of `text` and `answer_start`"
    if cell is None or cell != cell:
        return []
    found = _written(cell, column) if isinstance(cell, str) else cell
    if isinstance(found, Mapping):
        texts, starts = found.get("text"), found.get("answer_start")
        if isinstance(texts, list):
            starts = starts if isinstance(starts, list) else [None] * len(texts)
            if len(starts) != len(texts):
                raise CellError("the answers have more texts than starts, or less", column, cell)
            found = [{"text": t, "answer_start": s} for t, s in zip(texts, starts, strict=True)]
    answers = found if isinstance(found, list | tuple) else [found]
    known = [answer if isinstance(answer, Mapping) else {"text": answer} for answer in answers]
    pairs = [(answer.get("text"), answer.get("answer_start")) for answer in known]
    for text, start in pairs:
        if not isinstance(text, str) or not isinstance(start, int | None):
            raise CellError(f"an answer is of another form, {form}", column, cell)
    return cast("list[tuple[str, int | None]]", pairs)


def _written(cell: str, column: str) -> object:
    """The answers that a cell of CSV holds as text, "['Ada']" or '{"text": ["Ada"]}'; else itself.

    Raises:
        CellError: if it seems to hold such, but cannot be read.
    """
    text = cell.strip()
    if not re.fullmatch(r"\[\s*(['\"{].*)?\]|\{\s*['\"](text|answer_start)['\"].*\}", text, re.S):
        return cell
    for read in (json.loads, ast.literal_eval):  # plain values only, nothing is run
        with suppress(ValueError, SyntaxError):
            return cast("object", read(text))
    clause = "the answers are written as text that cannot be read; save them as JSONL or Parquet"
    raise CellError(clause, column, cell)
