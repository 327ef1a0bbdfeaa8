"""From logits to answers in plain types, and to samples a person reads.

Letters: B examples in a batch, L tokens, C classes.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from lit_hf.batches import ClassOutput, Prediction, Sample, TextBatch, marks_of
from lit_hf.functional.label_cells import labels_writer
from lit_hf.functional.labels import ProblemType


def tell_answers(
    batch: Mapping[str, object], logits: Tensor, problem_type: ProblemType, names: Sequence[str]
) -> list[Prediction]:
    """Tell the answer for each example, padding copies included.

    Args:
        batch: names and row numbers of the examples; numbers from 0 where it holds none.
        logits: [B, C].
        problem_type: what the labels are.
        names: the C class names; [] for a regression.

    Returns:
        For each example `index`, `id`, `prediction`, and for classes `probability` and
        `probabilities` by name. With several labels the prediction is the list of those above one
        half, and the probability that of the likeliest.
    """
    marks = marks_of(batch, len(logits))
    if problem_type == "regression":
        return [
            {"index": i, "id": name, "prediction": value}
            for (i, name), value in zip(marks, logits[:, 0].tolist(), strict=True)
        ]
    single = problem_type == "single_label"
    probabilities = logits.softmax(1) if single else logits.sigmoid()
    rows: list[Prediction] = []
    answers = zip(marks, logits.argmax(1).tolist(), probabilities.tolist(), strict=True)
    for (i, name), best, values in answers:
        chosen = [names[c] for c, value in enumerate(values) if value > 0.5]
        rows.append(
            {
                "index": i,
                "id": name,
                "prediction": names[best] if single else chosen,
                "probability": values[best],
                "probabilities": dict(zip(names, values, strict=True)),
            }
        )
    return rows


def show_samples(
    batch: TextBatch,
    output: ClassOutput,
    rows: Sequence[int],
    decode: Callable[[Sequence[int]], str],
    problem_type: ProblemType,
    names: Sequence[str],
) -> list[Sample]:
    """Show the examples at the given rows of a batch.

    Args:
        batch: with labels.
        output: what the step made of it.
        rows: which examples.
        decode: token ids to text, for a batch that does not hold its texts.
        problem_type: what the labels are.
        names: the C class names; [] for a regression.
    """
    picked = torch.tensor(rows, dtype=torch.int64, device=output["logits"].device)
    logits = output["logits"][picked]
    answers = tell_answers({}, logits, problem_type, names)
    losses = output["losses"][picked].tolist()
    marks = marks_of(batch, len(batch["input_ids"]))
    samples: list[Sample] = []
    for row, answer, loss in zip(rows, answers, losses, strict=True):
        if "text" in batch:
            text = batch["text"][row]
        else:
            text = decode(batch["input_ids"][row][batch["attention_mask"][row].bool()].tolist())
        truth = _truth(batch["labels"][row], problem_type, names)
        probability = answer.get("probability")
        samples.append(
            {
                "id": marks[row][1],
                "input": text,
                "prediction": _words(answer["prediction"], names),
                "probability": probability if isinstance(probability, float) else None,
                "truth": _words(truth, names),
                "correct": None if problem_type == "regression" else truth == answer["prediction"],
                "loss": loss,
            }
        )
    return samples


def _truth(label: Tensor, problem_type: ProblemType, names: Sequence[str]) -> object:
    if problem_type == "regression":
        return label.item()
    if problem_type == "single_label":
        return names[int(label)]
    return [names[c] for c in label.nonzero().flatten().tolist()]


def _words(answer: object, names: Sequence[str]) -> str:
    if isinstance(answer, float):
        return f"{answer:.3g}"
    if isinstance(answer, list):
        return labels_writer(names, ", ")(answer) if answer else "(none)"
    return str(answer)
