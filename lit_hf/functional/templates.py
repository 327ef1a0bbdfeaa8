"""Templates, which make one text of several."""

import string

from lit_hf.errors import InputError

DEFAULT_PROMPT = "question: {question} context: {context}"  # as T5 was trained with SQuAD


def template_columns(template: str) -> list[str]:
    """Names of the columns in a template such as "{keyword}: {text}".

    Raises:
        InputError: if the template is not made of plain names in braces, or names no column.
    """
    wanted = "wanted column names in braces, such as '{keyword}: {text}', but got"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"`text_template` {template!r}: {error}.") from None
    fields = [(name, form, mark) for _, name, form, mark in parts if name is not None]
    for name, form, conversion in fields:
        is_plain = name and not name.isdigit() and not any(mark in name for mark in ".[]")
        if not is_plain or form or conversion:
            given = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise InputError(f"`text_template` {template!r}: {wanted} {{{given}}}.")
    if template and not fields:
        raise InputError(f"`text_template` {template!r}: {wanted} none.")
    return [name for name, _, _ in fields]
