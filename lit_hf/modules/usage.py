"""How an exported folder is used, as code: by lit_hf and by plain transformers."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lit_hf.functional.templates import DEFAULT_PROMPT, template_columns

FOLDER = 'folder = "."  # where this file lies'
_QUESTION = '"Who sold the mill?"'
_CONTEXT = '"Ada sold the old mill in 1921."'
_ASKED = f"question={_QUESTION}, context={_CONTEXT}"


class Usage(NamedTuple):
    """Code for a model card, which runs in the folder as it stands.

    Attributes:
        item: what a `Predictor` is given.
        plain: lines that do the same in plain transformers.
        notes: what is to be known of these.
        pipeline: tag of the task on the Hub, if it has one.
        imports: lines that `item` needs.
    """

    item: str
    plain: Sequence[str]
    notes: str
    pipeline: str | None = None
    imports: Sequence[str] = ()


def _number(value: object, default: int) -> int:
    """A number of the settings; nothing else of a checkpoint becomes code as it is."""
    return value if type(value) is int else default


def text_usage(inputs: Mapping[str, object]) -> Usage:
    """Texts, pairs or rows of a template's columns.

    Args:
        inputs: how the data was read in training.
    """
    limit, template = _number(inputs.get("max_length"), 0), inputs.get("text_template")
    cut = f", truncation=True, max_length={limit}" if limit else ", truncation=True"
    pair, text = inputs.get("pair_column"), '"a text"'
    item = '[("a text", "its pair")]' if pair else '["a text"]'
    if template:
        columns = template_columns(str(template))
        item = repr([dict.fromkeys([*columns, *([str(pair)] if pair else [])], "a text")])
        text = f"{str(template)!r}.format(**{dict.fromkeys(columns, 'a text')!r}).strip()"
    if pair:
        text = f'{{"text": {text}, "text_pair": "its pair"}}'
    code = [
        *("from transformers import pipeline", "", FOLDER),
        f'classify = pipeline("text-classification", folder{cut})',
        f"print(classify({text}, top_k=None))",
    ]
    notes = "Texts longer than the model's limit are cut."
    if limit:
        notes = (
            f"Texts were cut to `max_length={limit}` tokens in training, and Predictor cuts them "
            "so; the tokenizer's own limit is that of the model."
        )
    if pair:
        notes += (
            " The pipeline reads an empty second text as none; "
            '`tokenizer(["a text"], [""])` with lists reads a pair, as training and Predictor do.'
        )
    return Usage(item, code, notes, "text-classification")


def span_usage(inputs: Mapping[str, object], answering: Mapping[str, object]) -> Usage:
    """A question and a context, in windows of which the best span is the answer.

    Args:
        inputs: how the data was read in training.
        answering: what the answers depend on besides the weights.
    """
    longest, stride = _number(inputs.get("max_length"), 384), _number(inputs.get("doc_stride"), 0)
    widest = _number(answering.get("max_answer_length"), 30)
    code = f"""\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

{FOLDER}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForQuestionAnswering.from_pretrained(folder)
question = {_QUESTION}
context = {_CONTEXT}
windows = tokenizer(
    question,
    context,
    truncation="only_second",
    max_length={longest},
    stride={stride},
    return_overflowing_tokens=True,
    return_offsets_mapping=True,
    padding=True,
    return_tensors="pt",
)
places = windows.pop("offset_mapping").tolist()
windows.pop("overflow_to_sample_mapping")
with torch.no_grad():
    output = model(**windows)
spans = []
for window, sides in enumerate(map(windows.sequence_ids, range(len(places)))):
    starts, ends = output.start_logits[window].tolist(), output.end_logits[window].tolist()
    own = [n for n, side in enumerate(sides) if side == 1 and len(set(places[window][n])) == 2]
    for first in own:
        for last in own:
            if first <= last < first + {widest}:
                place = places[window][first][0], places[window][last][1]
                spans.append((starts[first] + ends[last], *place))
score, start, end = max(spans)
print(context[start:end].strip())"""
    notes = "The answer is the best span over all windows of a context, as Predictor finds it."
    if (threshold := answering.get("no_answer_threshold")) is not None:
        notes += (
            " Predictor answers nothing where the start plus the end logit of the first token, the "
            f"smallest over the windows, is more than {threshold} above the score of that span."
        )
    return Usage(_ASKED, code.splitlines(), notes, "question-answering")


def answer_usage(inputs: Mapping[str, object]) -> Usage:
    """A question and a context in a prompt, to which an answer is written.

    Args:
        inputs: how the data was read in training.
    """
    longest = _number(inputs.get("max_length"), 512)
    code = f"""\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

{FOLDER}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSeq2SeqLM.from_pretrained(folder)
prompt = {str(inputs.get("prompt") or DEFAULT_PROMPT)!r}
text = prompt.format(question={_QUESTION}, context={_CONTEXT})
tokens = tokenizer(text, truncation=True, max_length={longest}, return_tensors="pt")
written = model.generate(**tokens)
print(tokenizer.decode(written[0], skip_special_tokens=True).strip())"""
    notes = (
        "How many beams, and how long an answer may be, is in generation_config.json. A text of "
        f"more than {longest} tokens is cut here; Predictor reads its context in windows, each in "
        "a whole prompt, and takes the best answer."
    )
    return Usage(_ASKED, code.splitlines(), notes, "text2text-generation")


def image_usage(options: Mapping[str, object]) -> Usage:
    """An image of any size.

    Args:
        options: what the model is told beside its inputs.
    """
    notes = (
        "Predictor lays transparent images on white, and scales those of 16 bits and of floats; "
        "transformers drops transparency and cuts large numbers off, so convert such images before."
    )
    item, imports = '[Image.new("RGB", (64, 64))]', ("from PIL import Image", "")
    if not options:
        code = [
            *("from PIL import Image", "from transformers import pipeline", "", FOLDER),
            'classify = pipeline("image-classification", folder)',
            'print(classify(Image.new("RGB", (64, 64))))',
        ]
        return Usage(item, code, notes, "image-classification", imports)
    told = ", ".join(f"{name}={value!r}" for name, value in options.items())
    code = f"""\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

{FOLDER}
processor = AutoImageProcessor.from_pretrained(folder)
model = AutoModelForImageClassification.from_pretrained(folder)
pixels = processor(Image.new("RGB", (64, 64)), return_tensors="pt")
with torch.no_grad():
    probabilities = model(**pixels, {told}).logits.softmax(-1)[0].tolist()
print(dict(zip(model.config.id2label.values(), probabilities)))""".splitlines()
    notes = (
        "The model was trained on images of another size than its position codes are for. They are "
        f"interpolated by `{told}`, which the pipeline for images does not pass on. {notes}"
    )
    return Usage(item, code, notes, "image-classification", imports)


def own_usage(task: str, auto: str) -> Usage:
    """Rows of a task of the user's own; a pipeline of transformers may have its name.

    Args:
        task: its name.
        auto: name of the class of transformers that loads the model.
    """
    from transformers.pipelines import SUPPORTED_TASKS

    auto = auto if re.fullmatch(r"AutoModel\w*", auto) else "AutoModel"
    code = [
        *(f"from transformers import {auto}", "", FOLDER),
        f"model = {auto}.from_pretrained(folder)",
    ]
    notes = (
        "Predictor takes a list of rows as in training: dicts of their columns. What the outputs "
        "of the plain model mean, the class that trained it says."
    )
    tag = task.replace("_", "-")
    return Usage("[]", code, notes, tag if tag in SUPPORTED_TASKS else None)
