import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from lit_hf import InputError
from lit_hf.cli.parser import OneMessageParser, import_public_classes, set_up_parsing


def test_classes__are_the_public_ones_but_for_the_error() -> None:
    assert {"TextClassifier", "TweetDataModule"} <= {*import_public_classes()}
    assert "InputError" not in import_public_classes()


@pytest.mark.parametrize(
    "path",
    [
        *("os.system", "subprocess.Popen", "here.Evil", "builtins.eval"),
        "lightning.pytorch.strategies.launchers.subprocess_script.subprocess.Popen",
        "torchmetrics.utilities.imports.shutil.rmtree",
    ],
)
def test_config__imports_nothing_that_is_not_allowed(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    set_up_parsing([])
    parser = OneMessageParser()
    parser.add_argument("--x", type=nn.Module)
    with pytest.raises(InputError, match="is not allowed") as caught:
        parser.parse_args(["--x", path])
    assert "usage" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_limits__are_whole_numbers_whatever_was_imported_before() -> None:
    code = (
        "from typing import Union, Optional; Optional[Union[float, int]]\n"  # as rich.progress has
        "from lit_hf.cli.command import main\n"
        "main(['fit', '--model', 'TextClassifier', '--data', 'TweetDataModule',"
        " '--trainer.limit_val_batches', '1', '--trainer.limit_test_batches', '1.0',"
        " '--model.model_name', 'x', '--print_config'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert "  limit_val_batches: 1\n" in done.stdout
    assert "  limit_test_batches: 1.0\n" in done.stdout
