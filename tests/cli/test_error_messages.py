import pytest

from lit_hf.cli.error_messages import condense

UNION = """Parser key "config": Parser key "{key}":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'int'>, <class 'NoneType'>]
  Errors:
    - {inner}
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: x"""


@pytest.mark.parametrize(
    ("message", "condensed"),
    [
        (UNION.format(key="a.b", inner="Expected a <class 'int'>"), "a.b: Expected a int. Got va"),
        (UNION.format(key="data", inner="batch_size: Expected"), "data.batch_size: Expected"),
        (UNION.format(key="model", inner="Option 'hed' is not accepted"), "model: option 'hed' is"),
        ("Option 'hed' is not accepted", "option 'hed' is not known. Did you mean 'head'?"),
        ("Subcommand 'fit' does not accept option 'modle'", "option 'modle' is not known. Did"),
        ("unrecognized arguments: --epochs=3", "option 'epochs' is not known. Here it is `trainer"),
        ("Expected a dot import path string: MenHead", "class 'MenHead' is not known here. Did yo"),
        (
            "Importing 'os.system' is not allowed, denied",
            "importing 'os.system' is not allowed.",
        ),
        ("the following arguments are required: fit.data, fit.model", "which data and which model"),
        ("the following arguments are required: save_dir", "save_dir: is missing"),
        ("something else", "something else"),
    ],
)
def test_condense__keeps_what_is_wrong_and_what_to_do(message: str, condensed: str) -> None:
    found = condense(message, ["head", "model.head"], ["MeanHead"])
    assert found.startswith(condensed)
    assert "\n" not in found
