"""Rows with questions to checked examples: id, question, context and answers with their places.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

import ast
import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import cast
from unicodedata import normalize

from datasets import Dataset, Features, List, Value

from lit_hf.data.rows.answer_places import Answer, FindAnswer
from lit_hf.data.rows.cells import check_unicode, is_blank, is_true, name_of, text_of
from lit_hf.data.rows.report import CellError, RowProblems, RowSummary
from lit_hf.data.rows.validation import Item, Place, RowKind, checked_rows
from lit_hf.data.sources.table import Row, Table
from lit_hf.errors import InputError
from lit_hf.functional.places import find_places
from lit_hf.functional.text import printable

log = logging.getLogger(__name__)
_FEATURES = Features(
    {
        "id": Value("string"),
        "question": Value("string"),
        "context": Value("string"),
        "answers": List(Value("string")),
        "starts": List(Value("int32")),
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

    def check(self, table: Table) -> None:
        """Refuse a table that lacks one of the columns."""
        table.require(self.question, "question_column")
        table.require(self.context, "context_column")
        if self.answers is not None:
            table.require(self.answers, "answers_column")


@dataclass
class QuestionSummary(RowSummary):
    """What was found in the rows of one split.

    Attributes:
        num_unanswerable: questions without answer.
        num_moved: answers found at another place than `answer_start` says.
        num_unplaced: answers that do not stand in the context beside others that do.
        num_alike: answers that stand in the context in another form, of other case or spaces.
        alike: the first of them.
        num_ambiguous: questions whose answer, told without its place, stands in several.
        num_marked: questions with answers that are marked as impossible, so that they have none.
    """

    num_unanswerable: int = 0
    num_moved: int = 0
    num_unplaced: int = 0
    num_alike: int = 0
    alike: str = ""
    num_ambiguous: int = 0
    num_marked: int = 0


def read_questions(
    tables: Sequence[Table], columns: QuestionColumns, find_answer: FindAnswer, on_bad_row: str
) -> tuple[Dataset, QuestionSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make a question.
        find_answer: `locate` where answers have to stand in the context, `told_place` where they
            need not.
        on_bad_row: "error" or "all" to refuse bad rows, "skip" to leave them out.

    Returns:
        A data set of `id`, `question`, `context`, `answers` and `starts`, memory-mapped, and what
        was found. A question without answer has none in `answers`.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)
    kind = RowKind(
        name="questions",
        nothing="no questions",
        settings=[asdict(columns), find_answer.__qualname__],
        features=_FEATURES,
        summary=QuestionSummary,
        read=_Reader(columns, find_answer).read,
        texts=[c for c in (columns.question, columns.context, columns.answers) if c is not None],
        weight=columns.weight,
    )
    questions, summary = checked_rows(tables, kind, on_bad_row)
    _tell(summary, tables[0].name)
    return questions, summary


def refuse_repeated(summary: QuestionSummary, name: str, column: str) -> None:
    """Refuse questions to answer of which some have the same id.

    Raises:
        InputError: since a file of predictions has one answer for each id.
    """
    if summary.num_repeated_ids:
        raise InputError(
            f"{name}: {summary.num_repeated_ids} questions have an id that came before (column "
            f"{column!r}); `predictions.json` has one answer for each. Make them different, or "
            "leave the column out."
        )


def _tell(summary: QuestionSummary, name: str) -> None:
    if summary.num_moved:
        log.warning(
            f"{name}: {summary.num_moved} answers do not stand where `answer_start` says, but "
            "elsewhere in the context; that place is used."
        )
    if summary.num_unplaced:
        log.warning(
            f"{name}: {summary.num_unplaced} answers do not stand in the context, but others of "
            "the same question do: these are taught, all are right."
        )
    if summary.num_alike:
        log.warning(
            f"{name}: {summary.num_alike} answers stand in the context in another form (case, "
            f"spaces, quotes, widths), such as {printable(summary.alike, 120)}; the context's own "
            "letters are taught and scored."
        )
    if summary.num_ambiguous:
        log.warning(
            f"{name}: of {summary.num_ambiguous} of {summary.num_rows} questions the answer stands "
            "in several places of the context and none is told, the first is taught; give "
            "`answer_start` to say which."
        )
    if summary.num_marked:
        log.warning(
            f"{name}: {summary.num_marked} questions have answers but are marked as impossible "
            "(`is_impossible`), so they have none."
        )
    if summary.num_repeated_ids:
        log.warning(f"{name}: {summary.num_repeated_ids} questions have an id that came before.")


@dataclass(frozen=True)
class _Reader:
    """Rows to questions."""

    columns: QuestionColumns
    find_answer: FindAnswer

    def read(
        self, row: Row, place: Place, summary: QuestionSummary, problems: RowProblems
    ) -> Item | None:
        """The question of a row; None for a bad row."""
        name = None
        try:
            name = name_of(row, self.columns.id)
            question = self._question(row, summary)
        except CellError as bad:
            where = place.short if name is None else f"{place.short} (id {name})"
            problems.add(str(bad), where, bad.value)
            return None
        summary.num_unanswerable += self.columns.answers is not None and not question["answers"]
        return question if name is None else {"id": name, **question}

    def _question(self, row: Row, summary: QuestionSummary) -> Item:
        question = text_of(row, self.columns.question, strict=True)
        context = text_of(row, self.columns.context, strict=True)
        answers: list[Answer] = []
        if self.columns.answers is not None:
            answers = self._answers(row, self.columns.answers, context, summary)
        return {
            "question": question,
            "context": context,
            "answers": [answer.text for answer in answers],
            "starts": [answer.start for answer in answers],
        }

    def _answers(
        self, row: Row, column: str, context: str, summary: QuestionSummary
    ) -> list[Answer]:
        """The right answers of a row, each with its place; blank ones say that there is none."""
        told = [(t, start) for t, start in _pairs(row.get(column), column) if not is_blank(t)]
        if told and is_true(row.get("is_impossible")):  # they are plausible ones, as of SQuAD 2.0
            summary.num_marked += 1
            return []
        found: list[Answer | None] = []
        for text, start in told:
            check_unicode(text, "answer", column, text)
            found.append(self.find_answer(context, text, start))
        if told and not any(found):
            clause = "the answer does not stand in the context"
            if find_places(context, told[0][0]):
                clause = "the answer stands in several places, none of them near its `answer_start`"
            raise CellError(f"{clause} (column {column!r})", column, told[0][0])
        _count(told, found, summary)
        return [answer or Answer(text, -1) for (text, _), answer in zip(told, found, strict=True)]


def _count(
    told: Sequence[tuple[str, int | None]],
    found: Sequence[Answer | None],
    summary: QuestionSummary,
) -> None:
    """Count what is not in the context as the row has it."""
    for (text, start), answer in zip(told, found, strict=True):
        if answer is None:
            summary.num_unplaced += 1
            continue
        summary.num_moved += answer.start >= 0 and start not in (None, answer.start)
        if normalize("NFC", answer.text) != normalize("NFC", text):
            summary.num_alike += 1
            summary.alike = summary.alike or f"{answer.text!r} for {text!r}"
    taught = next((answer for answer in found if answer and answer.start >= 0), None)
    summary.num_ambiguous += taught is not None and taught.num_places > 1


def _pairs(cell: object, column: str) -> list[tuple[str, int | None]]:
    """Texts and starts of a cell.

    A cell holds a list of objects with `text` and `answer_start` (SQuAD's files), an object of two
    lists (the Hub's SQuAD), a list of texts, or one text. An empty cell says that there is none.
    """
    if cell is None or cell == "" or cell != cell:
        return []
    if isinstance(cell, str):
        cell = _written(cell, column)
    if isinstance(cell, str):
        return [(cell, None)]
    if isinstance(cell, Mapping):
        texts, starts = cell.get("text"), cell.get("answer_start")
        if isinstance(texts, str):
            texts, starts = [texts], [starts]
        if not isinstance(texts, list | tuple):
            raise CellError(f"no `text` in the answers (column {column!r})", column, cell)
        starts = list(starts) if isinstance(starts, list | tuple) else [None] * len(texts)
        if len(starts) != len(texts):
            raise CellError(f"more texts than starts, or less (column {column!r})", column, cell)
        cell = [{"text": t, "answer_start": s} for t, s in zip(texts, starts, strict=True)]
    if not isinstance(cell, list | tuple):
        wanted = "wanted texts, or objects of `text` and `answer_start`"
        raise CellError(f"the answers are no list, {wanted} (column {column!r})", column, cell)
    pairs: list[tuple[str, int | None]] = []
    for answer in cell:
        known = answer if isinstance(answer, Mapping) else {"text": answer}
        text, start = known.get("text"), known.get("answer_start")
        if not isinstance(text, str):
            raise CellError(f"an answer is no text (column {column!r})", column, answer)
        if start is not None and (isinstance(start, bool) or not isinstance(start, int)):
            raise CellError(f"`answer_start` is no number (column {column!r})", column, answer)
        pairs.append((text, start))
    return pairs


def _written(cell: str, column: str) -> object:
    """The answers that a cell of CSV holds as text, "['Ada']" or '{"text": ["Ada"]}'; else itself.

    Raises:
        CellError: if it seems to hold such, but cannot be read.
    """
    text = cell.strip()
    is_dict = re.match(r"\{\s*['\"](text|answer_start)['\"]\s*:", text) is not None
    if not is_dict and not (text.startswith("[") and text.endswith("]")):
        return cell
    for read in (json.loads, ast.literal_eval):  # plain values only, nothing is run
        with suppress(ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            found = read(text)
            if isinstance(found, Mapping) or all(isinstance(x, str | Mapping) for x in found):
                return cast("object", found)
    if is_dict or re.match(r"\[\s*['\"{]", text):
        clause = f"the answers are written as Python text that cannot be read (column {column!r})"
        raise CellError(f"{clause}; save them as JSONL or Parquet", column, cell)
    return cell
