from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedConfig,
)

from lit_hf import InputError
from lit_hf.pretrained.models import (
    changed_config,
    config_from_dict,
    from_config,
    from_pretrained,
    redraw_head,
)
from lit_hf.pretrained.processors import load_config
from lit_hf.pretrained.trained_names import names_of

MakeReady = Callable[[list[str]], str]
NAMES = ["anger", "joy", "optimism"]


def _head(folder: str, config: PreTrainedConfig) -> Tensor:
    model = from_pretrained(AutoModelForSequenceClassification, folder, config)
    return model.get_parameter("classifier.weight").detach()


def _config(folder: str, names: list[str] | None = None) -> PreTrainedConfig:
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    if names is not None:
        config.id2label = dict(enumerate(names))
    return config


# Weights.


def test_from_pretrained__keeps_the_trained_head_and_single_precision(
    make_ready: MakeReady,
) -> None:
    folder = make_ready(NAMES)
    held = load_file(Path(folder) / "model.safetensors")["classifier.weight"]
    assert torch.equal(_head(folder, _config(folder)), held)
    half = AutoModelForSequenceClassification.from_pretrained(folder).bfloat16()
    half.save_pretrained(folder)
    model = from_pretrained(AutoModelForSequenceClassification, folder, _config(folder))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_from_pretrained__draws_a_head_of_another_size_anew(make_ready: MakeReady) -> None:
    folder = make_ready(NAMES)
    config = _config(folder, ["a", "b", "c", "d", "e"])
    model = from_pretrained(AutoModelForSequenceClassification, folder, config)
    held = load_file(Path(folder) / "model.safetensors")
    weights = model.state_dict()
    assert weights["classifier.weight"].shape == (5, 16)
    assert 0 < float(weights["classifier.weight"].abs().max()) < 0.2
    assert torch.equal(weights["classifier.bias"], torch.zeros(5))
    assert all(torch.equal(weights[k], held[k]) for k in held if not k.startswith("classifier"))


def test_from_pretrained__refuses_weights_that_do_not_fit_outside_of_the_head(
    make_ready: MakeReady,
) -> None:
    folder = make_ready(NAMES)
    config = _config(folder)
    config.hidden_size = 32
    for auto in (AutoModelForSequenceClassification, AutoModel):
        with pytest.raises(InputError, match=r"has the shape \[.*16.*config wants \[.*32"):
            from_pretrained(auto, folder, config)


def test_from_pretrained__warns_of_weights_that_are_not_there(
    tiny_model: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = _config(tiny_model)
    from_pretrained(AutoModelForSequenceClassification, tiny_model, config)
    assert not [r for r in caplog.records if r.name.startswith("lit_hf")]  # a new head is no loss
    config.num_hidden_layers = 3
    from_pretrained(AutoModelForSequenceClassification, tiny_model, config)
    (record,) = [r for r in caplog.records if r.name.startswith("lit_hf")]
    assert "lacks 16 weights" in record.getMessage()
    assert "encoder.layer.2" in record.getMessage()


def test_from_pretrained__tells_of_damaged_weights(make_ready: MakeReady) -> None:
    folder = make_ready(NAMES)
    path = Path(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: damaged, it ends after 1000 bytes"):
        from_pretrained(AutoModelForSequenceClassification, folder, _config(folder))
    path.unlink()
    with pytest.raises(InputError, match="the weights cannot be loaded"):
        from_pretrained(AutoModelForSequenceClassification, folder, _config(folder))


def test_from_pretrained__refuses_the_weights_of_something_else(make_ready: MakeReady) -> None:
    folder = make_ready(NAMES)
    save_file({"conv.weight": torch.zeros(3)}, Path(folder) / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="another kind of model"):
        from_pretrained(AutoModelForSequenceClassification, folder, _config(folder))


def test_redraw_head__changes_the_last_layer_only(make_ready: MakeReady) -> None:
    folder = make_ready(NAMES)
    model = from_pretrained(AutoModelForSequenceClassification, folder, _config(folder))
    with torch.no_grad():
        model.get_parameter("classifier.weight").fill_(7)
        model.get_parameter("classifier.bias").fill_(7)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    redraw_head(model)
    after = model.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert 0 < float(after["classifier.weight"].abs().max()) < 0.2
    assert torch.equal(after["classifier.bias"], torch.zeros(3))


# Configs.


def test_config__makes_the_round_trip_through_plain_types() -> None:
    config = BertConfig(hidden_size=12, num_attention_heads=3, id2label=dict(enumerate(NAMES)))
    again = config_from_dict(config.to_dict())
    assert isinstance(again, BertConfig)
    assert again.hidden_size == 12
    assert names_of(again) == NAMES


def test_from_config__tells_what_cannot_be_built() -> None:
    config = BertConfig(hidden_size=15, num_attention_heads=4)
    with pytest.raises(InputError, match=r"'bert' model.*hidden size \(15\)"):
        from_config(AutoModel, config)


def test_changed_config__what_is_computed_from_a_value_follows_it(tiny_t5: str) -> None:
    config = changed_config(
        load_config(tiny_t5), {"feed_forward_proj": "gated-gelu", "num_layers": 1}
    )
    assert (config.is_gated_act, config.dense_act_fn) == (True, "gelu_new")
    before = load_config(tiny_t5)
    assert (config.d_model, config.vocab_size) == (before.d_model, before.vocab_size)
    assert (config.num_layers, before.is_gated_act) == (1, False)


@pytest.mark.parametrize("name", ["dtype", "torch_dtype"])
def test_changed_config__precision_is_the_trainers(tiny_model: str, name: str) -> None:
    with pytest.raises(InputError, match=rf"'{name}' is set by `trainer\.precision`"):
        changed_config(load_config(tiny_model), {name: "bfloat16"})


@pytest.mark.parametrize("size", [0, 1, 3])
def test_chunks__that_not_every_length_has_are_refused(tiny_model: str, size: int) -> None:
    if size < 2:
        assert (
            changed_config(load_config(tiny_model), {"chunk_size_feed_forward": size}).model_type
            == "bert"
        )
        return
    with pytest.raises(InputError, match="chunk_size_feed_forward is 3"):
        changed_config(load_config(tiny_model), {"chunk_size_feed_forward": size})
