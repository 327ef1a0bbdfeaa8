from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    PreTrainedConfig,
)

from lit_hf import InputError
from lit_hf.pretrained.models import from_config, from_pretrained, reinit_head

AUTO = AutoModelForSequenceClassification
NAMES = ["anger", "joy", "optimism"]


@pytest.fixture
def ready(tiny_model: str, tmp_path: Path) -> str:
    """The folder of a trained classifier."""
    AUTO.from_pretrained(tiny_model, id2label=dict(enumerate(NAMES))).save_pretrained(tmp_path)
    return str(tmp_path)


def _config(folder: str) -> PreTrainedConfig:
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    return config


def test_loading__keeps_the_trained_head_and_gives_single_precision(ready: str) -> None:
    held = load_file(Path(ready) / "model.safetensors")["classifier.weight"]
    model = from_pretrained(AUTO, ready, _config(ready))
    assert torch.equal(model.get_parameter("classifier.weight"), held)
    AUTO.from_pretrained(ready).bfloat16().save_pretrained(ready)
    model = from_pretrained(AUTO, ready, _config(ready))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_head__of_another_size_is_initialised_alone(ready: str) -> None:
    config = _config(ready)
    config.id2label = dict(enumerate("abcde"))
    weights = from_pretrained(AUTO, ready, config).state_dict()
    held = load_file(Path(ready) / "model.safetensors")
    assert weights["classifier.weight"].shape == (5, 16)
    assert 0 < float(weights["classifier.weight"].abs().max()) < 0.2
    assert torch.equal(weights["classifier.bias"], torch.zeros(5))
    assert all(torch.equal(weights[k], held[k]) for k in held if not k.startswith("classifier"))


def test_weights__that_do_not_fit_outside_the_head_are_refused(ready: str) -> None:
    config = _config(ready)
    config.hidden_size = 32
    for auto in (AUTO, AutoModel):
        with pytest.raises(InputError, match=r"has the shape \[.*16.*config expects \[.*32"):
            from_pretrained(auto, ready, config)
    save_file({"conv.weight": torch.zeros(3)}, Path(ready) / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="another kind of model"):
        from_pretrained(AUTO, ready, _config(ready))


def test_reinit_head__changes_the_last_layer_only(ready: str) -> None:
    model = from_pretrained(AUTO, ready, _config(ready))
    with torch.no_grad():
        model.get_parameter("classifier.bias").fill_(7)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    reinit_head(model)
    after = model.state_dict()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}
    assert torch.equal(after["classifier.bias"], torch.zeros(3))


def test_config__of_which_no_model_can_be_built_is_one_error() -> None:
    with pytest.raises(InputError, match=r"'bert' model.*hidden size \(15\)"):
        from_config(AutoModel, BertConfig(hidden_size=15, num_attention_heads=4))
