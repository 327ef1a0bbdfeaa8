"""Questions that leave no room for their context."""

import logging
from collections.abc import Callable, Sequence

from datasets import Dataset

from lit_hf.data.rows.report import RowProblems
from lit_hf.errors import InputError

log = logging.getLogger(__name__)


def with_room(
    questions: Dataset,
    lengths: Callable[[Sequence[str]], list[int]],
    room: int,
    settings: str,
    name: str,
    on_bad_row: str,
) -> Dataset:
    """The questions that leave room for the context; the others are bad rows.

    Args:
        questions: with `id` and `question`.
        lengths: counts how many tokens each of some questions has.
        room: how many it may have.
        settings: what leaves so little room, such as "`max_length` 64 and `doc_stride` 16".
        name: of the table that they were read from.
        on_bad_row: "error" to refuse them, "skip" to leave them out.

    Raises:
        InputError: with the report, or if nothing is left.
    """
    problems, short = RowProblems(), []
    for start in range(0, questions.num_rows, 1000):
        part = questions[start : start + 1000]
        for row, length in enumerate(lengths(list(part["question"]))):
            if length <= room:
                short.append(start + row)
                continue
            problems.add(
                f"the question has more than {room} tokens, the room that {settings} leave for it",
                f"question {part['id'][row]} with {length} tokens",
                part["question"][row],
            )
    if not problems.num_rows:
        return questions
    report = problems.report(name)
    if on_bad_row == "error" or not short:
        raise InputError(f"{report}\nShorten the questions, or change these settings.")
    log.warning(f"{report}\nThese rows are skipped.")
    return questions.select(short)
