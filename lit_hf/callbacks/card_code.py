"""The code in a model card: how its folder answers, by lit_hf and by plain transformers."""

import re
from collections.abc import Mapping, Sequence
from typing import cast

from lit_hf.data.examples import template_columns

_FOLDER = 'folder = "."  # where this file lies'
_QUESTION = '"Who sold the mill?"'
_CONTEXT = '"Ada sold the old mill in 1921."'


def code_of(
    task: str,
    config: Mapping[str, object],
    inputs: Mapping[str, object],
    answering: Mapping[str, object],
    classes: Sequence[object] = (),
) -> list[str]:
    """The lines of a card under which a model is used; all code runs in its folder as it stands.

    Args:
        task: of the module.
        config: of the model.
        inputs: how the data was read in training.
        answering: what the answers depend on besides the weights; of images `image_size` and what
            the model is told beside them (`options`); of a task of one's own the class of
            transformers that loads the model (`auto_class`).
        classes: names of the classes that trained the model and read its data.
    """
    own_head = _imports_of_head(config)
    item = _item(task, inputs)
    ours = ["from lit_hf import Predictor", "", _FOLDER, "predictor = Predictor."]
    ours[-1] += f"from_pretrained(folder)\nprint(predictor({item}))"
    if task == "image_classification":
        ours.insert(0, "from PIL import Image\n")
    plain, notes = _PLAIN.get(task, _plain_of_own)(inputs, answering)
    if own_head is not None:
        plain = ["from lit_hf import TextClassifier  # knows the head", *plain]
    head = own_head or []
    return [
        *("", "## Use", "", "```python", *_imports_of(classes), *head, *ours, "```", ""),
        *("In plain transformers:", "", "```python", *head, *plain, "```", "", notes),
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


def _item(task: str, inputs: Mapping[str, object]) -> str:
    """What a Predictor is given, as code."""
    if task == "image_classification":
        return '[Image.new("RGB", (64, 64))]'
    if task in ("extractive_qa", "generative_qa"):
        return f"question={_QUESTION}, context={_CONTEXT}"
    if task != "text_classification":
        return "[]"
    template, pair = inputs.get("text_template"), inputs.get("pair_column")
    if template:
        names = [*template_columns(str(template)), *([str(pair)] if pair else [])]
        return repr([dict.fromkeys(names, "a text")])
    return '[("a text", "its pair")]' if pair else '["a text"]'


def _number(value: object, default: int) -> int:
    """A number of the settings; nothing else of a checkpoint becomes code as it is."""
    return value if type(value) is int else default


def _plain_texts(
    inputs: Mapping[str, object], answering: Mapping[str, object]
) -> tuple[list[str], str]:
    limit, template = _number(inputs.get("max_length"), 0), inputs.get("text_template")
    cut = f", truncation=True, max_length={limit}" if limit else ", truncation=True"
    text = '"a text"'
    if template:
        names = dict.fromkeys(template_columns(str(template)), "a text")
        text = f"{str(template)!r}.format(**{names!r}).strip()"
    if inputs.get("pair_column"):
        text = f'{{"text": {text}, "text_pair": "its pair"}}'
    code = [
        *("from transformers import pipeline", "", _FOLDER),
        f'classify = pipeline("text-classification", folder{cut})',
        f"print(classify({text}, top_k=None))",
    ]
    notes = "Texts longer than the model's limit are cut."
    if limit:
        notes = (
            f"Texts were cut to `max_length={limit}` tokens in training, and Predictor cuts them "
            "so; the tokenizer's own limit is that of the model."
        )
    if inputs.get("pair_column"):
        notes += (
            " The pipeline reads an empty second text as none; "
            '`tokenizer(["a text"], [""])` with lists reads a pair, as training and Predictor do.'
        )
    return code, notes


def _plain_spans(
    inputs: Mapping[str, object], answering: Mapping[str, object]
) -> tuple[list[str], str]:
    longest, stride = _number(inputs.get("max_length"), 384), _number(inputs.get("doc_stride"), 0)
    widest = _number(answering.get("max_answer_length"), 30)
    code = f"""\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

{_FOLDER}
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
    return code.splitlines(), notes


def _plain_answers(
    inputs: Mapping[str, object], answering: Mapping[str, object]
) -> tuple[list[str], str]:
    from lit_hf.data.prompts import DEFAULT_PROMPT

    longest = _number(inputs.get("max_length"), 512)
    code = f"""\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

{_FOLDER}
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSeq2SeqLM.from_pretrained(folder)
prompt = {str(inputs.get("prompt") or DEFAULT_PROMPT)!r}
text = prompt.format(question={_QUESTION}, context={_CONTEXT})
tokens = tokenizer(text, truncation=True, max_length={longest}, return_tensors="pt")
written = model.generate(**tokens)
print(tokenizer.decode(written[0], skip_special_tokens=True).strip())"""
    return code.splitlines(), (
        "How many beams, and how long an answer may be, is in generation_config.json. A text of "
        f"more than {longest} tokens is cut here; Predictor reads its context in windows, each in "
        "a whole prompt, and takes the best answer."
    )


def _plain_images(
    inputs: Mapping[str, object], answering: Mapping[str, object]
) -> tuple[list[str], str]:
    notes = (
        "Predictor lays transparent images on white, and scales those of 16 bits and of floats; "
        "transformers drops transparency and cuts large numbers off, so convert such images before."
    )
    options = cast("Mapping[str, object]", answering.get("options") or {})
    if not options:
        code = [
            *("from PIL import Image", "from transformers import pipeline", "", _FOLDER),
            'classify = pipeline("image-classification", folder)',
            'print(classify(Image.new("RGB", (64, 64))))',
        ]
        return code, notes
    told = ", ".join(f"{name}={value!r}" for name, value in options.items())
    code = f"""\
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

{_FOLDER}
processor = AutoImageProcessor.from_pretrained(folder)
model = AutoModelForImageClassification.from_pretrained(folder)
pixels = processor(Image.new("RGB", (64, 64)), return_tensors="pt")
with torch.no_grad():
    probabilities = model(**pixels, {told}).logits.softmax(-1)[0].tolist()
print(dict(zip(model.config.id2label.values(), probabilities)))""".splitlines()
    return code, (
        "The model was trained on images of another size than its position codes are for. They are "
        f"interpolated by `{told}`, which the pipeline for images does not pass on. {notes}"
    )


def _plain_of_own(
    inputs: Mapping[str, object], answering: Mapping[str, object]
) -> tuple[list[str], str]:
    auto = str(answering.get("auto_class"))
    auto = auto if re.fullmatch(r"AutoModel\w*", auto) else "AutoModel"
    code = [
        *(f"from transformers import {auto}", "", _FOLDER),
        f"model = {auto}.from_pretrained(folder)",
    ]
    return code, (
        "Predictor takes a list of rows as in training: dicts of their columns. What the outputs "
        "of the plain model mean, the class that trained it says."
    )


_PLAIN = {
    "text_classification": _plain_texts,
    "extractive_qa": _plain_spans,
    "generative_qa": _plain_answers,
    "image_classification": _plain_images,
}
