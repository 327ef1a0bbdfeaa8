import subprocess
import sys
from pathlib import Path

import jsonargparse
import pytest
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from lit_hf import InputError
from lit_hf.cli.parser import OneMessageParser, classes_of, public_classes, set_up_parsing


def test_classes__are_the_public_ones_but_for_the_error() -> None:
    names = {kind.__name__ for kind in public_classes()}
    assert {"TextClassifier", "TweetDataModule"} <= names
    assert "InputError" not in names


def test_parser__raises_one_message() -> None:
    parser = OneMessageParser()
    parser.add_argument("--batch_size", type=int)
    assert isinstance(parser, LightningArgumentParser)
    with pytest.raises(InputError, match=r"^batch_size: ") as caught:
        parser.parse_args(["--batch_size", "many"])
    assert "usage" not in str(caught.value)


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "here.Evil", "builtins.eval"])
def test_config__imports_nothing_that_is_not_allowed(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.py").write_text("open('ran', 'w')\nclass Evil: pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    set_up_parsing([])
    parser = OneMessageParser()
    parser.add_argument("--x", type=nn.Module)
    with pytest.raises(InputError, match=f"importing '{path}' is not allowed"):
        parser.parse_args(["--x", path])
    assert not (tmp_path / "ran").exists()


def test_set_up__twice_reads_as_once() -> None:
    for _ in range(2):
        set_up_parsing([])
    parser = jsonargparse.ArgumentParser()
    parser.add_argument("--x", type=dict)
    parser.add_argument("--config", action="config")
    found = parser.parse_args(["--config", "{x: {a: 1}}"])
    assert parser.dump(found) == "x:\n  a: 1\n"


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


def test_classes_of__reads_files_and_settings_for_the_class_alone(tmp_path: Path) -> None:
    named, bare = tmp_path / "named.yaml", tmp_path / "bare.yaml"
    named.write_text("class_path: TextClassifier\ninit_args: {warmup_ratio: 0.5}\n")
    bare.write_text("warmup_ratio: 0.5\n")
    assert classes_of([f"--model={named}"]) == ["--model=TextClassifier"]
    assert classes_of([f"--model={bare}", "--model={warmup_ratio: 0.5}", "--model={"]) == []
    assert classes_of(["--data={class_path: X}", "--trainer={class_path: Y}"]) == ["--data=X"]
