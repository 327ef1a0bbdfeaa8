import pytest

from lit_hf import InputError
from lit_hf.functional.templates import DEFAULT_PROMPT, template_columns


def test_template__names_its_columns() -> None:
    assert template_columns(DEFAULT_PROMPT) == ["question", "context"]
    assert template_columns("") == []


@pytest.mark.parametrize(
    "template",
    [
        *("{}", "{}{text}", "{text.__class__}", "{text[0]}", "{text"),
        *("{text!r}", "{text:d}", "{text:{id}}", "{0}", "no column", "{{text}}"),
    ],
)
def test_template__plain_names_only(template: str) -> None:
    with pytest.raises(InputError, match="text_template"):
        template_columns(template)
