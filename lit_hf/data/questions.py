"""Rows with questions to checked examples: id, question, context and answers with their places.

Everything that can be wrong with a row is found here, before a tokenizer or a model is loaded.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from datasets.utils import tqdm

from lit_hf.data.cache import cached, key_of
from lit_hf.data.examples import CellError, text_of
from lit_hf.data.problems import RowProblems
from lit_hf.data.tables import Row, Table
from lit_hf.errors import InputError

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
_REACH = 50  # characters by which a wrong `answer_start` may miss where the text occurs twice


@dataclass(frozen=True)
class QuestionColumns:
    """Which columns of a table make a question.

    Attributes:
        question: column of the question.
        context: column of the text that it is asked about.
        answers: column of the answers; None reads none.
        id: column of the questions' names; without it they are numbered from 0.
        in_context: whether an answer has to stand in the context.
    """

    question: str
    context: str
    answers: str | None
    id: str
    in_context: bool

    def check(self, table: Table) -> None:
        """Refuse a table that lacks one of the columns."""
        table.require(self.question, "question_column")
        table.require(self.context, "context_column")
        if self.answers is not None:
            table.require(self.answers, "answers_column")


@dataclass
class QuestionSummary:
    """What was found in the rows of one split.

    Attributes:
        num_rows: questions kept.
        num_unanswerable: of these, questions without answer.
        num_moved: answers found at another place than `answer_start` says.
        num_repeated_ids: questions whose id came before.
        problems: report of the rows that were left out; "" where there are none.
    """

    num_rows: int = 0
    num_unanswerable: int = 0
    num_moved: int = 0
    num_repeated_ids: int = 0
    problems: str = ""


class Answer(NamedTuple):
    """A right answer: its text, and its first character in the context (-1 where unknown)."""

    text: str
    start: int


def read_questions(
    tables: Sequence[Table], columns: QuestionColumns, on_bad_row: str
) -> tuple[Dataset, QuestionSummary]:
    """Read and check all rows of the tables of a split; cached by their content.

    Args:
        tables: the tables of the split, read one after another.
        columns: which columns make a question.
        on_bad_row: "error" to refuse bad rows, "skip" to leave them out.

    Returns:
        A data set of `id`, `question`, `context`, `answers` and `starts`, memory-mapped, and what
        was found. A question without answer has none in `answers`.

    Raises:
        InputError: with the report of all bad rows, or if nothing is left.
    """
    for table in tables:
        columns.check(table)

    def build(folder: Path) -> None:
        summary, problems = QuestionSummary(), RowProblems()
        with ArrowWriter(features=_FEATURES, path=str(folder / "questions.arrow")) as writer:
            for question in _questions(tables, columns, summary, problems):
                writer.write(question)
            if problems.num_rows and on_bad_row == "error":
                raise InputError(
                    problems.report(tables[0].name if len(tables) == 1 else "rows")
                    + "\nMend the rows, or set `on_bad_row: skip` to leave them out."
                )
            if not summary.num_rows:
                found = ", ".join(table.name for table in tables)
                left = f"\n{problems.report('left out')}" if problems.num_rows else ""
                raise InputError(f"{found}: no questions.{left}")
            writer.finalize()
        summary.problems = problems.report("left out")
        (folder / "summary.json").write_text(json.dumps(asdict(summary)), encoding="utf-8")

    names = [[table.name, table.stamp] for table in tables]
    folder = cached(key_of("questions", asdict(columns), on_bad_row, names), build)
    summary = QuestionSummary(**json.loads((folder / "summary.json").read_text(encoding="utf-8")))
    _tell(summary, tables[0].name)
    return Dataset.from_file(str(folder / "questions.arrow")), summary


def _tell(summary: QuestionSummary, name: str) -> None:
    if summary.problems:
        log.warning(summary.problems)
    if summary.num_moved:
        log.warning(
            f"{name}: {summary.num_moved} answers do not stand where `answer_start` says, but "
            "elsewhere in the context; that place is used."
        )
    if summary.num_repeated_ids:
        log.warning(f"{name}: {summary.num_repeated_ids} questions have an id that came before.")


def _questions(
    tables: Sequence[Table],
    columns: QuestionColumns,
    summary: QuestionSummary,
    problems: RowProblems,
) -> Iterator[dict[str, object]]:
    seen: set[str] = set()
    for table in tables:
        for number, row in tqdm(table.rows(), desc=f"reading {table.name}", unit=" rows", delay=2):
            place = f"{table.unit} {number}"
            if len(tables) > 1:
                place = f"{table.name}, {place}"
            try:
                question = text_of(row, columns.question, strict=True)
                context = text_of(row, columns.context, strict=True)
                answers = answers_of(row, columns, context, summary)
            except CellError as bad:
                name = row.get(columns.id)
                problems.add(str(bad), place if name is None else f"{place} (id {name})", bad.value)
                continue
            name = str(row.get(columns.id, summary.num_rows))
            summary.num_repeated_ids += name in seen
            seen.add(name)
            summary.num_rows += 1
            summary.num_unanswerable += columns.answers is not None and not answers
            yield {
                "id": name,
                "question": question,
                "context": context,
                "answers": [answer.text for answer in answers],
                "starts": [answer.start for answer in answers],
            }


def answers_of(
    row: Row, columns: QuestionColumns, context: str, summary: QuestionSummary
) -> list[Answer]:
    """The right answers of a row, each with its place in the context.

    A cell holds a list of objects with `text` and `answer_start` (SQuAD's files), an object of two
    lists (the Hub's SQuAD), a list of texts, or one text. An empty cell says that there is none.
    """
    column = columns.answers
    if column is None:
        return []
    found = [
        (text, start)
        for text, start in _pairs(row.get(column), column)
        if text.strip() or not columns.in_context
    ]
    if not columns.in_context:
        return [Answer(text, -1) for text, _ in found]
    answers = []
    for text, start in found:
        place = locate(context, text, start)
        if place is not None:
            summary.num_moved += start not in (None, place)
            answers.append(Answer(text, place))
    if found and not answers:
        raise CellError(
            f"the answer does not stand in the context (column {column!r})", column, found[0]
        )
    return answers


def _pairs(cell: object, column: str) -> list[tuple[str, int | None]]:
    """Texts and starts of a cell."""
    if cell is None or cell == "" or cell != cell:
        return []
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
        raise CellError(f"the answers are no list (column {column!r})", column, cell)
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


def locate(context: str, text: str, start: int | None) -> int | None:
    """Where an answer stands: as said, else in the only place or in one nearby.

    Args:
        context: the text that holds it.
        text: the answer.
        start: where it is said to stand; None where nothing is said, then the first place counts.

    Returns:
        Its first character; None where it does not stand there, or in several places far away.

    >>> locate("the old mill", "old", 4), locate("the old mill", "old", 5)
    (4, 4)
    >>> locate("the old mill", "new", 4)
    """
    if start is not None and start >= 0 and context.startswith(text, start):
        return start
    places = []
    place = context.find(text)
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    if not places:
        return None
    if start is None or len(places) == 1:
        return places[0]
    nearest = min(places, key=lambda p: abs(p - start))
    return nearest if abs(nearest - start) <= _REACH else None
