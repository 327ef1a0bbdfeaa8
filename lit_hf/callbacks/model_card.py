"""The model card of an exported folder, written from the checkpoint."""

from collections.abc import Mapping
from typing import cast

from lit_hf.functional.text import markdown_cell, printable


def model_card(checkpoint: Mapping[str, Mapping[str, object]], data: Mapping[str, object]) -> str:
    """Describe a model in Markdown: task, classes, data, scores, settings and use.

    Args:
        checkpoint: a checkpoint of a lit_hf module.
        data: what the data module wrote about itself.
    """
    about = checkpoint["lit_hf"]
    settings = dict(checkpoint.get("hyper_parameters", {}))
    base = "/".join(str(settings.get("model_name")).rstrip("/").split("/")[-2:])  # no home folder
    metrics = cast("Mapping[str, float]", about.get("metrics") or {})
    scores = {k: v for k, v in metrics.items() if k.startswith(("val/", "test/"))}
    names = cast("list[str] | None", settings.get("label_names")) or []
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "tags:",
        "- lit_hf",
        "---",
        "",
        f"# {markdown_cell(base)}, fine-tuned",
        "",
        f"Task: {about.get('task')} ({settings.get('problem_type')}). "
        f"Base model: {markdown_cell(base)}.",
    ]
    if names:
        lines += [
            "",
            "Classes, in order: " + ", ".join(markdown_cell(name) for name in names) + ".",
        ]
    lines += ["", "## Scores", "", "| score | value |", "| --- | --- |"]
    lines += [f"| {markdown_cell(name)} | {value:.4g} |" for name, value in scores.items()]
    lines += ["", f"After step {checkpoint.get('global_step')}, epoch {checkpoint.get('epoch')}."]
    lines += ["", "## Data", "", "| split | files | rows |", "| --- | --- | --- |"]
    rows = cast("Mapping[str, int]", data.get("rows") or {})
    sources = cast("Mapping[str, list[str]]", data.get("sources") or {})
    for split, count in rows.items():
        files = ", ".join(markdown_cell(name) for name in sources.get(split, [])) or "set aside"
        lines.append(f"| {split} | {files} | {count} |")
    shown = ("problem_type", "scheduler", "warmup_ratio")
    lines += ["", "## Settings", "", "| setting | value |", "| --- | --- |"]
    lines += [f"| {name} | {settings.get(name)} |" for name in shown if name in settings]
    lines.append(f"| max_length | {data.get('max_length')} |")
    for number, group in enumerate(_optimizer_groups(checkpoint)):
        text = ", ".join(f"{key} {printable(str(value), 40)}" for key, value in group.items())
        lines.append(f"| optimizer group {number} | {text} |")
    lines += [
        "",
        "## Use",
        "",
        "```python",
        "from lit_hf import Predictor",
        "",
        'Predictor.from_pretrained("this folder")(["a text"])',
        "```",
        "",
        f"Written by lit_hf {about.get('version')}.",
    ]
    return "\n".join(lines) + "\n"


def _optimizer_groups(checkpoint: Mapping[str, object]) -> list[dict[str, object]]:
    states = cast(
        "list[dict[str, list[dict[str, object]]]]", checkpoint.get("optimizer_states") or []
    )
    wanted = ("initial_lr", "weight_decay", "betas", "eps")
    return [
        {key: group[key] for key in wanted if key in group}
        for state in states
        for group in state.get("param_groups", [])
    ]
