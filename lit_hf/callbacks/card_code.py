"""The code in a model card: how its folder answers, by lit_hf and by plain transformers."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from lit_hf.modules.usage import FOLDER, Usage


def code_of(
    config: Mapping[str, object], usage: Usage, classes: Sequence[object] = ()
) -> list[str]:
    """The lines of a card under which a model is used; all code runs in its folder as it stands.

    Args:
        config: of the model.
        usage: as the module that was trained says it.
        classes: names of the classes that trained the model and read its data.
    """
    own_head = _imports_of_head(config)
    ours = [*usage.imports, "from lit_hf import Predictor", "", FOLDER]
    ours += ["predictor = Predictor.from_pretrained(folder)", f"print(predictor({usage.item}))"]
    plain = usage.plain.splitlines()
    if own_head is not None:
        plain = ["from lit_hf import TextClassifier  # knows the head", *plain]
    head = own_head or []
    return [
        *("", "## Use", "", "```python", *_imports_of(classes), *head, *ours, "```", ""),
        *("In plain transformers:", "", "```python", *head, *plain, "```", "", usage.notes),
    ]


def _imports_of_head(config: Mapping[str, object]) -> list[str] | None:
    """What has to be known of an own head before it is loaded; None where there is none."""
    head = str(cast("Mapping[str, object]", config.get("head") or {}).get("class") or "")
    module, _, name = head.rpartition(".") if re.fullmatch(r"\w+(\.\w+)+", head) else ("", "", "")
    if module == "__main__":
        return [f"# first define {name}, the head of this model, as in its training", ""]
    if module and module.split(".")[0] != "lit_hf":
        return [f"import {module}  # the head of this model, {name}", ""]
    return [] if module else None


def _imports_of(classes: Sequence[object]) -> list[str]:
    """What has to be imported before a Predictor knows classes of the user's own."""
    found = [re.fullmatch(r"(\w+(?:\.\w+)*)\.(\w+)", str(name)) for name in classes]
    named = [(match[1], match[2]) for match in found if match is not None]
    own = {module: kind for module, kind in reversed(named) if module.split(".")[0] != "lit_hf"}
    lines = [
        f"# first define {kind}, as in its training"
        if module == "__main__"
        else f"import {module}  # {kind} and what belongs to it"
        for module, kind in own.items()
    ]
    return [*lines, ""] if lines else []
