"""The model card of an exported folder, written from the checkpoint."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lit_hf.functional.text import markdown_cell, short_number
from lit_hf.modules.usage import FOLDER, Usage
from lit_hf.pretrained.label_names import ordered_names

Plain = Mapping[str, Any]
_SETTINGS = ("scheduler", "warmup_ratio", "max_answer_length", "label_smoothing", "language")
_SETTINGS_OF_DATA = ("prompt", "max_length", "doc_stride", "batch_size", "weight_column")
_OPTIMIZER = ("initial_lr", "lr", "weight_decay", "betas", "momentum", "eps")
_TAG = "- lit_hf"


def model_card(checkpoint: Plain, data: Plain, answering: Plain, usage: Usage) -> str:
    """Describe a model in Markdown: task, classes, data, scores, settings and use.

    All that the checkpoint holds is shown as text, whatever is in it.

    Args:
        checkpoint: a checkpoint of a lit_hf module.
        data: what the data module wrote about itself.
        answering: what the answers depend on besides the weights.
        usage: of the trained module, in code.
    """
    about, settings = checkpoint["lit_hf"], dict(checkpoint.get("hyper_parameters", {}))
    config = settings.get("config_overrides") or {}
    rows, sources = data.get("rows") or {}, data.get("sources") or {}
    files = [(k, ", ".join(sources.get(k, [])) or "set aside", num) for k, num in rows.items()]
    lines = [
        *("---", "library_name: transformers"),
        *([f"pipeline_tag: {usage.pipeline}"] if usage.pipeline else []),
        *("tags:", _TAG, "---", ""),
        *_task_of(about, settings, config),
        *_scores_of(checkpoint, about, settings),
        *_table("Data", ("split", "files", "rows"), files),
        *_table("Settings", ("setting", "value"), _settings(checkpoint, settings, data, answering)),
        *code_of(config, usage, [about.get("class"), data.get("class")]),
        *("", f"Written by lit_hf {_cell(about.get('version'))}."),
    ]
    return "\n".join(lines) + "\n"


def is_own_card(path: Path) -> bool:
    """Whether a file is the model card of an export."""
    try:
        return _TAG in path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False


def _task_of(about: Plain, settings: Plain, config: Plain) -> list[str]:
    """Title, task, base model and classes."""
    base, kind = _cell(_base_name(str(settings.get("model_name")))), settings.get("problem_type")
    is_new = about.get("from_scratch")
    architecture = (config.get("backbone") or config).get("model_type")  # under an own head
    lines = [
        f"# {base}, {'trained from scratch' if is_new else 'fine-tuned'}",
        "",
        f"Task: {_cell(about.get('task'))}{'' if kind is None else f' ({_cell(kind)})'}. "
        f"{'Config' if is_new else 'Base model'}: {base} ({_cell(architecture)}).",
    ]
    has_classes = "label_names" in settings and kind != "regression"
    names = ordered_names(config.get("id2label") or {}) if has_classes else []
    if names:
        shown = map(repr, names) if any("," in name for name in names) else names
        lines += ["", f"Classes, in order: {', '.join(map(_cell, shown))}."]
    return lines


def _scores_of(checkpoint: Plain, about: Plain, settings: Plain) -> list[str]:
    """The scores of these weights, and at which step they are."""
    step, validated = checkpoint.get("global_step"), about.get("validated")
    is_scored, positive = validated in (None, step), settings.get("positive_label")
    names = {} if positive is None else {"val/f1": f"val/f1 of {positive!r}"}
    scores = [
        (names.get(name, name), short_number(value))
        for name, value in (about.get("metrics") or {}).items()
        if name.startswith("val/") and is_scored
    ]
    after = f"After step {_cell(step)}, epoch {_cell(checkpoint.get('epoch'))}"
    if not is_scored:
        after += f"; only the weights of step {_cell(validated)} were scored, not these"
    elif scores and validated is not None:
        after += "; the scores are of these weights"
    lines = [*_table("Scores", ("score", "value"), scores), "", f"{after}."]
    if (averaging := about.get("averaged_by")) is not None:
        lines += [f"The weights are averages over the training ({_cell(averaging)})."]
    return lines


def _settings(
    checkpoint: Plain, settings: Plain, data: Plain, answering: Plain
) -> list[tuple[object, ...]]:
    """The settings of the training and of the answers, and those of the optimizer."""
    shown = {name: settings[name] for name in _SETTINGS if name in settings}
    shown |= {name: data[name] for name in _SETTINGS_OF_DATA if name in data}
    shown = {**{k: v for k, v in answering.items() if v is not None}, **shown}
    groups = [g for s in checkpoint.get("optimizer_states") or [] for g in s["param_groups"]]
    for number, group in enumerate(groups):
        # `lr` is what the schedule has made of `initial_lr`.
        names = [n for n in _OPTIMIZER if n in group and (n != "lr" or "initial_lr" not in group)]
        values = ", ".join(f"{name} {group[name]}" for name in names)
        shown[f"optimizer group {number}"] = values
    return list(shown.items())


def _cell(value: object) -> str:
    return markdown_cell(str(value))


def _table(title: str, header: Sequence[str], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """A heading and a table; nothing where there are no rows."""
    if not rows:
        return []
    lines = [header, ["---"] * len(header), *(map(_cell, row) for row in rows)]
    return ["", f"## {title}", "", *(f"| {' | '.join(cells)} |" for cells in lines)]


def _base_name(model_name: str) -> str:
    r"""A Hub id as it is; of a folder the name alone, since its path names a person.

    >>> _base_name("org/bert"), _base_name("/home/jane/bert/"), _base_name("C:\\jane\\bert")
    ('org/bert', 'bert', 'bert')
    """
    is_id = re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model_name)
    return model_name if is_id else re.split(r"[/\\]+", model_name.rstrip("/\\"))[-1]


# The code by which a folder answers.


def code_of(config: Plain, usage: Usage, classes: Sequence[object] = ()) -> list[str]:
    """The lines of a card under which a model is used; all code runs in its folder as it stands.

    Args:
        config: of the model.
        usage: of the trained module, in code.
        classes: names of the classes that trained the model and read its data.
    """
    head = (config.get("head") or {}).get("class")
    of_head = _imports([head])
    plain = usage.plain.splitlines()
    if head is not None:
        plain = ["from lit_hf import TextClassifier  # knows the head", *plain]
    ours = [*usage.imports, "from lit_hf import Predictor", "", FOLDER]
    ours += ["predictor = Predictor.from_pretrained(folder)", f"print(predictor({usage.item}))"]
    return [
        *("", "## Use", "", "```python", *_imports([*classes, head]), *ours, "```", ""),
        *("In plain transformers:", "", "```python", *of_head, *plain, "```", "", usage.notes),
    ]


def _imports(classes: Sequence[object]) -> list[str]:
    """Lines that import the classes that are not of lit_hf; nothing else becomes code."""
    found = [re.fullmatch(r"(\w+(?:\.\w+)*)\.(\w+)", str(name)) for name in classes]
    own = {m[1]: m[2] for m in reversed(found) if m and not m[1].startswith("lit_hf.")}
    lines = [
        f"# first define {name}, as in its training"
        if module == "__main__"
        else f"import {module}  # {name} and what belongs to it"
        for module, name in own.items()
    ]
    return [*lines, ""] if lines else []
