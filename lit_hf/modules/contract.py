"""TaskModule: what a task says of itself, and the steps that follow from it.

Letters: B examples in a batch, R of them that are shown.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from lit_hf.batches import (
    LossTerms,
    Plain,
    Prediction,
    Sample,
    Shown,
    StepOutput,
    drop_padding,
    ids_and_indices,
)
from lit_hf.modules.loss_guard import check_answers
from lit_hf.modules.losses import BatchLoss, LossFunction, reduce_terms
from lit_hf.modules.stage_metrics import Stage, StageScores
from lit_hf.modules.target_checks import row_weights

BatchT = TypeVar("BatchT", bound=Mapping[str, object])
OutputT = TypeVar("OutputT", bound=Mapping[str, object])
ScoresT = TypeVar("ScoresT")


class TaskModule(StageScores, Generic[BatchT, OutputT, ScoresT]):
    """The hooks in which tasks differ, and the steps of all of them.

    A step runs the model (`run`), reduces its loss (`loss_terms`) and, in an evaluation, goes the
    one way from outputs to answers: `decode` makes scores, such as probabilities, `decide` makes
    predictions of them, in plain types. Samples, metrics, predictions and the `Predictor` all go
    that way.
    """

    loss: LossFunction | None  # without a value, which would hide one that is an nn.Module
    _num_rows: int = 0  # evaluated or predicted so far, of loaders that number none

    # What a task says.

    def run(self, batch: BatchT, stage: Stage) -> OutputT:
        """Run the model on a batch, which has no labels where answers are predicted.

        Args:
            batch: as the data module of the task makes it.
            stage: "train", "val", "test" or "predict".
        """
        raise NotImplementedError

    def loss_terms(self, batch: BatchT, output: OutputT, loss: LossFunction | None) -> LossTerms:
        """What a batch adds to the loss; the module itself divides.

        Args:
            batch: with labels.
            output: what `run` made of it.
            loss: the loss of the user, in training; None takes the task's own plain one.
        """
        raise NotImplementedError

    def decode(self, batch: BatchT, output: OutputT, rows: Sequence[int] | None = None) -> ScoresT:
        """Scores of the answers, one entry for each row; no label is needed.

        Args:
            batch: the rows.
            output: what `run` made of it, in training too.
            rows: which rows; None takes all.
        """
        raise NotImplementedError

    def decide(self, scores: ScoresT) -> list[Prediction]:
        """The answers by their scores, in plain types, one for each row."""
        raise NotImplementedError

    def metric_inputs(
        self, metric: nn.Module, batch: BatchT, scores: ScoresT
    ) -> tuple[object, ...]:
        """What a metric is updated with: tensors or lists of B entries.

        Args:
            metric: one of the task, or one of the user.
            batch: with labels.
            scores: of all of its rows.
        """
        raise NotImplementedError

    def show(self, batch: BatchT, row: int, prediction: Prediction) -> Shown:
        """One row as a person reads it, with its truth and what the model predicts."""
        raise NotImplementedError

    def truth(self, batch: BatchT, row: int) -> Plain | list[str]:
        """The right answer to a row in plain types; unless a task says more, as it is shown."""
        return self.show(batch, row, {"prediction": ""})["truth"]

    def count(self, batch: BatchT, scores: ScoresT, kept: Tensor, stage: Stage) -> None:
        """Count what is no metric that is logged, such as a confusion matrix.

        Args:
            batch: with labels.
            scores: of all of its rows.
            kept: [B] bool, false for padding copies.
            stage: "val" or "test".
        """

    def check_loaders(self, loaders: object) -> None:
        """Refuse rows that the model cannot read, before a training or an evaluation.

        Args:
            loaders: of the Trainer, perhaps a list or dict; None where labels do not count.
        """

    def is_complete(self, batch: BatchT) -> bool:
        """Whether a batch says enough to make answers of its outputs, and to compare them."""
        return True

    def num_examples(self, batch: BatchT) -> int:
        """B."""
        ids = batch.get("id")
        if ids is None:
            ids = next(value for value in batch.values() if isinstance(value, Tensor))
        return len(cast("Sequence[object]", ids))

    # The steps that follow.

    def step(self, batch: BatchT, stage: Stage) -> StepOutput:
        """Loss and outputs of a batch; counts it in the metrics of `val` and `test`."""
        output = self.run(batch, stage)
        is_training = stage == "train"
        batch = batch if is_training else self._numbered(batch)
        terms = self.loss_terms(batch, output, self.loss if is_training else None)
        if not isinstance(terms, LossTerms):
            raise TypeError(
                f"`loss_terms` gives a {type(terms).__name__}, but `LossTerms(numerators, weights, "
                "examples)` is expected, [N] each: the base takes the mean."
            )
        found = self._reduced(batch, terms, is_training)
        step: dict[str, object] = {
            name: value.detach() if isinstance(value, Tensor) else value
            for name, value in output.items()
        }
        if not is_training:
            self._count(batch, cast("OutputT", step), terms, stage)
        step |= {"loss": found.mean, "losses": found.losses, "weight": found.weight}
        return cast("StepOutput", step)

    def _reduced(self, batch: BatchT, terms: LossTerms, is_training: bool) -> BatchLoss:
        """The mean loss: copies count nothing, and rows of a training what their weight says."""
        counts = self._kept(batch, terms.numerators.device).to(terms.numerators.dtype)
        if is_training and (weights := batch.get("weight")) is not None:
            counts = counts * row_weights(weights, len(counts)).to(counts)
        return reduce_terms(terms, counts)

    def _kept(self, batch: BatchT, device: torch.device) -> Tensor:
        """[B] bool, false for padding copies."""
        copies = batch.get("is_padding")
        if isinstance(copies, Tensor):
            return copies.to(device).logical_not()
        return torch.ones(self.num_examples(batch), dtype=torch.bool, device=device)

    @torch.no_grad()
    def _count(self, batch: BatchT, output: OutputT, terms: LossTerms, stage: Stage) -> None:
        kept, metrics = self._kept(batch, terms.numerators.device), self.metrics_of(stage)
        if not self.is_complete(batch):
            metrics.update(terms, kept, None)
            return
        scores = self.decode(batch, output)
        numbers = [number for number, _ in ids_and_indices(batch, len(kept))]
        inputs = partial(self.metric_inputs, batch=batch, scores=scores)
        metrics.update(terms, kept, inputs, numbers)
        self.count(batch, scores, kept, stage)

    def validation_step(self, batch: BatchT, batch_idx: int) -> StepOutput:
        """Count a batch in `val/…`."""
        return self.step(batch, "val")

    def test_step(self, batch: BatchT, batch_idx: int) -> StepOutput:
        """Count a batch in `test/…`."""
        return self.step(batch, "test")

    def predict_step(self, batch: BatchT, batch_idx: int) -> list[Prediction]:
        """The answer for each example that is no padding copy, with its id and row number."""
        batch = self._numbered(batch)
        return self._named(batch, self.decide(self.decode(batch, self.run(batch, "predict"))))

    def on_predict_batch_end(self, outputs: object, *args: object, **kwargs: object) -> None:
        """Stop where an answer is no number."""
        check_answers(outputs)

    def answers_with_truth(self, batch: BatchT, output: StepOutput) -> list[Prediction]:
        """The answers of a step of an evaluation, each with its `truth` and whether it is right.

        Args:
            batch: with labels.
            output: what the step made of it; one that says too little gives no answers.
        """
        if not self.is_complete(batch):
            return []
        answers = self.decide(self.decode(batch, cast("OutputT", output)))
        for row, answer in enumerate(answers):
            shown = self.show(batch, row, answer)
            answer |= {"truth": self.truth(batch, row), "correct": shown["correct"]}
        return self._named(batch, answers)

    def samples(self, batch: BatchT, output: StepOutput, rows: Sequence[int]) -> list[Sample]:
        """Show the examples at some rows of a batch: input, prediction and truth.

        Args:
            batch: with labels.
            output: what a step made of it.
            rows: which of them; none are shown of a batch that says too little.
        """
        if not rows or not self.is_complete(batch):
            return []
        answers = self.decide(self.decode(batch, cast("OutputT", output), rows))
        marks = ids_and_indices(batch, self.num_examples(batch))
        losses = output["losses"].tolist()
        samples: list[Sample] = []
        for row, answer in zip(rows, answers, strict=True):
            probability = answer.get("probability")
            sample = {
                "id": marks[row][1],
                "probability": probability if isinstance(probability, float) else None,
                "loss": losses[row],
                **self.show(batch, row, answer),
            }
            samples.append(cast("Sample", sample))
        return samples

    def _named(self, batch: BatchT, answers: Sequence[Prediction]) -> list[Prediction]:
        marks = ids_and_indices(batch, len(answers))
        named: list[Prediction] = [
            {"index": number, "id": name, **answer}
            for (number, name), answer in zip(marks, answers, strict=True)
        ]
        return drop_padding(batch, named)

    def _numbered(self, batch: BatchT) -> BatchT:
        """A batch whose rows have numbers; an ordinary one's are as Lightning's samplers deal."""
        if "index" in batch:
            return batch
        trainer = self._trainer
        rank, size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        first, self._num_rows = self._num_rows, self._num_rows + self.num_examples(batch)
        numbers = [rank + size * row for row in range(first, self._num_rows)]
        names = {"index": numbers, "id": [str(number) for number in numbers], **batch}
        return cast("BatchT", names)
