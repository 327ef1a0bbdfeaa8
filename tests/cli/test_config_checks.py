from pathlib import Path
from typing import Any

import pytest
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from lit_hf import (
    CIFAR10DataModule,
    ExtractiveQADataModule,
    GenerativeQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    InputError,
    TextClassificationDataModule,
    TweetDataModule,
)
from lit_hf.cli.config_checks import (
    check_accumulation,
    check_classes,
    check_limits,
    check_recipes,
    check_rows,
    check_seed,
    check_strategy,
    names_of_data,
    options_of,
    refusal,
    refused_interval,
)
from lit_hf.data.sources.resolve import Split
from lit_hf.data.sources.table import Table, table_from_rows
from lit_hf.errors import WriteError
from tests.trainers import quiet_trainer


def _classes(model: str, data: str, **model_args: object) -> dict[str, object]:
    return {
        "model": {"class_path": f"lit_hf.{model}", "init_args": model_args},
        "data": {"class_path": f"lit_hf.{data}", "init_args": {"problem_type": "multi_label"}},
    }


@pytest.mark.parametrize(
    ("verb", "name", "monitor", "message"),
    [
        ("fit", "limit_train_batches", None, "limit_train_batches` is 0: fit would do nothing"),
        ("fit", "limit_val_batches", "val/f1", "nothing is validated, so there is no score"),
        ("validate", "limit_val_batches", None, "validate would do nothing"),
        ("predict", "limit_predict_batches", None, "predict would do nothing"),
        ("fit", "limit_val_batches", None, None),
        ("fit", "limit_val_batches", "train/loss", None),
        ("test", "limit_val_batches", "val/f1", None),
    ],
)
def test_limits__of_nothing_are_told(
    verb: str, name: str, monitor: str | None, message: str | None
) -> None:
    for limit in (0, 0.0):
        options = {"trainer": {name: limit}, "checkpoint": {"monitor": monitor}}
        if message is None:
            check_limits(verb, options)
        else:
            with pytest.raises(InputError, match=message):
                check_limits(verb, options)


def test_classes__that_are_none_are_asked_for() -> None:
    with pytest.raises(InputError, match=r"which model.*--config"):
        check_classes(_classes("HFModule", "TweetDataModule"))
    with pytest.raises(InputError, match=r"which data.*--data"):
        check_classes(_classes("TextClassifier", "HFDataModule"))


def test_settings__that_the_data_would_overrule_are_refused() -> None:
    pair = ("TextClassifier", "TextClassificationDataModule")
    check_classes(_classes(*pair, problem_type="multi_label", label_names=None))
    check_classes(_classes(*pair, problem_type=None))  # the default
    for name, wrong in (
        ("problem_type", "single_label"),
        ("problem_type", "regression"),
        ("label_names", ["a", "b"]),
    ):
        with pytest.raises(InputError, match=r"set `data\.(problem_type|label_names)`"):
            check_classes(_classes(pair[0], pair[1], **{name: wrong}))


def test_refusal__is_our_own_message_however_it_was_wrapped() -> None:
    wrapped = ValueError("Does not validate against any of the Union subtypes")
    wrapped.__context__ = TypeError("no")
    wrapped.__context__.__cause__ = InputError("Expected `batch_size` to be at least 1.")
    assert str(refusal(wrapped)) == "Expected `batch_size` to be at least 1."
    assert str(refusal(ValueError("devices: no such thing"))) == "devices: no such thing"
    outer = ValueError("row")
    outer.__cause__ = WriteError("no room")
    assert isinstance(refusal(outer), WriteError)  # no mistake of the input


def test_refusal__of_a_gpu_that_is_not_there_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind in (CUDAAccelerator, MPSAccelerator):
        monkeypatch.setattr(kind, "is_available", lambda: False)
    with pytest.raises(MisconfigurationException) as caught:
        Trainer(accelerator="gpu")
    told = str(refusal(caught.value))
    assert "`trainer.accelerator: gpu`: PyTorch finds no GPU on this machine" in told
    assert "`trainer.accelerator: auto`" in told


def test_seed__has_its_range() -> None:
    check_seed(0)
    check_seed(True)  # Lightning draws one
    for seed in (-1, 2**32):
        with pytest.raises(InputError, match="seed_everything"):
            check_seed(seed)


def test_accumulation__of_no_batch_is_refused() -> None:
    check_accumulation(1)
    check_accumulation(None)
    with pytest.raises(InputError, match=r"`trainer\.accumulate_grad_batches` to be at least 1"):
        check_accumulation(0)


@pytest.mark.parametrize("name", ["fsdp", "fsdp_cpu_offload", "deepspeed_stage_2", "FSDPStrategy"])
def test_strategy__that_wants_gpus_is_refused_with_what_to_take(name: str) -> None:
    by_class = {"class_path": f"lightning.pytorch.strategies.{name}"}
    for strategy in (name, by_class):
        with pytest.raises(InputError, match=r"wants GPUs.*overlays/fsdp"):
            check_strategy({"accelerator": "cpu", "strategy": strategy})


def test_strategy__that_spawns_is_refused() -> None:
    for strategy in ("ddp_spawn", "ddp_spawn_find_unused_parameters_true"):
        with pytest.raises(InputError, match="`ddp` does the same"):
            check_strategy({"accelerator": "cpu", "strategy": strategy})


def test_strategy__may_be_given_by_the_name_of_its_class() -> None:
    for name in ("ModelParallelStrategy", "lightning.pytorch.strategies.ModelParallelStrategy"):
        trainer: dict[str, Any] = {"accelerator": "cpu", "strategy": name}
        check_strategy(trainer)
        path = "lightning.pytorch.strategies.ModelParallelStrategy"
        assert trainer["strategy"]["class_path"] == path
    for strategy in ("ddp", "auto", {"class_path": "lightning.pytorch.strategies.DDPStrategy"}):
        trainer = {"accelerator": "cpu", "strategy": strategy}
        check_strategy(trainer)
        assert trainer["strategy"] == strategy


@pytest.mark.parametrize(
    ("text", "word", "name"),
    [
        ("data: {init_args: {model_name: x}}", "", "data.model_name"),
        ("data: {model_name: x}", "", "data.model_name"),
        ("checkpoint: {dirpath: x}", "", "checkpoint.dirpath"),
        ("", "--data.model_name", "data.model_name"),
        ("", "--data.init_args.model_name=x", "data.model_name"),
        ("", "--checkpoint.dirpath=x", "checkpoint.dirpath"),
        ("model: {model_name: x}\ncheckpoint: {dirpath: null}", "--model.model_name", None),
        ("- a", "", None),
    ],
)
def test_linked__settings_are_refused_since_they_would_have_no_effect(
    tmp_path: Path, text: str, word: str, name: str | None
) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    for recipe in (str(tmp_path / "recipe.yaml"), text):
        if name is None:
            check_recipes([recipe], [word])
        else:
            with pytest.raises(InputError, match=f"`{name}` follows"):
                check_recipes([recipe], [word])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "this is not YAML: .*line 2"),
        (b"a: 1\nb: #2 x", "line 2: YAML reads '#2 x' as a comment"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"x: !!python/name:os", "this is not YAML"),
    ],
)
def test_recipe__that_is_not_yaml_is_refused_by_its_name(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"^{path}.*{message}"):
        check_recipes([str(path)], [])


FIRST: dict[str, Split] = {"fit": "train", "validate": "val", "test": "test", "predict": "predict"}
DATA = [
    TextClassificationDataModule,
    ImageClassificationDataModule,
    ExtractiveQADataModule,
    GenerativeQADataModule,
]


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("verb", FIRST)
def test_rows__without_a_source_are_asked_for_by_the_option_of_the_verb(
    kind: type[HFDataModule], verb: str
) -> None:
    name = f"{FIRST[verb]}_file"
    with pytest.raises(InputError, match=f"set `--data.{name}` or `--data.dataset`.$"):
        check_rows(verb, kind("no model"))
    others: dict[str, Any] = {f"{part}_file": "x.csv" for part in FIRST.values()}
    if verb == "validate":
        check_rows(verb, kind("no model").with_rows(train=[{"text": "a"}]))  # a part of them
        others |= {"val_fraction": 0, "train_file": None}
    others.pop(name)
    with pytest.raises(InputError, match=f"set `--data.{name}` or `--data.dataset`.$"):
        check_rows(verb, kind("no model", **others))
    given: dict[str, Any] = {name: "x.csv"}
    check_rows(verb, kind("no model", **given))
    check_rows(verb, kind("no model", dataset="x"))


def test_rows__are_asked_for_by_options_that_the_data_has() -> None:
    with pytest.raises(InputError, match=r"set `--data.test_file`.$"):
        check_rows("test", TweetDataModule("no model"))
    with pytest.raises(InputError, match=r"set `--data.dataset`.$"):
        check_rows("test", CIFAR10DataModule("no model", dataset=None))


class Own(HFDataModule):
    """Rows of a class of one's own, which no argument names."""

    def __init__(self, has_rows: bool = True) -> None:
        super().__init__("no model")
        self.has_rows = has_rows

    def tables(self, split: Split) -> list[Table]:
        return [table_from_rows("mine", [{"text": "a"}])] if self.has_rows else []


def test_rows__of_a_class_of_ones_own_are_seen() -> None:
    check_rows("fit", Own())
    with pytest.raises(InputError, match="no train rows: Own gives none"):
        check_rows("fit", Own(has_rows=False))
    assert names_of_data("fit", "label_names", Own()) is None
    assert names_of_data("fit", "problem_type", Own()) is None  # the module has a default


def test_options__are_those_of_the_classes_where_they_are_set() -> None:
    data = {"class_path": "Y", "init_args": {"model_name": "x", "label_names": None}}
    model = {"class_path": "X", "init_args": {"model_name": "x", "label_names": None}}
    given = {"seed_everything": 0, "model": model, "data": data}
    settings = Namespace(given)  # type: ignore[no-untyped-call]  # has no types
    assert options_of(settings) == {
        "--": ["seed_everything", "model", "data"],
        "--model.": ["model_name", "label_names"],
        "--data.": ["label_names"],
    }
    assert options_of(None) == {"--": [], "--model.": [], "--data.": []}


def test_interval__of_another_fault_is_none() -> None:
    assert refused_interval(InputError("`val_check_interval` ("), quiet_trainer()) is None
    assert refused_interval(ValueError("another"), quiet_trainer()) is None
