from lit_hf.messages import as_typed, condense


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


def test_arguments__are_named_as_they_are_typed_on_the_command_line() -> None:
    options = {"--": ["ckpt_path"], "--model.": ["scheduler"], "--data.": ["test_file", "column"]}
    told = as_typed("set `test_file`, `ckpt_path` or `scheduler: constant` for `column`", options)
    expected = "set `--data.test_file`, `--ckpt_path` or `--model.scheduler constant` for "
    assert told == f"{expected}`--data.column`"
    for other in ("a column `text`", "`data.test_file`", "test_file", "`with_rows(test=…)`"):
        assert as_typed(other, options) == other
