from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.trainer_cli import run_verb
from tests.images import write_folder


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_run_verb__evaluation_wants_a_checkpoint(
    verb: str, tiny_model: str, tmp_path: Path
) -> None:
    recipe = Path(__file__).parent.parent / "configs" / "text_classification" / "demo.yaml"
    words = ["--config", str(recipe), "--model.model_name", tiny_model, "--ckpt_path", "null"]
    root = ["--trainer.default_root_dir", str(tmp_path), "--trainer.logger", "false"]
    with pytest.raises(InputError, match="give `--run DIR`"):
        run_verb(verb, [*words, *root], None, [])


def test_run_verb__validation_after_more_batches_than_there_are(
    tiny_vit: str, tmp_path: Path
) -> None:
    write_folder(tmp_path / "set" / "train", 12)
    words = [
        *("--model", "ImageClassifier", "--model.model_name", tiny_vit),
        *("--data", "ImageClassificationDataModule", "--data.dataset", str(tmp_path / "set")),
        *("--data.batch_size", "4", "--data.val_fraction", "0.25", "--trainer.max_epochs", "1"),
        *("--checkpoint.monitor", "val/accuracy", "--trainer.accelerator", "cpu"),
        *("--trainer.default_root_dir", str(tmp_path / "run"), "--trainer.logger", "false"),
    ]
    message = r"`trainer.val_check_interval` is 9, but an epoch has 3 batches: set it to at most"
    with pytest.raises(InputError, match=message):
        run_verb("fit", [*words, "--trainer.val_check_interval", "9"], None, [])
