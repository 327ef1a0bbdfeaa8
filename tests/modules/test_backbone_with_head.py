import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    DebertaV2Config,
    DistilBertConfig,
)

from lit_hf import (
    AttentionHead,
    FreezeBackbone,
    InputError,
    MaxHead,
    MeanHead,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.batches import TextBatch
from lit_hf.functional.labels import ProblemType
from lit_hf.modules.backbone_with_head import BackboneWithHead, build_head, describe_head
from lit_hf.pretrained.models import from_config
from tests.trainers import quiet_trainer

MakeBatch = Callable[..., TextBatch]
NAMES = ["anger", "joy", "optimism"]


class Pooled(nn.Module):
    """A user's own head on what the pooler gives, beside the mean of all tokens."""

    def __init__(self, hidden_size: int, num_labels: int, scale: float = 2.0) -> None:
        super().__init__()
        self.hidden_size, self.num_labels, self.scale = hidden_size, num_labels, scale
        self.linear = nn.Linear(2 * hidden_size, num_labels)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor, pooler_output: Tensor
    ) -> Tensor:
        """Logits."""
        joined = torch.cat([hidden_states.mean(1), pooler_output], 1)
        return cast("Tensor", self.linear(joined) * self.scale)


HEADS = pytest.mark.parametrize("head", [MeanHead, Pooled])


@pytest.fixture
def inputs(make_batch: MakeBatch) -> dict[str, Tensor]:
    """Inputs of six texts."""
    batch = cast("dict[str, Tensor]", make_batch())
    return {name: batch[name] for name in TextClassifier.input_names}


def _model(*args: Any, **settings: Any) -> BackboneWithHead:  # noqa: ANN401 - of a module
    module = TextClassifier(*args, **settings).eval()
    assert isinstance(module.model, BackboneWithHead)
    return module.model


@HEADS
def test_output__has_what_the_backbone_gives(
    tiny_model: str, inputs: dict[str, Tensor], head: type[nn.Module]
) -> None:
    model = _model(tiny_model, NAMES, head=head)
    plain: Any = AutoModel.from_pretrained(tiny_model)
    with torch.no_grad():
        found, expected = model(**inputs), plain(**inputs)
        bare = model(input_ids=torch.full((2, 4), 7)).logits
        whole = model(torch.full((2, 4), 7), torch.ones(2, 4, dtype=torch.int64)).logits
    assert torch.equal(found.last_hidden_state, expected.last_hidden_state)
    assert torch.equal(found.pooler_output, expected.pooler_output)
    assert found.keys() == {"logits", "last_hidden_state", "pooler_output"}
    assert torch.equal(bare, whole)  # without a mask nothing is padding


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
    trainer = quiet_trainer(default_root_dir=tmp_path, max_epochs=1, callbacks=[FreezeBackbone(0)])
    trainer.fit(module, data)
    changed = {n for n, w in module.model.state_dict().items() if not torch.equal(w, before[n])}
    assert any(name.startswith("backbone.encoder") for name in changed)
    assert any("pooler" in name for name in changed) is learns
    trained = {n for n, p in module.model.named_parameters() if p.requires_grad}
    assert any("pooler" in name for name in trained) is learns


@pytest.mark.parametrize(
    ("problem", "labels", "loss"),
    [
        ("single_label", torch.tensor([0, 2, 1, 0, 1, 2]), cross_entropy),
        ("multi_label", torch.eye(3)[[0, 1, 2, 0, 1, 2]], binary_cross_entropy_with_logits),
        ("regression", torch.arange(6) / 4, lambda x, y: mse_loss(x[:, 0], y)),
    ],
)
def test_loss__is_that_of_the_logits(
    tiny_model: str,
    inputs: dict[str, Tensor],
    problem: ProblemType,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> None:
    names = None if problem == "regression" else NAMES
    model = _model(tiny_model, names, problem, head=MeanHead)
    with torch.no_grad():
        found = model(**inputs, labels=labels)
    assert torch.allclose(found.loss, loss(found.logits, labels))
    assert torch.equal(found[0], found.loss)


@pytest.mark.parametrize("head", [MeanHead, AttentionHead, Pooled])
def test_folder__loads_in_plain_transformers_with_equal_logits(
    tiny_model: str, inputs: dict[str, Tensor], head: type[nn.Module], tmp_path: Path
) -> None:
    model = _model(tiny_model, NAMES, head=head)
    plain = AutoModel.from_pretrained(tiny_model).state_dict()
    assert all(torch.equal(model.backbone.state_dict()[name], plain[name]) for name in plain)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(**inputs).logits
        loaded: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path)
        assert torch.equal(loaded(**inputs).logits, expected)
        assert torch.equal(_model(str(tmp_path), NAMES)(**inputs).logits, expected)
    assert loaded.config.id2label == dict(enumerate(NAMES))
    assert loaded.config.head["class"] == f"{head.__module__}.{head.__name__}"


@pytest.mark.parametrize("names", [["no", "yes"], ["fear", "love", "hope"], None])
def test_folder__gets_a_new_head_of_the_same_kind_for_other_labels(
    tiny_model: str, names: list[str] | None, tmp_path: Path
) -> None:
    first = _model(tiny_model, NAMES, head=Pooled)
    first.save_pretrained(tmp_path)
    again = _model(str(tmp_path), names, "single_label" if names else "regression")
    num_labels = len(names or [""])
    expected = {"hidden_size": 16, "num_labels": num_labels, "scale": 2.0}
    assert again.config.head["init_args"] == expected
    assert isinstance(again.head, Pooled)
    old, new = cast("Pooled", first.head).linear.weight, again.head.linear.weight
    assert old.shape != new.shape or not torch.equal(old, new)
    for name, weight in first.backbone.state_dict().items():
        assert torch.equal(again.backbone.state_dict()[name], weight)
    assert isinstance(_model(str(tmp_path), NAMES, head=MaxHead).head, MaxHead)


def test_own_head__of_a_ready_model_takes_no_order_of_classes_from_it(
    make_ready: Callable[[list[str]], str],
) -> None:
    names = ["optimism", "anger", "joy"]
    model = _model(make_ready(NAMES), names, head=MeanHead)
    assert model.config.id2label == dict(enumerate(names))


def test_head__that_reads_a_pooler_is_refused_where_there_is_none(
    inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    config = DistilBertConfig(vocab_size=600, dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    from_config(AutoModel, config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="Pooled reads `pooler_output`"):
        TextClassifier(str(tmp_path), NAMES, head=Pooled)(**inputs)


def test_attentions__of_a_backbone_without_fast_paths_are_there(
    make_batch: MakeBatch, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 8, "max_position_embeddings": 16, "type_vocab_size": 2}
    config = DebertaV2Config(vocab_size=300, **sizes)
    from_config(AutoModel, config).save_pretrained(tmp_path)
    with torch.no_grad():
        module = TextClassifier(str(tmp_path), NAMES, head=MeanHead).eval()
        output = module(make_batch(), output_attentions=True)
    assert [layer.shape for layer in output.attentions] == [(6, 2, 9, 9)]
    assert module.model.config._attn_implementation == "eager"


# Descriptions.


class Loader(nn.Module):
    """No head: like others that a program imports, it loads what its argument names."""

    loaded: ClassVar[list[str]] = []

    def __init__(self, name: str, num_labels: int = 2) -> None:
        super().__init__()
        self.name, self.num_labels = name, num_labels
        self.loaded.append(name)


class Forgetful(MeanHead):
    """Does not keep what it was made with."""

    def __init__(self, hidden_size: int, num_labels: int, width: int = 4) -> None:
        super().__init__(hidden_size, num_labels)


def test_description__builds_the_same_head() -> None:
    spec = describe_head(Pooled(8, 3, 0.25))
    again = build_head(spec, num_labels=5)
    assert isinstance(again, Pooled)
    assert (again.scale, again.linear.out_features) == (0.25, 5)
    assert describe_head(build_head(spec)) == spec


def test_head__that_cannot_be_built_again_is_refused_before_training(tiny_model: str) -> None:
    class Hidden(MeanHead):
        pass

    for head, message in ((Forgetful, r"Forgetful.*`self\.width`"), (Hidden, "top of a module")):
        with pytest.raises(InputError, match=message):
            _ = TextClassifier(tiny_model, NAMES, head=head).model


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        *((path, {}, "is not known here") for path in ("os.system", "pathlib.Path", "lit_hf", "")),
        ("__main__.Head", {}, "in a notebook or script"),
        (f"{__name__}.Loader", {"name": "someone/model"}, "the first two arguments"),
        ("torch.nn.Sequential", {}, "the first two arguments"),
    ],
)
def test_build__makes_nothing_but_heads(
    path: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_head({"class": path, "init_args": arguments})
    assert not Loader.loaded


def test_build__imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from lit_hf import MeanHead\nclass Head(MeanHead): pass\n"
    (tmp_path / "not_yet_imported.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec: dict[str, object] = {"class": "not_yet_imported.Head"}
    spec["init_args"] = {"hidden_size": 4, "num_labels": 2}
    with pytest.raises(InputError, match="`import not_yet_imported` first"):
        build_head(spec)
    assert "not_yet_imported" not in sys.modules
    __import__("not_yet_imported")
    assert isinstance(build_head(spec), MeanHead)
    del sys.modules["not_yet_imported"]
