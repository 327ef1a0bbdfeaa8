import copy
import math
import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision
from torch.optim import SGD, AdamW, Optimizer

from lit_hf import InputError, MeanHead, TextClassifier
from lit_hf.batches import TextBatch
from lit_hf.modules.base import decay_groups

MakeBatch = Callable[..., TextBatch]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]


def _logits(module: TextClassifier, batch: TextBatch) -> torch.Tensor:
    with torch.no_grad():
        return cast("torch.Tensor", module(batch).logits)


class Watch(Callback):
    """Writes down the learning rate before each step, and modes of training and validation."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.modes: list[tuple[str, bool]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        self.modes.append(("train", cast("TextClassifier", pl_module).model.training))

    def on_validation_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.modes.append(("val", cast("TextClassifier", pl_module).model.training))


# The model comes when it is touched.


def test_constructor__loads_nothing(tmp_path: Path) -> None:
    module = TextClassifier(str(tmp_path / "nowhere"), NAMES)
    assert list(module.parameters()) == []
    assert not hasattr(module, "nothing_of_this_name")
    with pytest.raises(InputError, match="nowhere.*config cannot be loaded"):
        _ = module.model


def test_constructor__refuses_a_warmup_ratio_outside_of_its_range(tiny_model: str) -> None:
    with pytest.raises(InputError, match=r"warmup_ratio.*0\.\.1.*1\.5"):
        TextClassifier(tiny_model, NAMES, warmup_ratio=1.5)


def test_model__is_loaded_once(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES)
    model = module.model
    module.configure_model()
    assert module.model is model


@pytest.mark.parametrize("training", [True, False])
def test_model__takes_the_mode_that_the_module_was_put_into_before(
    tiny_model: str, training: bool, make_batch: MakeBatch
) -> None:
    module = TextClassifier(tiny_model, NAMES)
    module.train(training)
    assert [part.training for part in module.model.modules()] == [training] * len(
        list(module.model.modules())
    )
    batch = make_batch()
    assert torch.equal(_logits(module, batch), _logits(module, batch)) is not training


def test_model__goes_where_the_module_went_before(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES).to("meta")
    assert {parameter.device.type for parameter in module.model.parameters()} == {"meta"}
    assert {parameter.device.type for parameter in module.parameters()} == {"meta"}


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_module__is_copied_and_pickled(
    tiny_model: str,
    make_batch: MakeBatch,
    touched: bool,
    copied: Callable[[TextClassifier], TextClassifier],
) -> None:
    module = TextClassifier(tiny_model, NAMES).eval()
    if touched:
        _ = module.model
    other = copied(module)
    assert ("model" in other._modules) is touched
    other.model.load_state_dict(module.model.state_dict())
    assert torch.equal(_logits(module, make_batch()), _logits(other, make_batch()))
    assert other.label_names == NAMES
    assert isinstance(other.optimizer(decay_groups(other)), AdamW)  # type: ignore[arg-type]
    assert isinstance(module.optimizer(decay_groups(module)), AdamW)  # type: ignore[arg-type]


# Overrides of the config.


def test_scratch__builds_the_overridden_config_with_random_weights(tiny_model: str) -> None:
    built = [
        TextClassifier(
            tiny_model, NAMES, pretrained=False, config_overrides={"num_hidden_layers": 1}
        )
        for _ in range(2)
    ]
    loaded = TextClassifier(tiny_model, NAMES)
    assert [module.model.config.num_hidden_layers for module in built] == [1, 1]
    tables = [m.model.get_input_embeddings().weight for m in (*built, loaded)]  # type: ignore[no-untyped-call]
    assert not torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])
    layers = {name.split(".")[3] for name in built[0].model.state_dict() if ".layer." in name}
    assert layers == {"0"}


def test_scratch__trains(tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer) -> None:
    module = TextClassifier(
        tiny_model,
        NAMES,
        pretrained=False,
        config_overrides={"num_hidden_layers": 1},
        optimizer=lambda params: AdamW(params, lr=1e-2),
    )
    before = copy.deepcopy(module.model.state_dict())
    make_trainer(max_steps=2).fit(module, [make_batch()] * 2)
    after = module.model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_overrides__of_a_value_change_a_pretrained_model(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, config_overrides={"hidden_dropout_prob": 0.5})
    assert {m.p for m in module.model.modules() if isinstance(m, torch.nn.Dropout)} == {0.5, 0.1}


@pytest.mark.parametrize("name", ["num_hiden_layers", "to_dict", "nothing_alike_at_all"])
def test_overrides__of_an_unknown_name_are_refused(tiny_model: str, name: str) -> None:
    module = TextClassifier(tiny_model, NAMES, config_overrides={name: 1})
    with pytest.raises(InputError, match=f"'bert' has no '{name}'") as caught:
        _ = module.model
    if name == "num_hiden_layers":
        assert "Did you mean 'num_hidden_layers'?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("num_hidden_layers", "two"), ("num_attention_heads", 3)]
)
def test_overrides__of_an_impossible_value_are_an_input_error(
    tiny_model: str, name: str, value: str | int
) -> None:
    module = TextClassifier(tiny_model, NAMES, pretrained=False, config_overrides={name: value})
    with pytest.raises(InputError, match="num_hidden_layers|hidden size"):
        _ = module.model


def test_overrides__that_do_not_fit_the_weights_are_refused(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, config_overrides={"intermediate_size": 64})
    with pytest.raises(InputError, match=r"intermediate.*\[32.*\[64.*pretrained: false"):
        _ = module.model


# Optimizer and schedule.


def test_decay__spares_every_bias_and_norm_and_nothing_else(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, head=MeanHead)
    names = {parameter: name for name, parameter in module.model.named_parameters()}
    decayed, spared = (
        {names[p] for p in cast("list[torch.nn.Parameter]", group["params"])}
        for group in decay_groups(module)
    )
    assert decayed | spared == set(names.values())
    assert not decayed & spared
    assert all(name.endswith("bias") or "LayerNorm" in name for name in spared)
    assert not any(name.endswith("bias") or "LayerNorm" in name for name in decayed)


def test_decay__passes_over_frozen_weights(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES)
    for parameter in module.model.base_model.parameters():
        parameter.requires_grad = False
    sizes = [len(cast("list[object]", group["params"])) for group in decay_groups(module)]
    assert sizes == [1, 1]  # the last layer


def test_optimizer__is_fused_adamw_with_two_groups(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(max_steps=1)
    trainer.fit(TextClassifier(tiny_model, NAMES, warmup_ratio=0.0), [make_batch()])
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is AdamW
    assert [group["fused"] for group in optimizer.param_groups] == [True, True]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.0]
    assert [group["initial_lr"] for group in optimizer.param_groups] == [2e-5, 2e-5]


def _rates(
    model: str, batch: TextBatch, trainer: MakeTrainer, **settings: Any  # noqa: ANN401
) -> tuple[list[float], float]:
    module = TextClassifier(
        model, NAMES, optimizer=lambda params: SGD(params, lr=0.4), **settings
    )
    watch = Watch()
    trainer = trainer(max_steps=20, callbacks=[watch])  # type: ignore[assignment]
    trainer.fit(module, [batch] * 20)  # type: ignore[attr-defined]
    return watch.rates, trainer.optimizers[0].param_groups[0]["lr"]  # type: ignore[attr-defined]
