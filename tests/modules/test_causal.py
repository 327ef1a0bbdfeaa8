from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    PreTrainedConfig,
    XLNetConfig,
)

from lit_hf import ClsHead, InputError, MeanHead, TextClassifier
from lit_hf.modules.backbone_with_head import join
from lit_hf.modules.causal import is_causal
from lit_hf.pretrained.models import from_config

NAMES = ["no", "yes"]
SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHORT: dict[str, Any] = {"vocab_size": 60, "n_layer": 2, "n_head": 2}
GPT2 = GPT2Config(**SHORT, n_embd=16, n_positions=16, bos_token_id=1, eos_token_id=2)


class FirstToken(ClsHead):
    """A user's own head that reads the first token as well."""


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (GPT2, True),
        (LlamaConfig(**SIZES, num_key_value_heads=2), True),
        (BertConfig(**SIZES, is_decoder=True), True),
        (BertConfig(**SIZES), False),
        (ModernBertConfig(**SIZES, cls_token_id=1, sep_token_id=2), False),
        (DistilBertConfig(vocab_size=60, dim=16, hidden_dim=32, n_layers=1, n_heads=2), False),
        (XLNetConfig(**SHORT, d_model=16, d_inner=32), False),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_causal__is_tried_out(config: PreTrainedConfig, wanted: bool) -> None:
    torch.manual_seed(0)
    backbone = from_config(AutoModel, config)
    backbone.train()
    assert is_causal(backbone) is wanted
    assert all(part.training for part in backbone.modules())


def _error(folder: Path, head: Any, **settings: Any) -> str:  # noqa: ANN401 - of TextClassifier
    with pytest.raises(InputError, match=r"first token.* causal .*MeanHead.*leave `head` out") as e:
        _ = TextClassifier(str(folder), NAMES, head=head, **settings).model
    return str(e.value)


def test_first_token__of_a_causal_model_is_refused(tmp_path: Path) -> None:
    from_config(AutoModel, GPT2).save_pretrained(tmp_path)
    assert "ClsHead" in _error(tmp_path, ClsHead)
    assert "ClsHead" in _error(tmp_path, ClsHead, pretrained=False)
    assert "FirstToken" in _error(tmp_path, FirstToken)
    for head in (MeanHead, None):
        _ = TextClassifier(str(tmp_path), NAMES, head=head).model


def test_folder__with_such_a_head_answers_but_is_not_trained_anew(tmp_path: Path) -> None:
    """It was exported before such heads were refused."""
    backbone = from_config(AutoModel, GPT2)
    config = GPT2Config(id2label=dict(enumerate(NAMES)))
    config.problem_type = "single_label_classification"
    join(backbone, ClsHead(16, 2), config).save_pretrained(tmp_path)
    _ = TextClassifier(str(tmp_path)).model
    _error(tmp_path, ClsHead)
    with pytest.raises(InputError, match="MeanHead"):
        _ = TextClassifier(str(tmp_path), ["a", "b", "c"]).model
