import copy
import warnings
from collections.abc import Callable, Sequence
from typing import cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedModel, get_scheduler
from transformers.modeling_outputs import SequenceClassifierOutput

from lit_hf import (
    AttentionHead,
    MeanHead,
    TextClassifier,
)
from lit_hf.batches import Sample, StepOutput, TextBatch
from lit_hf.functional.labels import ProblemType

MakeBatch = Callable[..., TextBatch]
MakeReady = Callable[[list[str]], str]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]
PROBLEMS: list[ProblemType] = ["single_label", "multi_label", "regression"]
HF_PROBLEMS = ["single_label_classification", "multi_label_classification", "regression"]


def _loader(batches: Sequence[TextBatch]) -> "DataLoader[TextBatch]":
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


def _module(model: str, problem: ProblemType = "single_label") -> TextClassifier:
    return TextClassifier(model, None if problem == "regression" else NAMES, problem)


def _step(module: TextClassifier, batch: TextBatch) -> StepOutput:
    return module.step(cast("dict[str, object]", batch), "train")


def _without(batch: TextBatch, *names: str) -> dict[str, Tensor]:
    return {k: cast("Tensor", v) for k, v in batch.items() if k not in names}


class Record(Callback):
    """Seeds the first step and keeps the loss of each."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.losses: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if not self.losses:
            torch.manual_seed(self.seed)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        self.losses.append(float(cast("StepOutput", outputs)["loss"]))


def test_training__equals_a_hand_written_loop_step_by_step(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    num_steps, rate, decay, clip, warmup = 20, 3e-3, 0.1, 0.3, 0.2
    batches = [make_batch(8, seed=seed, length=12) for seed in range(num_steps)]

    module = TextClassifier(
        tiny_model,
        NAMES,
        optimizer=lambda params: AdamW(params, lr=rate, weight_decay=decay, fused=True),
        warmup_ratio=warmup,
    )
    first_weights = copy.deepcopy(module.model.state_dict())
    record = Record(seed=12)
    trainer = make_trainer(max_steps=num_steps, gradient_clip_val=clip, callbacks=[record])
    trainer.fit(module, _loader(batches))

    plain = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=3).train()
    plain.load_state_dict(first_weights)  # heads are drawn at random
    named = list(plain.named_parameters())
    spared = [p for n, p in named if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in named if not (n.endswith("bias") or "LayerNorm" in n)]
    optimizer = AdamW(
        [{"params": decayed, "weight_decay": decay}, {"params": spared, "weight_decay": 0.0}],
        lr=rate,
        fused=True,
    )
    schedule = get_scheduler("linear", optimizer, round(warmup * num_steps), num_steps)
    losses, norms = [], []
    torch.manual_seed(12)
    for batch in batches:
        loss = plain(**batch).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(plain.parameters(), clip)))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))

    assert len(record.losses) == num_steps
    assert record.losses == pytest.approx(losses, abs=1e-6)
    assert max(norms) > clip  # so that clipping has a say
    for name, weight in plain.state_dict().items():
        assert torch.allclose(module.model.state_dict()[name], weight, atol=1e-6), name
        assert weight.ndim < 2 or not torch.allclose(first_weights[name], weight, atol=1e-3), name


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("head", [None, AttentionHead])
def test_training__learns_one_batch_by_heart(
    tiny_model: str,
    make_batch: MakeBatch,
    make_trainer: MakeTrainer,
    problem: ProblemType,
    head: type[nn.Module] | None,
) -> None:
    torch.manual_seed(0)
    module = TextClassifier(
        tiny_model,
        None if problem == "regression" else NAMES,
        problem,
        head=None if head is None else (lambda width, labels: head(width, labels, dropout=0.0)),
        config_overrides={"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
        optimizer=lambda params: AdamW(params, lr=1e-2),
    )
    record = Record(seed=0)
    batch = make_batch(6, problem)
    make_trainer(max_steps=200, callbacks=[record]).fit(module, _loader([batch] * 200))
    assert record.losses[0] > 0.3
    assert record.losses[-1] < 0.02
    module.train(False)
    answers = module.predict_step(_without(batch, "labels"), 0)
    truth = [_truth(label, problem) for label in batch["labels"]]
    if problem == "regression":
        assert [row["prediction"] for row in answers] == pytest.approx(truth, abs=0.3)
    else:
        assert [row["prediction"] for row in answers] == truth


def _truth(label: Tensor, problem: ProblemType) -> object:
    if problem == "regression":
        return float(label)
    if problem == "single_label":
        return NAMES[int(label)]
    return [name for name, flag in zip(NAMES, label.tolist(), strict=True) if flag]


# The step.


@pytest.mark.parametrize("problem", PROBLEMS)
def test_step__gives_a_loss_that_learns_and_the_rest_detached(
    tiny_model: str, make_batch: MakeBatch, problem: ProblemType
) -> None:
    module, batch = _module(tiny_model, problem), make_batch(6, problem)
    output = _step(module, batch)
    num_logits = 1 if problem == "regression" else 3
    assert output["loss"].shape == ()
    assert output["loss"].requires_grad
    assert output["losses"].shape == (6,)
    assert output["logits"].shape == (6, num_logits)
    assert not output["losses"].requires_grad
    assert not output["logits"].requires_grad
    assert output["logits"].dtype is torch.float32
    assert torch.allclose(output["loss"], output["losses"].mean())


@pytest.mark.parametrize(("problem", "hf_problem"), list(zip(PROBLEMS, HF_PROBLEMS, strict=True)))
def test_loss__equals_that_of_transformers(
    tiny_model: str, make_batch: MakeBatch, problem: ProblemType, hf_problem: str
) -> None:
    module, batch = _module(tiny_model, problem), make_batch(7, problem)
    module.train(False)
    model = module.model
    assert model.config.problem_type == hf_problem
    with torch.no_grad():
        want = model(**batch)
        output = _step(module, batch)
    assert torch.equal(output["logits"], want.logits)
    assert float(output["loss"]) == pytest.approx(float(want.loss), abs=1e-6)
    for row in range(7):
        one = {name: value[row : row + 1] for name, value in _without(batch).items()}
        with torch.no_grad():
            alone = model(**one).loss
        assert float(output["losses"][row]) == pytest.approx(float(alone), abs=1e-5)


def test_step__in_training_counts_nothing(tiny_model: str, make_batch: MakeBatch) -> None:
    module = _module(tiny_model)
    module.train(False)
    mapping = cast("dict[str, object]", make_batch())
    module.step(mapping, "val")
    module.step(mapping, "train")
    assert float(module.scores("val")["num_examples"]) == 6


def test_step__leaves_padding_copies_out_of_the_scores(
    tiny_model: str, make_batch: MakeBatch
) -> None:
    module, batch = _module(tiny_model), make_batch(6)
    module.train(False)
    batch["is_padding"] = torch.tensor([False, True, False, False, True, True])
    losses = module.step(cast("dict[str, object]", batch), "test")["losses"]
    scores = module.scores("test")
    assert float(scores["num_examples"]) == 3
    assert float(scores["loss"]) == pytest.approx(float(losses[[0, 2, 3]].mean()), abs=1e-6)


# Forward.


@pytest.mark.parametrize("head", [None, MeanHead])
def test_forward__gives_attentions_and_hidden_states_and_goes_back_to_the_fast_path(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module] | None
) -> None:
    module = TextClassifier(tiny_model, NAMES, head=head)
    module.train(False)
    batch = make_batch(6, length=9)
    num_parts = 2 if head else 1  # the whole, and its backbone with a config of its own
    assert len({id(part.config) for part in _models(module)}) == num_parts
    fast = [part.config._attn_implementation for part in _models(module)]
    assert set(fast) == {"sdpa"}
    with torch.no_grad():
        plain = module(batch)
        full: SequenceClassifierOutput = module(
            batch, output_attentions=True, output_hidden_states=True
        )
    assert plain.attentions is None
    assert plain.hidden_states is None
    assert full.attentions is not None
    assert full.hidden_states is not None
    assert [layer.shape for layer in full.attentions] == [(6, 2, 9, 9)] * 2
    assert [layer.shape for layer in full.hidden_states] == [(6, 9, 16)] * 3
    for layer in full.attentions:
        assert torch.allclose(layer.sum(-1), torch.ones(6, 2, 9), atol=1e-5)
        padded = batch["attention_mask"][:, None, None, :].expand_as(layer) == 0
        assert float(layer[padded].abs().max()) == 0
    assert torch.allclose(cast("Tensor", full.logits), plain.logits, atol=1e-5)
    assert [part.config._attn_implementation for part in _models(module)] == fast


def test_forward__goes_back_to_the_fast_path_after_an_error(
    tiny_model: str, make_batch: MakeBatch
) -> None:
    module, batch = _module(tiny_model), make_batch()
    batch["input_ids"] = batch["input_ids"] + 10**6
    with pytest.raises(IndexError):
        module(batch, output_attentions=True)
    assert module.model.config._attn_implementation == "sdpa"


def _models(module: TextClassifier) -> list[PreTrainedModel]:
    return [part for part in module.model.modules() if isinstance(part, PreTrainedModel)]


# Answers.


def test_predict__tells_each_example_once_without_copies(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = _module(tiny_model)
    batches = [make_batch(4), make_batch(3, seed=1)]
    batches[0]["id"], batches[1]["id"] = list("abcd"), list("efg")
    batches[0]["index"], batches[1]["index"] = [0, 1, 2, 3], [4, 5, 0]
    batches[1]["is_padding"] = torch.tensor([False, False, True])
    for batch in batches:
        batch.pop("labels")  # as in rows to predict
    answered = make_trainer().predict(module, _loader(batches))
    assert answered is not None
    rows = [row for rows in answered for row in cast("list[dict[str, object]]", rows)]
    assert [(row["id"], row["index"]) for row in rows] == list(zip("abcdef", range(6), strict=True))
    module.train(False)
    with torch.no_grad():
        want = module(batches[0]).logits.softmax(1)
    for row, probabilities in zip(rows, want.tolist(), strict=False):
        assert row["probabilities"] == pytest.approx(
            dict(zip(NAMES, probabilities, strict=True)), abs=1e-6
        )


def test_samples__are_told_with_the_names_of_the_module(
    tiny_model: str, make_batch: MakeBatch
) -> None:
    module, batch = Numbered(tiny_model, NAMES), make_batch()
    module.train(False)
    mapping = cast("dict[str, object]", batch)
    output = module.step(mapping, "val")
    (sample,) = module.samples(mapping, output, [2])
    assert sample["prediction"] == NAMES[int(output["logits"][2].argmax())]
    assert sample["truth"] == NAMES[int(batch["labels"][2])]
    kept = batch["input_ids"][2][batch["attention_mask"][2] == 1].tolist()
    assert sample["input"] == " ".join(map(str, kept))
    assert sample["loss"] == pytest.approx(float(output["losses"][2]))


class Numbered(TextClassifier):
    """Whose tokens are shown as numbers."""

    def decode_tokens(self, ids: Sequence[int]) -> str:
        return " ".join(map(str, ids))


def _shown(batch: TextBatch, logits: Tensor, problem: ProblemType) -> list[Sample]:
    """All rows of a batch, by given logits."""
    module = Numbered("no model", None if problem == "regression" else NAMES, problem)
    losses = torch.arange(1.0, len(logits) + 1)
    output: StepOutput = {
        "loss": losses.mean(),
        "losses": losses,
        "weight": losses.sum(),
        "logits": logits,
    }
    return module.samples(batch, output, range(len(logits)))


def test_samples__are_rows_as_a_person_reads_them(make_batch: MakeBatch) -> None:
    batch = make_batch(4)
    batch["labels"] = torch.tensor([0, 1, 2, 1])
    batch["id"] = ["a", "b", "c", "d"]
    batch["text"] = ["one", "two", "three ‖ four", "five"]
    logits = torch.eye(4, 3) * 9  # the last row is undecided: class 0
    *_, first, second = _shown(batch, logits, "single_label")
    assert first == {
        "id": "c",
        "input": "three ‖ four",
        "prediction": "optimism",
        "probability": pytest.approx(1, abs=1e-3),
        "truth": "optimism",
        "correct": True,
        "loss": 3.0,
    }
    assert second["id"] == "d"
    assert (second["prediction"], second["truth"], second["correct"]) == ("anger", "joy", False)
    assert second["loss"] == 4.0
    del batch["id"]
    assert [sample["id"] for sample in _shown(batch, logits, "single_label")] == list("0123")


def test_samples__of_several_labels_are_right_only_when_all_are(make_batch: MakeBatch) -> None:
    batch = make_batch(3, "multi_label")
    batch["labels"] = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    logits = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, -1.0], [1.0, 1.0, -1.0]])
    shown = _shown(batch, logits, "multi_label")
    assert [(s["prediction"], s["truth"], s["correct"]) for s in shown] == [
        ("anger, optimism", "anger, optimism", True),
        ("(none)", "(none)", True),
        ("anger, joy", "anger", False),
    ]


def test_samples__of_a_regression_are_neither_right_nor_wrong(make_batch: MakeBatch) -> None:
    batch = make_batch(2, "regression")
    batch["labels"] = torch.tensor([1.5, 2.0])
    first, second = _shown(batch, torch.tensor([[1.23456], [2.0]]), "regression")
    assert (first["prediction"], first["truth"], first["correct"]) == ("1.23", "1.5", None)
    assert first["probability"] is None
    assert (second["truth"], second["correct"]) == ("2", None)


def test_classifier__is_quiet(tiny_model: str, make_batch: MakeBatch) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _step(_module(tiny_model), make_batch())
    assert [str(warning.message) for warning in caught] == []
