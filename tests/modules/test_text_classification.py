import copy
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
    MeanHead,
    TextClassifier,
)
from lit_hf.batches import StepOutput, TextBatch
from lit_hf.functional.labels import ProblemType

MakeBatch = Callable[..., TextBatch]
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


# The step.


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


def _models(module: TextClassifier) -> list[PreTrainedModel]:
    return [part for part in module.model.modules() if isinstance(part, PreTrainedModel)]


# Answers.
