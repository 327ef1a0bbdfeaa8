"""What the answers in the data mean for a module that gives pieces of the context."""

import logging

from lit_hf.modules.data_facts import DataFacts

log = logging.getLogger(__name__)


def warn_of_answers(data: DataFacts, threshold: float | None, longest: int) -> None:
    """Warn of right answers that the module will never give.

    Args:
        data: of the Trainer.
        threshold: `no_answer_threshold`.
        longest: `max_answer_length`.
    """
    if threshold is None and data.has_unanswerable:
        log.warning(
            "there are questions without answer, but the model always answers: set "
            "`no_answer_threshold: 0` in the model."
        )
    lengths = data.answer_lengths
    num_longer = sum(count for length, count in lengths.items() if length > longest)
    if num_longer:
        log.warning(
            f"{num_longer} of {lengths.total()} answers are longer than `max_answer_length` "
            f"{longest} tokens, the longest has {max(lengths)}: they are taught, but never given; "
            "set a larger one in the model."
        )
