"""What HF Trainer has predicted, scored: its users bring this code along.

Letters: N rows or windows, C classes, L tokens of the longest window.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import NDArray
from torchmetrics.functional.classification import binary_f1_score, multiclass_f1_score
from transformers import PreTrainedTokenizerBase
from transformers.trainer_utils import PredictionOutput

from tests.official_squad import evaluate

NUM_BEST, MOST_TOKENS = 20, 30
Golds = Mapping[str, Sequence[str]]


def class_scores(found: PredictionOutput) -> dict[str, float]:
    """Accuracy, and F1: that of the second of two classes, else the mean over all."""
    logits = torch.from_numpy(found.predictions)  # [N, C]
    labels = torch.from_numpy(found.label_ids)  # [N]
    classes, num_classes = logits.argmax(1), logits.shape[1]
    if num_classes == 2:
        f1 = binary_f1_score(classes, labels)
    else:
        f1 = multiclass_f1_score(classes, labels, num_classes)
    return {"accuracy": float((classes == labels).double().mean()), "f1": float(f1)}


def span_scores(found: PredictionOutput, windows: Dataset, golds: Golds) -> dict[str, float]:
    """Exact match and F1 of the best span in all windows of each question.

    Args:
        found: logits of starts and ends, both [N, L].
        windows: N windows in the same order, as `benchmarks.speed.hf_rows` encodes them.
        golds: right answers by question.
    """
    best: dict[str, tuple[float, str]] = {}
    for window, starts, ends in zip(windows, *found.predictions, strict=True):
        score, first, last = best_span(starts, ends, np.array(window["char_starts"]) >= 0)
        text = window["context"][window["char_starts"][first] : window["char_ends"][last]]
        if window["id"] not in best or score > best[window["id"]][0]:
            best[window["id"]] = score, text
    return _official({name: text for name, (_, text) in best.items()}, golds)


def best_span(
    starts: NDArray[np.floating], ends: NDArray[np.floating], is_context: NDArray[np.bool_]
) -> tuple[float, int, int]:
    """Score, first and last token of the likeliest span of the context that is not too long.

    Args:
        starts: logits [L], perhaps with padding behind them.
        ends: the same.
        is_context: for each token of the window.
    """
    own = np.flatnonzero(is_context)
    firsts = own[np.argsort(-starts[own])][:NUM_BEST]
    lasts = own[np.argsort(-ends[own])][:NUM_BEST]
    spans = [(f, e) for f in firsts for e in lasts if 0 <= e - f < MOST_TOKENS]
    if not spans:  # no likely start has a likely end behind it
        spans = [(firsts[0], firsts[0])]
    return max((float(starts[f] + ends[e]), int(f), int(e)) for f, e in spans)


def text_scores(
    found: PredictionOutput, tokenizer: PreTrainedTokenizerBase, rows: Dataset, golds: Golds
) -> dict[str, float]:
    """Exact match and F1 of answers that were written.

    Args:
        found: tokens [N, L], -100 behind the end of an answer.
        tokenizer: of the model.
        rows: N rows in the same order, with `id`.
        golds: right answers by question.
    """
    ids = np.asarray(found.predictions)
    ids = np.where(ids < 0, tokenizer.pad_token_id, ids)
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return _official(dict(zip(rows["id"], map(str.strip, texts), strict=True)), golds)


def _official(answers: Mapping[str, str], golds: Golds) -> dict[str, float]:
    scores = evaluate(answers, golds)
    return {"exact_match": scores["exact"], "f1": scores["f1"]}
