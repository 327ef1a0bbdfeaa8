import copy
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch.optim import AdamW
from torch.utils.data import DataLoader, Dataset
from transformers import GPT2Config, GPT2Model

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.batches import TextBatch

MakeBatch = Callable[..., TextBatch]
MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["anger", "joy", "optimism"]


def _loader(batches: Sequence[TextBatch]) -> "DataLoader[TextBatch]":
    return DataLoader(cast("Dataset[TextBatch]", batches), batch_size=None)


def _logits(module: TextClassifier, batch: TextBatch) -> torch.Tensor:
    with torch.no_grad():
        return cast("torch.Tensor", module(batch).logits)


class Watch(Callback):
    """Writes down the modes of training and validation."""

    def __init__(self) -> None:
        self.modes: list[tuple[str, bool]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
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
    assert "model" not in module._modules
    assert not hasattr(module, "nothing_of_this_name")
    with pytest.raises(InputError, match=r"nowhere.*no such folder"):
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
    assert torch.equal(_logits(module, make_batch()), _logits(other, make_batch()))
    assert other.label_names == NAMES
    assert isinstance(other.optimizer(other.parameters()), AdamW)
    assert isinstance(module.optimizer(module.parameters()), AdamW)


def test_model__of_a_language_model_gets_a_padding_token(
    tmp_path: Path, make_batch: MakeBatch
) -> None:
    config = GPT2Config(n_positions=16, n_embd=8, n_layer=1, n_head=2, vocab_size=300)
    config.eos_token_id = 0
    GPT2Model(config).save_pretrained(tmp_path)
    module = TextClassifier(str(tmp_path), NAMES)
    assert module.model.config.pad_token_id == 0
    batch = make_batch()
    batch.pop("token_type_ids")
    assert _logits(module, batch).shape == (6, 3)


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
    key = "bert.embeddings.word_embeddings.weight"
    tables = [module.model.state_dict()[key] for module in (*built, loaded)]
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
    make_trainer(max_steps=2).fit(module, _loader([make_batch()] * 2))
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
    with pytest.raises(InputError, match=r"num_hidden_layers|hidden size"):
        _ = module.model


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_labels", 5, "set by `num_labels`"),
        ("output_attentions", True, r"output_attentions=True\)`"),
        ("model_type", "gpt2", "set by `model_name`"),
        ("num_hidden_layers", -1, "at least 1, but got -1"),
        ("hidden_act", "nonsense", "no 'bert' model of this config"),
        ("pad_token_id", 99999, "no 'bert' model of this config"),
    ],
)
def test_overrides__that_would_do_harm_are_refused(
    tiny_model: str, name: str, value: str | int, message: str
) -> None:
    module = TextClassifier(tiny_model, NAMES, pretrained=False, config_overrides={name: value})
    with pytest.raises(InputError, match=message):
        _ = module.model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vocab_size", "the model's `vocab_size` is 60, but there are"),
        ("max_position_embeddings", r"at most 60 \(.*its `config_overrides`\), but got 128"),
    ],
)
def test_overrides__that_leave_no_room_for_the_data_are_refused(
    tiny_model: str, make_trainer: MakeTrainer, name: str, message: str
) -> None:
    rows = [{"text": f"a b {label}", "label": label} for label in NAMES]
    data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(train=rows)
    module = TextClassifier(tiny_model, pretrained=False, config_overrides={name: 60})
    with pytest.raises(InputError, match=message):
        make_trainer(max_steps=1, log_every_n_steps=1).fit(module, data)


def test_optimizer__that_refuses_its_settings_is_told(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, NAMES, optimizer=lambda params: AdamW(params, lr=-1.0))
    with pytest.raises(InputError, match="`optimizer`: Invalid learning rate"):
        make_trainer(max_steps=1).fit(module, _loader([make_batch()]))


def test_overrides__that_do_not_fit_the_weights_are_refused(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, config_overrides={"intermediate_size": 64})
    with pytest.raises(InputError, match=r"intermediate.*\[32.*\[64.*pretrained: false"):
        _ = module.model


# Modes.


def test_dropout__is_on_in_training_and_off_in_validation(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    watch = Watch()
    trainer = make_trainer(max_epochs=2, num_sanity_val_steps=1, callbacks=[watch])
    loader = _loader([make_batch()] * 2)
    trainer.fit(TextClassifier(tiny_model, NAMES), loader, loader)
    epoch = [("train", True)] * 2 + [("val", False)] * 2
    assert watch.modes == [("val", False), *epoch, *epoch]


def test_dropout__makes_two_passes_of_a_training_batch_differ(
    tiny_model: str, make_batch: MakeBatch
) -> None:
    module, batch = TextClassifier(tiny_model, NAMES), make_batch()
    assert not torch.equal(_logits(module, batch), _logits(module, batch))
    module.eval()
    assert torch.equal(_logits(module, batch), _logits(module, batch))


# Monitors and logged numbers.


def test_scores__logged_are_those_of_one_validation_each(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    module = TextClassifier(tiny_model, NAMES)
    loader = _loader([make_batch(4), make_batch(3, seed=1)])
    trainer = make_trainer()
    first = trainer.validate(module, loader, verbose=False)
    again = trainer.validate(module, loader, verbose=False)
    assert first == again
    assert first[0]["val/num_examples"] == 7
    assert sorted(first[0]) == sorted(f"val/{name}" for name in module.metric_names())
    (tested,) = trainer.test(module, loader, verbose=False)
    assert {name.replace("test/", "val/"): v for name, v in tested.items()} == first[0]


def test_training_step__logs_its_loss(
    tiny_model: str, make_batch: MakeBatch, make_trainer: MakeTrainer
) -> None:
    seen: list[tuple[float, float]] = []

    class Compare(Callback):
        def on_train_batch_end(
            self,
            trainer: pl.Trainer,
            pl_module: pl.LightningModule,
            outputs: object,
            batch: object,
            batch_idx: int,
        ) -> None:
            loss = cast("Mapping[str, torch.Tensor]", outputs)["loss"]
            seen.append((float(loss), float(trainer.callback_metrics["train/loss"])))

    trainer = make_trainer(max_steps=3, callbacks=[Compare()])
    trainer.fit(TextClassifier(tiny_model, NAMES), _loader([make_batch()] * 3))
    assert len(seen) == 3
    assert all(output == logged for output, logged in seen)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="notebooks train in forked processes")
def test_notebook__has_the_weights_that_two_processes_have_trained(
    tiny_model: str, tmp_path: Path, make_trainer: MakeTrainer, tweet_rows: list[dict[str, object]]
) -> None:
    """Each of them makes its model; the notebook's own process had none so far."""
    module = TextClassifier(tiny_model, ["no", "yes"])
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"], val_fraction=0)
    callbacks = [ModelCheckpoint(tmp_path, filename="trained")]
    trainer = make_trainer(
        devices=2,
        strategy="ddp_notebook",
        max_epochs=1,
        enable_checkpointing=True,
        callbacks=callbacks,
    )
    trainer.fit(module, data.with_rows(train=tweet_rows, val=tweet_rows))
    assert 0 <= float(trainer.callback_metrics["val/accuracy"]) <= 1
    trained = torch.load(tmp_path / "trained.ckpt", weights_only=True)["state_dict"]
    assert "model" in dict(module.named_children())
    for name, value in module.state_dict().items():
        assert torch.equal(trained[name], value)
