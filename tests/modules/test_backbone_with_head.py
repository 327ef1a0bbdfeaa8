from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    DistilBertConfig,
    DistilBertModel,
    PreTrainedModel,
)

from lit_hf import (
    FreezeBackbone,
    InputError,
    MeanHead,
    Predictor,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.batches import TextBatch
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.backbone_with_head import BackboneWithHead, join, without_pooler
from lit_hf.speed.callback import CPUSpeed, PruneLastLayer
from tests.trainers import quiet_trainer

MakeBatch = Callable[..., TextBatch]
NAMES = ["anger", "joy", "optimism"]


class Pooled(nn.Module):
    """A head on what the pooler gives, beside the mean of all tokens."""

    def __init__(self, hidden_size: int, num_labels: int) -> None:
        super().__init__()
        self.hidden_size, self.num_labels = hidden_size, num_labels
        self.linear = nn.Linear(2 * hidden_size, num_labels)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, pooler_output: Tensor
    ) -> Tensor:
        return cast("Tensor", self.linear(torch.cat([hidden_states.mean(1), pooler_output], 1)))


def _inputs(batch: TextBatch) -> dict[str, Tensor]:
    return {
        n: v for n, v in cast("dict[str, Any]", batch).items() if n in TextClassifier.input_names
    }


def _model(module: TextClassifier) -> BackboneWithHead:
    module.train(False)
    assert isinstance(module.model, BackboneWithHead)
    return module.model


@pytest.mark.parametrize("head", [MeanHead, Pooled])
def test_output__has_what_the_backbone_gives(
    tiny_model: str, make_batch: MakeBatch, head: type[nn.Module]
) -> None:
    inputs = _inputs(make_batch())
    model = _model(TextClassifier(tiny_model, NAMES, head=head))
    plain: Any = AutoModel.from_pretrained(tiny_model)
    with torch.no_grad():
        found, wanted = model(**inputs), plain(**inputs)
    assert torch.equal(found.last_hidden_state, wanted.last_hidden_state)
    assert torch.equal(found.pooler_output, wanted.pooler_output)
    assert found.logits.shape == (len(inputs["input_ids"]), 3)
    assert found.loss is None
    assert found.keys() == {"logits", "last_hidden_state", "pooler_output"}


@pytest.mark.parametrize(("head", "learns"), [(MeanHead, False), (Pooled, True)])
def test_pooler__learns_only_under_a_head_that_reads_it(
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    head: type[nn.Module],
    learns: bool,
) -> None:
    data = TextClassificationDataModule(tiny_model, batch_size=4).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, ["0", "1"], head=head)
    module.freeze()
    module.unfreeze()  # all weights
    before = {name: weight.clone() for name, weight in module.model.state_dict().items()}
    quiet_trainer(default_root_dir=tmp_path, max_epochs=1, callbacks=[FreezeBackbone(0)]).fit(
        module, data
    )
    changed = {n for n, w in module.model.state_dict().items() if not torch.equal(w, before[n])}
    assert any(name.startswith("backbone.encoder") for name in changed)
    assert any("pooler" in name for name in changed) is learns
    trained = {n for n, p in module.model.named_parameters() if p.requires_grad}
    assert any("pooler" in name for name in trained) is learns


@pytest.mark.parametrize(
    ("problem", "names", "labels"),
    [
        ("single_label", NAMES, torch.tensor([0, 2, 1, 0, 1, 2])),
        ("multi_label", NAMES, torch.eye(3)[[0, 1, 2, 0, 1, 2]]),
        ("regression", None, torch.tensor([0.5, 1.0, 2.0, 0.1, 0.0, 1.0])),
    ],
)
def test_loss__is_that_of_the_ready_head_of_the_same_logits(
    tiny_model: str,
    make_batch: MakeBatch,
    problem: ProblemType,
    names: list[str] | None,
    labels: Tensor,
) -> None:
    inputs = _inputs(make_batch())
    module = TextClassifier(tiny_model, names, problem, head=MeanHead)
    model = _model(module)
    with torch.no_grad():
        found = module(**inputs, labels=labels)
        logits = model(**inputs).logits
    losses: dict[ProblemType, Callable[[Tensor, Tensor], Tensor]] = {
        "single_label": nn.functional.cross_entropy,
        "multi_label": nn.functional.binary_cross_entropy_with_logits,
        "regression": lambda x, y: nn.functional.mse_loss(x[:, 0], y),
    }
    assert torch.allclose(found.loss, losses[problem](logits, labels))
    assert torch.equal(found[0], found.loss)
    assert torch.equal(found[1], logits)


def test_folder__keeps_the_pooler(tiny_model: str, make_batch: MakeBatch, tmp_path: Path) -> None:
    inputs = _inputs(make_batch())
    model = _model(TextClassifier(tiny_model, NAMES, head=Pooled))
    model.save_pretrained(tmp_path / "out")
    again: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        found, wanted = again(**inputs), model(**inputs)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def _former(tiny_model: str) -> BackboneWithHead:
    """A model as it was written when its backbone lost the pooler."""
    module = TextClassifier(tiny_model, NAMES, head=MeanHead)
    model = _model(module)
    backbone = cast("PreTrainedModel", AutoModel.from_pretrained(tiny_model))
    former = join(without_pooler(backbone), model.head, model.config)
    former.train(False)
    assert not hasattr(former.config, "has_pooler")
    assert "has_pooler" not in former.config.to_dict()
    return former


def test_folder__without_pooler_of_before_still_loads(
    tiny_model: str, make_batch: MakeBatch, tmp_path: Path
) -> None:
    former = _former(tiny_model)
    former.save_pretrained(tmp_path / "out")
    inputs = _inputs(make_batch())
    module = TextClassifier(str(tmp_path / "out"), NAMES)
    plain: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        wanted = former(**inputs).logits
        for model in (_model(module), plain):
            assert not any("pooler" in name for name in model.state_dict())
            assert torch.equal(model(**inputs).logits, wanted)
            assert model(**inputs).pooler_output is None


def test_checkpoint__without_pooler_of_before_still_loads(
    tiny_model: str, tmp_path: Path, make_batch: MakeBatch, tweet_rows: list[dict[str, object]]
) -> None:
    data = TextClassificationDataModule(tiny_model, batch_size=8).with_rows(train=tweet_rows)
    module = TextClassifier(tiny_model, ["0", "1"], head=MeanHead)
    module.model = _former(tiny_model)
    with torch.no_grad():
        module.model.config.id2label = {0: "0", 1: "1"}
        module.model.config.label2id = {"0": 0, "1": 1}
        module.model.head = MeanHead(16, 2)
    cast("Any", module.model.config).head["init_args"]["num_labels"] = 2
    module.setup_metrics()
    module.train()
    trainer = quiet_trainer(default_root_dir=tmp_path, max_epochs=1)
    trainer.fit(module, data)
    path = tmp_path / "last.ckpt"
    trainer.save_checkpoint(path)
    again = TextClassifier.load_from_checkpoint(path)
    assert not any("pooler" in name for name in again.state_dict())
    texts = [str(row["text"]) for row in tweet_rows]
    assert len(Predictor.from_pretrained(path)(texts)) == len(texts)


def test_head__that_reads_a_pooler_is_refused_where_there_is_none(
    make_batch: MakeBatch, tmp_path: Path
) -> None:
    config = DistilBertConfig(vocab_size=600, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    DistilBertModel(config).save_pretrained(tmp_path)
    module = TextClassifier(str(tmp_path), NAMES, head=Pooled)
    with pytest.raises(InputError, match="Pooled reads `pooler_output`"):
        module(**_inputs(make_batch()))


@pytest.mark.parametrize("head", [MeanHead, Pooled])
def test_speed_ups__leave_the_logits(
    tiny_model: str, tmp_path: Path, tweet_rows: list[dict[str, object]], head: type[nn.Module]
) -> None:
    data = TextClassificationDataModule(tiny_model, batch_size=4)
    data.with_rows(train=tweet_rows, predict=tweet_rows)
    module = TextClassifier(tiny_model, ["0", "1"], head=head)
    answers: list[list[float]] = []
    used: list[list[Any]] = [[], [PruneLastLayer()], [CPUSpeed(), PruneLastLayer()]]
    for callbacks in used:
        found: Any = quiet_trainer(default_root_dir=tmp_path, callbacks=callbacks).predict(
            module, data
        )
        answers.append([row["probability"] for batch in found for row in batch])
    assert answers[1] == answers[0]
    assert answers[2] == pytest.approx(answers[0], abs=1e-5)
