"""How an exported folder is used, as code for its model card: by lit_hf and plain transformers.

The code of each task is a template in `lit_hf/assets/usage`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import NamedTuple

from lit_hf.functional.templates import DEFAULT_PROMPT, template_columns

FOLDER = 'folder = "."  # where this file lies'
_TEMPLATES = Path(__file__).parent.parent / "assets" / "usage"
_ASKED = 'question="Who sold the mill?", context="Ada sold the old mill in 1921."'


class Usage(NamedTuple):
    """Code for a model card, which runs in the folder as it stands.

    Attributes:
        item: what a `Predictor` is given.
        plain: code that does the same in plain transformers.
        notes: what is to be known of it.
        pipeline: tag of the task on the Hub, if it has one.
        imports: lines that `item` needs.
    """

    item: str
    plain: str
    notes: str
    pipeline: str | None = None
    imports: tuple[str, ...] = ()


def _code(task: str, **values: object) -> str:
    template = (_TEMPLATES / f"{task}.txt").read_text(encoding="utf-8")
    return Template(template).substitute(values).strip()


def _number(value: object, default: int) -> int:
    """A number of the settings; nothing else of a checkpoint becomes code as it is."""
    return value if type(value) is int else default


def text_usage(inputs: Mapping[str, object]) -> Usage:
    """Texts, pairs or rows of a template's columns.

    Args:
        inputs: how the data was read in training.
    """
    limit, pair = _number(inputs.get("max_length"), 0), inputs.get("pair_column")
    item, text = '[("a text", "its pair")]' if pair else '["a text"]', '"a text"'
    if template := inputs.get("text_template"):
        columns = template_columns(str(template))
        item = repr([dict.fromkeys([*columns, *([str(pair)] if pair else [])], "a text")])
        text = f"{str(template)!r}.format(**{dict.fromkeys(columns, 'a text')!r}).strip()"
    notes = f"Texts are cut to {f'{limit} tokens, as in training' if limit else 'fit the model'}."
    if pair:
        text = f'{{"text": {text}, "text_pair": "its pair"}}'
        notes += (
            " The pipeline reads an empty second text as none; "
            '`tokenizer(["a text"], [""])` with lists reads a pair, as training and Predictor do.'
        )
    code = _code("text_classification", text=text, cut=f", max_length={limit}" if limit else "")
    return Usage(item, code, notes, "text-classification")


def span_usage(inputs: Mapping[str, object], answering: Mapping[str, object]) -> Usage:
    """A question and a context, in windows of which the best span is the answer.

    Args:
        inputs: how the data was read in training.
        answering: what the answers depend on besides the weights.
    """
    code = _code(
        "extractive_qa",
        max_length=_number(inputs.get("max_length"), 384),
        stride=_number(inputs.get("doc_stride"), 0),
        max_answer_length=_number(answering.get("max_answer_length"), 30),
    )
    notes = "The answer is the best span over all windows of a context, as Predictor finds it."
    if (threshold := answering.get("no_answer_threshold")) is not None:
        notes += (
            " Predictor answers nothing where the start plus the end logit of the first token, the "
            f"smallest over the windows, is more than {threshold} above the score of that span."
        )
    return Usage(_ASKED, code, notes, "question-answering")


def answer_usage(inputs: Mapping[str, object]) -> Usage:
    """A question and a context in a prompt, to which an answer is generated.

    Args:
        inputs: how the data was read in training.
    """
    max_length = _number(inputs.get("max_length"), 512)
    prompt = str(inputs.get("prompt") or DEFAULT_PROMPT)
    code = _code("generative_qa", max_length=max_length, prompt=repr(prompt))
    notes = (
        "How many beams, and how long an answer may be, is in generation_config.json. A text of "
        f"more than {max_length} tokens is cut here; Predictor reads its context in windows, each "
        "in a whole prompt, and takes the best answer."
    )
    return Usage(_ASKED, code, notes, "text2text-generation")


def image_usage(options: Mapping[str, object]) -> Usage:
    """An image of any size.

    Args:
        options: arguments of the model beside its inputs.
    """
    given = "".join(f", {name}={value!r}" for name, value in options.items())
    notes = (
        "Predictor lays transparent images on white, and scales those of 16 bits and of floats; "
        "transformers drops transparency and cuts large numbers off, so convert such images before."
    )
    item, imports = '[Image.new("RGB", (64, 64))]', ("from PIL import Image", "")
    code = _code("image_classification", options=given)
    return Usage(item, code, notes, "image-classification", imports)


def own_usage(task: str, auto: str) -> Usage:
    """Rows of a task of the user's own; a pipeline of transformers may have its name.

    Args:
        task: its name.
        auto: name of the class of transformers that loads the model.
    """
    from transformers.pipelines import SUPPORTED_TASKS

    code = _code("own", auto=auto if re.fullmatch(r"AutoModel\w*", auto) else "AutoModel")
    notes = (
        "Predictor takes a list of rows as in training: dicts of their columns. What the outputs "
        "of the plain model mean, the class that trained it says."
    )
    tag = task.replace("_", "-")
    return Usage("[]", code, notes, tag if tag in SUPPORTED_TASKS else None)
