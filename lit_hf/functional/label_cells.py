"""What a cell with a label holds: a class, or several.

A class is matched by its key, so that 1, "1", "1.0" and "01" are one, and written as the file
spells it.
"""

import ast
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from lit_hf.functional.values import is_missing, value_text


def class_key(value: object) -> str:
    """What the class that one label cell holds is matched by.

    A word is matched in Unicode's composed form (NFC), since "서울" can be written in two ways.

    Args:
        value: what the row holds: a string, an integer, a truth value, a whole float or a date.

    Raises:
        ValueError: if the cell is empty or cannot be a class; its message is a clause.

    >>> class_key(1.0), class_key("1.0"), class_key("01"), class_key(" joy "), class_key(True)
    ('1', '1', '1', 'joy', 'True')
    """
    if is_missing(value):
        raise ValueError("the label is missing")
    try:
        text = unicodedata.normalize("NFC", value_text(value).strip())
    except ValueError as error:
        raise ValueError(f"the label {error}") from None
    number = whole_number(text)
    if number is not None:
        return str(number)
    if re.fullmatch(r"[-+]?(\d+\.\d*|\.\d+|\d+)([eE]-\d+)?", text):
        raise ValueError("the label is a fraction; list every class in `label_names` if it is one")
    return text


def class_text(value: object, listed: Collection[str] = ()) -> str:
    """The class that one label cell holds, as the file writes it, without spaces around it.

    Args:
        value: what the row holds.
        listed: names of classes; one such as "0.5" is refused unless it is listed.

    Raises:
        ValueError: if the cell is empty or cannot be a class; its message is a clause.

    >>> class_text("01"), class_text("1.0"), class_text(" joy "), class_text(1.0)
    ('01', '1.0', 'joy', '1')
    >>> class_text(0.5, ["0.5"])
    '0.5'
    """
    if isinstance(value, str | float) and str(value).strip() in listed:
        return str(value).strip()
    class_key(value)  # raises where it is no class
    return value_text(value).strip()


def name_key(name: str) -> str:
    """What a class name is matched by: its `class_key`, or itself where no cell is read as it.

    >>> name_key("01"), name_key("0.5")
    ('1', '0.5')
    """
    try:
        return class_key(name)
    except ValueError:
        return name


def class_texts(value: object, separator: str = ",", listed: Collection[str] = ()) -> list[str]:
    """The classes that one multi-label cell holds, as the file writes them; an empty cell has none.

    >>> class_texts("4, 07"), class_texts([4, 27]), class_texts("['4', '07']"), class_texts("")
    (['4', '07'], ['4', '27'], ['4', '07'], [])
    """
    if isinstance(value, str):
        written = _written_list(value.strip())
        value = [part for part in value.split(separator) if part.strip()]
        value = value if written is None else written
    if is_missing(value):
        raise ValueError("the labels are missing (no label at all is an empty list)")
    cells = value if isinstance(value, list | tuple) else [value]
    texts = [class_text(cell, listed) for cell in cells]
    if len(set(map(name_key, texts))) < len(cells):
        raise ValueError("a label stands twice in the list (expected: the classes, not 0/1 flags)")
    return texts


def _written_list(cell: str) -> list[object] | None:
    """The list that a cell such as "['x', 'y']" writes (pandas makes such CSV), else None."""
    found: object = None
    if cell.startswith(("[", "(")):
        try:
            found = json.loads(cell)
        except ValueError:
            # numpy writes ['x' 'y'], which Python would read as one word
            with suppress(ValueError, SyntaxError):
                found = None if re.search(r"""['"]\s+['"]""", cell) else ast.literal_eval(cell)
    if isinstance(found, list | tuple) and all(type(item) in (str, int) for item in found):
        return list(found)
    if cell.startswith("["):
        raise ValueError("the labels begin with [ but are no list of names or integers")
    return None


def labels_writer(names: Iterable[str], separator: str) -> Callable[[Sequence[str]], str]:
    """What writes several labels into a cell, so that `class_texts` reads the same ones there.

    They are joined by the separator; where a name holds it, or looks like a list, lists are
    written, of all rows alike.

    >>> labels_writer(["joy", "a b"], ",")(["joy", "a b"])
    'joy,a b'
    >>> labels_writer(["Paris, France", "joy"], ",")(["Paris, France"])
    '["Paris, France"]'
    """
    for name in names:
        if name.startswith(("[", "(")) or (name + separator).find(separator) != len(name):
            return lambda labels: json.dumps(list(labels), ensure_ascii=False)
    return separator.join


def whole_number(text: str) -> int | None:
    """The integer that a text such as "3", "-1", "+1", "03", "3.0" or "３" writes, else None."""
    found = re.fullmatch(r"([-+]?\d+)(\.0*)?", text)  # \d: the digits of any script
    return int(found[1]) if found else None
