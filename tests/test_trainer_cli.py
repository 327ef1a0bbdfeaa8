from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.trainer_cli import run_verb


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_run_verb__evaluation_wants_a_checkpoint(
    verb: str, tiny_model: str, tmp_path: Path
) -> None:
    recipe = Path(__file__).parent.parent / "configs" / "text_classification" / "demo.yaml"
    words = ["--config", str(recipe), "--model.model_name", tiny_model, "--ckpt_path", "null"]
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.logger", "false"]
    with pytest.raises(InputError, match="give `--run DIR`"):
        run_verb(verb, [*words, *root], None, [])
