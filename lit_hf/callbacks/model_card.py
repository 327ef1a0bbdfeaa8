"""The model card of an exported folder, written from the checkpoint."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from lit_hf.callbacks.card_code import code_of
from lit_hf.functional.text import markdown_cell, short_number
from lit_hf.modules.usage import Usage
from lit_hf.pretrained.label_names import ordered_names

_SETTINGS = ("scheduler", "warmup_ratio", "max_answer_length", "label_smoothing", "language")
_SETTINGS_OF_DATA = ("prompt", "max_length", "doc_stride", "batch_size", "weight_column")
_SAYING_NOTHING = ("model", "pretrained")
_TAG = "- lit_hf"
_OPTIMIZER = ("initial_lr", "lr", "weight_decay", "betas", "momentum", "eps")


def model_card(
    checkpoint: Mapping[str, Mapping[str, object]],
    data: Mapping[str, object],
    answering: Mapping[str, object],
    usage: Usage,
) -> str:
    """Describe a model in Markdown: task, classes, data, scores, settings and use.

    Args:
        checkpoint: a checkpoint of a lit_hf module.
        data: what the data module wrote about itself.
        answering: what the answers depend on besides the weights.
        usage: as the module that was trained says it.
    """
    about = checkpoint["lit_hf"]
    settings = dict(checkpoint.get("hyper_parameters", {}))
    base = _base_name(str(settings.get("model_name")))
    metrics = cast("Mapping[str, float]", about.get("metrics") or {})
    step, validated = checkpoint.get("global_step"), about.get("validated")
    is_scored = validated in (None, step)
    scores = [
        (_score_name(name, settings.get("positive_label")), short_number(value))
        for name, value in metrics.items()
        if name.startswith("val/") and is_scored
    ]
    is_new = bool(about.get("from_scratch"))
    origin, made = ("Config", "trained from scratch") if is_new else ("Base model", "fine-tuned")
    names = _class_names(settings)
    lines = [
        "---",
        "library_name: transformers",
        *([f"pipeline_tag: {usage.pipeline}"] if usage.pipeline else []),
        "tags:",
        _TAG,
        "---",
        "",
        f"# {markdown_cell(base)}, {made}",
        "",
        f"Task: {_cell(about.get('task'))}{_in_brackets(settings.get('problem_type'))}. "
        f"{origin}: {markdown_cell(base)} ({_cell(_architecture(settings))}).",
    ]
    if names:
        shown_names = map(repr, names) if any("," in name for name in names) else names
        lines += ["", f"Classes, in order: {', '.join(map(_cell, shown_names))}."]
    lines += _table("Scores", ("score", "value"), scores)
    after = f"After step {_cell(step)}, epoch {_cell(checkpoint.get('epoch'))}"
    if not is_scored:
        after += f"; only the weights of step {_cell(validated)} were scored, not these"
    elif scores and validated is not None:
        after += "; the scores are of these weights"
    lines += ["", f"{after}."]
    if (averaging := about.get("averaged_by")) is not None:
        lines += [f"The weights are averages over the training ({_cell(averaging)})."]
    rows = cast("Mapping[str, int]", data.get("rows") or {})
    sources = cast("Mapping[str, list[str]]", data.get("sources") or {})
    lines += _table(
        "Data",
        ("split", "files", "rows"),
        [(k, ", ".join(sources.get(k, [])) or "set aside", count) for k, count in rows.items()],
    )
    shown: list[tuple[object, ...]] = [(k, settings[k]) for k in _SETTINGS if k in settings]
    shown += [(k, data[k]) for k in _SETTINGS_OF_DATA if k in data]
    told = {row[0] for row in shown}
    shown += [(k, v) for k, v in answering.items() if v is not None and k not in told]
    for number, group in enumerate(_optimizer_groups(checkpoint)):
        values = ", ".join(f"{key} {value}" for key, value in group.items())
        shown.append((f"optimizer group {number}", values))
    lines += _table("Settings", ("setting", "value"), shown)
    config = cast("Mapping[str, object]", settings.get("config_overrides") or {})
    lines += code_of(config, usage, [about.get("class"), data.get("class")])
    lines += ["", f"Written by lit_hf {_cell(about.get('version'))}."]
    return "\n".join(lines) + "\n"


def is_own_card(path: Path) -> bool:
    """Whether a file is the model card of an export."""
    try:
        return path.is_file() and _TAG in path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False


def _class_names(settings: Mapping[str, object]) -> list[str]:
    """The names of the classes in order, as the model's config has them; [] where it has none."""
    if "label_names" not in settings or settings.get("problem_type") == "regression":
        return []
    config = cast("Mapping[str, object]", settings.get("config_overrides") or {})
    return ordered_names(cast("Mapping[str, str]", config.get("id2label") or {}))


def _score_name(name: str, positive: object) -> str:
    """The name of a score; of F1 of two classes with the class that it is of."""
    return name if positive is None or name != "val/f1" else f"{name} of {positive!r}"


def _in_brackets(value: object) -> str:
    return "" if value is None else f" ({_cell(value)})"


def _cell(value: object) -> str:
    return markdown_cell(str(value))


def _table(title: str, header: Sequence[str], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """A heading and a table; nothing where there are no rows."""
    if not rows:
        return []
    lines = [map(str, header), ["---"] * len(header), *(map(_cell, row) for row in rows)]
    return ["", f"## {title}", "", *(f"| {' | '.join(cells)} |" for cells in lines)]


def _base_name(model_name: str) -> str:
    r"""A Hub id as it is; of a folder the name alone, since its path tells whose computer it was.

    Where that says nothing, as "model" does, it is the name of the folder around it.

    >>> _base_name("org/bert"), _base_name("/home/jane/bert/"), _base_name("C:\\jane\\bert")
    ('org/bert', 'bert', 'bert')
    >>> _base_name("/data/minilm/model"), _base_name("runs/tweets/pretrained")
    ('minilm', 'tweets')
    """
    if re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model_name):
        return model_name
    *around, name = re.split(r"[/\\]+", model_name.rstrip("/\\"))
    is_home = around[-2:-1] in (["home"], ["Users"])  # its name is that of a person
    told = around[-1] if around and name in _SAYING_NOTHING and not is_home else ""
    return told if re.search(r"\w", told) else name


def _architecture(settings: Mapping[str, object]) -> object:
    """What kind of model it is, such as "bert"; that of the backbone under an own head."""
    config = cast("Mapping[str, object]", settings.get("config_overrides") or {})
    backbone = cast("Mapping[str, object]", config.get("backbone") or config)
    return backbone.get("model_type")


def _optimizer_groups(checkpoint: Mapping[str, object]) -> list[dict[str, object]]:
    states = cast(
        "list[dict[str, list[dict[str, object]]]]", checkpoint.get("optimizer_states") or []
    )
    groups = [dict(group) for state in states for group in state.get("param_groups", [])]
    for group in groups:
        if "initial_lr" in group:  # `lr` is what the schedule has made of it
            group.pop("lr", None)
    return [{key: group[key] for key in _OPTIMIZER if key in group} for group in groups]
