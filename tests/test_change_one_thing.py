"""The page "Change one thing": what it shows runs."""

import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
import yaml
from torchmetrics.classification import MulticlassCohenKappa

import lit_hf
from tests.commands import fit_words, run_command

PAGE = (Path(__file__).parent.parent / "docs" / "change_one_thing.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_python__of_the_page_runs(
    tiny_model: str,
    tweet_rows: list[dict[str, object]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = lit_hf.TweetDataModule(tiny_model, batch_size=8, label_names=["no", "disaster"])
    data.with_rows(train=[{**row, "target": row["label"]} for row in tweet_rows])
    page = ModuleType("page")  # so that its classes can be found again
    monkeypatch.setitem(sys.modules, "page", page)
    known = vars(page)
    known |= {name: getattr(lit_hf, name) for name in ("TextClassifier", "SampleLogger")}
    known |= {"torch": torch, "pl": pl, "data": data, "MulticlassCohenKappa": MulticlassCohenKappa}
    modules: list[Any] = []
    for block in _blocks("python"):
        code = compile(block.replace("FOLDER_OR_HUB_ID", tiny_model), "page", "exec")
        exec(code, known)
        modules.append(known["module"])
    assert known["trainer"].global_step
    assert known["trainer"].callbacks[-1]
    with_loss, with_head, own_class, with_optimizer = modules[:4]
    for module in (with_loss, with_head, own_class):
        trainer = pl.Trainer(max_steps=1, logger=False, enable_progress_bar=False)
        trainer.fit(module, data)
        assert trainer.global_step == 1
    assert {"kappa", "rows"} <= {*with_loss.metric_names()}
    assert not own_class.model.get_input_embeddings().weight.requires_grad
    assert isinstance(with_optimizer.optimizers(), torch.optim.NAdam)


def test_head__of_the_page_reads_no_padding() -> None:
    known: dict[str, Any] = {"torch": torch}
    block = next(block for block in _blocks("python") if "class WideHead" in block)
    exec(block.partition("\n\n\nmodule")[0], known)
    head, hidden, mask = (
        known["WideHead"](4, 2),
        torch.rand(1, 5, 4),
        torch.tensor([[1, 1, 0, 0, 0]]),
    )
    assert torch.equal(head(hidden, mask), head(hidden[:, :2], mask[:, :2]))


def test_settings__of_the_page_train(tiny_model: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {}
    for block in _blocks("yaml"):
        for group, values in yaml.safe_load(block).items():
            held = settings.setdefault(group, {})
            if "init_args" in values:
                held.setdefault("init_args", {}).update(values["init_args"])
            else:
                held.update(values)
    settings["trainer"]["logger"]["init_args"]["save_dir"] = str(tmp_path / "csv")
    path = tmp_path / "change.yaml"
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    words = fit_words(tiny_model, tmp_path / "run")
    done = run_command(*words, "--config", str(path), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "val/kappa" in (tmp_path / "run" / "metrics.csv").read_text(encoding="utf-8")
    assert list((tmp_path / "csv").rglob("metrics.csv"))
    assert os.listdir(tmp_path / "run" / "pretrained")
