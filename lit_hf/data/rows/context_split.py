"""Training and validation questions that share no context: dividing them, checking given ones."""

import logging

from datasets import Dataset

from lit_hf.data.rows.labels import values_of
from lit_hf.functional.splits import grouped_split, stratified_split

log = logging.getLogger(__name__)


def split_by_context(questions: Dataset, fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """Draw a validation part with all questions on each of its contexts.

    Questions with and without answer are drawn evenly, as far as whole contexts allow. Where every
    context has twice as many questions as the part, single ones are drawn, with a warning.

    Args:
        questions: with `context` and `answers`.
        fraction: share of the validation part.
        seed: the same seed gives the same parts.

    Returns:
        The row numbers of the training part and of the validation part.
    """
    contexts = list(values_of(questions, "context"))
    is_answerable = [bool(answers) for answers in values_of(questions, "answers")]
    kept, held_out = grouped_split(contexts, fraction, seed, is_answerable)
    if not held_out:
        kept, held_out = stratified_split(is_answerable, questions.num_rows, fraction, seed)
        if held_out:
            log.warning(
                f"the {len(held_out)} questions that are set aside for validation are on contexts "
                "that are trained, since all contexts have more: set `val_file`."
            )
    return kept, held_out


def check_contexts(train: Dataset, val: Dataset | None) -> None:
    """Warn of validation questions on contexts that are trained.

    Args:
        train: with `context`.
        val: the same; None where nothing is validated.
    """
    trained = set(map(hash, values_of(train, "context")))
    validated = [] if val is None else list(values_of(val, "context"))
    if num_shared := sum(hash(context) in trained for context in validated):
        log.warning(
            f"{num_shared} of {len(validated)} validation questions "
            f"({num_shared / len(validated):.1%}) are on contexts that are trained too: scores on "
            "new contexts may be lower."
        )
