import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from lit_hf import InputError
from lit_hf.pretrained.configs import changed_config, check_config, config_from_dict, load_config
from lit_hf.pretrained.label_names import names_of
from lit_hf.pretrained.tokenizers import load_tokenizer

SDPA: dict[str, Any] = {"attn_implementation": "sdpa"}


@pytest.mark.parametrize("name", ["/no/such/folder", "no-such/model", "./nowhere"])
def test_load__what_is_not_there_is_one_clear_error(name: str) -> None:
    for load in (load_config, load_tokenizer):
        with pytest.raises(InputError, match=f"model '{name}'.*folder"):
            load(name)


def test_load__runs_no_code_of_the_model_and_asks_for_none(
    tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = {"model_type": "unheard_of", "auto_map": {"AutoConfig": "evil.C"}}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    for load in (load_config, load_tokenizer):
        with contextlib.suppress(InputError):
            load(str(folder))
    with pytest.raises(InputError, match="config cannot be loaded"):
        load_config(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised"),
        ({"attn_implementation": "someone/kernel"}, "code of the Hub"),
    ],
)
def test_config__of_quantised_weights_or_foreign_code_is_refused(
    values: dict[str, Any], message: str
) -> None:
    check_config(BertConfig(**SDPA), "it")
    with pytest.raises(InputError, match=f"it: .*{message}"):
        check_config(BertConfig(**values), "it")
    with pytest.raises(InputError, match=message):
        config_from_dict({"model_type": "bert", **values})


def test_config__makes_the_round_trip_through_plain_types() -> None:
    config = BertConfig(hidden_size=12, num_attention_heads=3, id2label={0: "anger", 1: "joy"})
    again = config_from_dict(config.to_dict())
    assert isinstance(again, BertConfig)
    assert (again.hidden_size, names_of(again)) == (12, ["anger", "joy"])


def test_overrides__are_taken_or_refused_with_the_nearest_name(tiny_model: str) -> None:
    config = changed_config(load_config(tiny_model), {"num_hidden_layers": 1})
    assert (config.num_hidden_layers, config.hidden_size) == (1, 16)
    for wrong, message in (
        ({"dtype": "bfloat16"}, r"'dtype' is set by `trainer\.precision`"),
        ({"num_labels": 3}, "`label_names`"),
        ({"hidden_siez": 8}, "no 'hidden_siez'. Did you mean 'hidden_size'"),
        ({"hidden_size": "x"}, "hidden_size: 'x'"),
    ):
        with pytest.raises(InputError, match=message):
            changed_config(load_config(tiny_model), wrong)
