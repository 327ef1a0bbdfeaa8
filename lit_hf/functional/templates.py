"""Templates, which make one text of several."""

import string

from lit_hf.errors import InputError

DEFAULT_PROMPT = "question: {question} context: {context}"  # as T5 was trained with SQuAD


def template_columns(template: str, setting: str = "text_template") -> list[str]:
    """Names of the columns in a template such as "{keyword}: {text}".

    Args:
        template: the text; an empty one has no columns.
        setting: its name, for messages.

    Raises:
        InputError: if the template is not made of plain names in braces, or names no column.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"`{setting}` {template!r}: {error}.") from None
    fields = [(name, form or mark) for _, name, form, mark in parts if name is not None]
    if (template and not fields) or not all(_is_plain(*field) for field in fields):
        raise InputError(
            f"Expected `{setting}` to have names of columns in braces, such as '{{keyword}}: "
            f"{{text}}', but got {template!r}."
        )
    return [name for name, _ in fields]


def _is_plain(name: str, form: str | None) -> bool:
    """Whether a field is a name alone: no number, attribute, key or format."""
    return bool(name) and not name.isdigit() and not form and not set(name) & set(".[]")
