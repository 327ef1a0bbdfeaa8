import logging
from pathlib import Path

import lightning.pytorch as pl
import pytest
from lightning.pytorch.demos.boring_classes import BoringModel

from lit_hf.cli.error_messages import as_typed, condense, restoring, retyped, type_lines
from lit_hf.errors import InputError, SharedFaultError
from lit_hf.log_handler import own_lines
from tests.trainers import quiet_trainer


def test_condense__an_option_before_its_class() -> None:
    message = """Parser key "data":
  Errors:
    - Option 'doc_stride' is not accepted"""
    told = condense(message, {"doc_stride": ["ExtractiveQADataModule", "GenerativeQADataModule"]})
    assert told.startswith("data: option 'doc_stride' is none of the class that was chosen;")
    assert told.endswith("it is one of ExtractiveQADataModule, GenerativeQADataModule")


def test_condense__innermost_reason_with_its_key() -> None:
    message = (
        'Parser key "data":\n  Does not validate against any of the Union subtypes\n'
        "  Subtypes: [<class 'lit_hf.data.base.HFDataModule'>, <class 'NoneType'>]\n  Errors:\n"
        "    - Parser key \"batch_size\":\n        Expected a <class 'int'>. Got value: abc\n"
        "    - Expected a <class 'NoneType'>\n  Given value type: <class 'x'>\n  Given value: y"
    )
    assert condense(message) == "data.batch_size: expected int, but got abc"


def test_condense__value_of_a_plain_type() -> None:
    message = (
        'Parser key "trainer.max_epochs":\n  Errors:\n'
        "    - Expected a <class 'int'>\n    - Expected a <class 'NoneType'>\n  Given value: x"
    )
    assert condense(message) == "trainer.max_epochs: expected int, but got 'x'"


def test_condense__class_and_import_and_missing() -> None:
    known: dict[str, list[str]] = {"TextClassifier": []}
    told = condense("  - Expected a dot import path string: TextClasifier", known)
    assert "Did you mean 'TextClassifier'?" in told
    told = condense("- Importing 'os.system' is not allowed, denied by the 'os' entry")
    assert "importing 'os.system' is not allowed" in told
    assert "--import" in told
    told = condense("- Expected a dot import path string: Batchsize", {"batch_size": ["X"]})
    assert told == "class 'Batchsize' is not known."  # that is no class
    told = condense("- Expected a dot import path string: CutMix")
    assert told == "class 'CutMix' is of another kind than what belongs here."
    told = condense("- module 'lit_hf' has no attribute 'Meanhead'")
    assert told == "class 'lit_hf.Meanhead' is not known. Did you mean 'MeanHead'?"
    told = condense("- Expected a dot import path string: Meanhead", {"head": ["X"], "mean": ["X"]})
    assert told == "class 'Meanhead' is not known. Did you mean 'MeanHead'?"
    assert "model_name is missing" in condense("the following arguments are required: model_name")
    told = condense("the following arguments are required: fit.data, fit.model")
    assert told.startswith("which model and which data? Give a recipe with `--config`")
    told = condense("the following arguments are required: predict.data")
    assert told.startswith("which data? Give the folder of a run with `--run`, a recipe with")


def test_condense__an_option_is_not_taken_for_a_class() -> None:
    known: dict[str, list[str]] = {"ResumeGuard": [], "head": ["TextClassifier"]}
    told = condense("Option 'lerning_rate' is not accepted", known)
    assert told == "option 'lerning_rate' is not known."
    told = condense("unrecognized arguments: --trainer.sametraining", known)
    assert told == "option --trainer.sametraining is not known."


def test_condense__a_group_of_a_recipe() -> None:
    told = condense("Subcommand 'fit' does not accept option 'modle'")
    assert told == "option --modle is not known. Did you mean 'model'?"
    told = condense("Subcommand 'fit' does not accept option 'data.batchsize'", {"batch_size": []})
    assert told == "option --data.batchsize is not known. Did you mean 'batch_size'?"
    told = condense("Subcommand 'fit' does not accept option 'import'")
    assert told == "'import' is no setting of a recipe: type `--import` on the command line."


def test_condense__values_to_choose_from() -> None:
    message = (
        'Parser key "trainer.precision":\n  Does not validate against any of the Union subtypes\n'
        "  Subtypes: [typing.Literal[64, 32], typing.Literal['16-mixed', '32'], <class 'NoneType'>]"
        "\n  Errors:\n    - Expected a <class 'int'>\n    - Expected a typing.Literal['16-mixed', "
        "'32']\n    - Expected a <class 'NoneType'>\n  Given value: 16mixed"
    )
    told = condense(message)
    assert told.startswith("trainer.precision: expected one of 16-mixed, 32, but got '16mixed'.")
    assert told.endswith("Did you mean '16-mixed'?")
    inner = condense("Expected a typing.Literal['linear', 'constant']. Got value: x")
    assert inner == "expected one of linear, constant, but got x"
    outer = condense(f'Parser key "model":\n  Errors:\n    - scheduler: {inner}\n')
    assert outer == f"model.scheduler: {inner}"


def test_condense__what_it_does_not_know_stays() -> None:
    assert condense("something else went wrong") == "something else went wrong"
    assert "`--config`" in condense("unrecognized arguments: my.yaml")


def test_condense__a_missing_setting_is_named_alone() -> None:
    inner = condense("the following arguments are required: save_dir")
    told = condense(
        f'Parser key "trainer.logger":\n  Errors:\n    - {inner}\n'
        "    - Expected a <class 'collections.abc.Iterable'>\n    - Expected a <class 'bool'>"
    )
    assert told == "--trainer.logger.save_dir is missing, it has no default"
    inner = condense("the following arguments are required: model_name")
    told = condense(f'Parser key "model":\n  Errors:\n    - {inner}')
    assert told.startswith("--model.model_name is missing")
    assert "--model.model_name FOLDER_OR_HUB_ID" in told


def test_names_of_other_programs__are_translated() -> None:
    told = condense("Option 'learning_rate' is not accepted", {"lr": ["AdamW"]})
    assert told == "option 'learning_rate' is not known here. Here it is `model.optimizer.lr`."
    told = condense("unrecognized arguments: --learning_rate=1e-4")
    assert told == "option --learning_rate is not known here. Here it is `model.optimizer.lr`."


def test_arguments__are_named_as_they_are_typed_on_the_command_line() -> None:
    options = {"--": ["ckpt_path"], "--model.": ["scheduler"], "--data.": ["test_file", "column"]}
    told = as_typed("set `test_file`, `ckpt_path` or `scheduler: constant` for `column`", options)
    expected = "set `--data.test_file`, `--ckpt_path` or `--model.scheduler constant` for "
    assert told == f"{expected}`--data.column`"
    assert as_typed("`scheduler.lr`", options) == "`--model.scheduler.lr`"
    for other in (
        "`ckpt_path.name`",
        "a column `text`",
        "`data.test_file`",
        "test_file",
        "`with_rows(test=…)`",
    ):
        assert as_typed(other, options) == other


def test_errors_and_log_lines__name_arguments_as_they_are_typed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = {"--data.": ["max_tokens"]}
    for error, kind in (
        (SharedFaultError("lower `max_tokens`"), SharedFaultError),
        (ValueError("lower `max_tokens`"), InputError),
    ):
        told = retyped(error, options)
        assert type(told) is kind
        assert str(told) == "lower `--data.max_tokens`"
    with own_lines():
        type_lines(options)
        logging.getLogger("lit_hf.data").warning("lower `max_tokens`")
    assert capsys.readouterr().err == "lower `--data.max_tokens`\n"


class _Lost(pl.Callback):
    def state_dict(self) -> dict[str, int]:
        return {"count": 1}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        raise KeyError("number")


def test_restoring__names_the_checkpoint_that_a_callback_cannot_take(tmp_path: Path) -> None:
    trainer = quiet_trainer(max_steps=1, enable_checkpointing=False, callbacks=[_Lost()])
    trainer.fit(BoringModel())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: .*KeyError: 'number'"), restoring(trainer):
        trainer.fit(BoringModel(), ckpt_path=tmp_path / "a.ckpt")
