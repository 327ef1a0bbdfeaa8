"""Group E: rows that cannot be used; each is told in one message before weights are loaded."""

import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.faults.resume import Outcomes
from benchmarks.faults.stage import Outcome, Stage
from benchmarks.faults.told import refused, told

HEAD = "id,text,label\n"
GOOD = "".join(f"t{n},fire in town {n},{n % 2}\n" for n in range(12))
Rows = Mapping[str, tuple[bytes | str, list[str]]]


def words_of(stage: Stage, folder: Path, path: Path, *more: str) -> list[str]:
    """The command that trains on a file of texts."""
    words = stage.command(folder)
    words = [str(path) if word.endswith("rows.csv") else word for word in words]
    return [*words, "--trainer.val_check_interval", "1.0", *more]


def _refused(stage: Stage, group: int, cases: Rows, suffix: str = ".csv") -> Outcomes:
    """Each content is refused, with these words."""
    for number, (case, (content, said)) in enumerate(cases.items()):
        path = stage.home / f"{group}-{number}{suffix}"
        raw = content.encode() if isinstance(content, str) else content
        path.write_bytes(raw)
        words = words_of(stage, stage.home / f"{group}-{number}", path)
        yield refused(stage, case, words, [path.name, *said])


def columns(stage: Stage) -> Outcomes:
    """Group 55."""
    cases: Rows = {
        "a misspelt column": ("id,texts,label\n" + GOOD, ["'text'", "texts"]),
        "no labels": ("id,text\nt1,fire\n", ["'label'"]),
    }
    yield from _refused(stage, 55, cases)


def nothing(stage: Stage) -> Outcomes:
    """Group 56."""
    yield from _refused(stage, 56, {"an empty file": ("", []), "a header alone": (HEAD, [])})


def encodings(stage: Stage) -> Outcomes:
    """Group 57."""
    latin = (HEAD + GOOD + "t99,café in town,1\n").encode("latin-1")
    cases: Rows = {
        "latin-1": (latin, ["UTF-8"]),
        "UTF-16": ((HEAD + GOOD).encode("utf-16"), ["UTF-16"]),
        "an open quote": (HEAD + GOOD + 't99,"fire in town,1\n', []),
        "a cell too many": (HEAD + GOOD + "t99,fire,in town,1\n", []),
        "a NUL": (HEAD + GOOD + "t99,fire\0in town,1\n", []),
    }
    yield from _refused(stage, 57, cases)
    path = stage.home / "57-mixed.csv"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + GOOD).replace("5\n", "5\r\n").encode())
    run = stage.run(words_of(stage, stage.home / "57-mixed", path))
    yield told("a byte order mark, mixed line ends", run, 0)


def texts(stage: Stage) -> Outcomes:
    """Groups 58 and 59: words for nothing are texts, as are numbers; nothing is none."""
    cases: Rows = {
        "blank texts": (
            HEAD + GOOD + "t98,,1\nt99,  ,0\n",
            ["2 rows", "line 14 has", "line 15 has"],
        )
    }
    yield from _refused(stage, 58, cases)
    path = stage.home / "58-words.csv"
    path.write_text(HEAD + GOOD + "t97,NA,1\nt98,null,0\nt99,12.5,1\n")
    run = stage.run(words_of(stage, stage.home / "58-words", path))
    outcome = told("NA, null and a number", run, 0)
    rows = {name for part in run.batches for ids, _ in part.values() for name in ids}
    if not outcome.faults and len(rows & {"t97", "t98", "t99"}) < 2:
        outcome = Outcome(outcome.case, ("silent",), f"trained {sorted(rows)}")
    yield outcome


def labels(stage: Stage) -> Outcomes:
    """Group 60."""
    cases: Rows = {
        "a label missing": (HEAD + GOOD + "t99,fire,\n", ["label", "line 14"]),
        "a fraction": (HEAD + GOOD + "t99,fire,0.5\n", ["0.5"]),
        "one class only": (HEAD + GOOD.replace(",0\n", ",1\n"), ["class"]),
    }
    yield from _refused(stage, 60, cases)
    path = stage.home / "60-names.csv"
    path.write_text(HEAD + GOOD + "t99,fire,maybe\n")
    more = ("--data.label_names", '["0", "1"]')
    words = words_of(stage, stage.home / "60-names", path, *more)
    yield refused(stage, "an unknown class", words, ["maybe"])


def repeated(stage: Stage) -> Outcomes:
    """Group 62: ids twice, and texts of both parts, are told with their number."""
    train, val = stage.home / "62.csv", stage.home / "62-val.csv"
    train.write_text(HEAD + GOOD + "t1,another fire,1\n")
    val.write_text(HEAD + GOOD[: GOOD.index("t4")])
    words = words_of(stage, stage.home / "62", train, "--data.val_file", str(val))
    run = stage.run(words)
    yield told("an id twice, 4 shared texts", run, 0, ("an id that came before", "texts"))


def long_texts(stage: Stage) -> Outcomes:
    """Group 63."""
    path = stage.home / "63.csv"
    odd = ["fire " * 200_000, "🔥🔥🔥", "حريق في المدينة", "https://t.co/abc"]
    path.write_text(HEAD + GOOD + "".join(f"u{n},{text},{n % 2}\n" for n, text in enumerate(odd)))
    run = stage.run(words_of(stage, stage.home / "63", path))
    yield told("a megabyte, emoji, Arabic, a link", run, 0, ("cut",))


QUESTION = {"question": "Who sold it?", "context": "Ada sold the mill.", "answers": ["Ada"]}
QUESTIONS: dict[str, tuple[dict[str, object], list[str]]] = {
    "an answer that is not in the context": ({"answers": ["Bob"]}, ["Bob"]),
    "a negative start": ({"answers": {"text": ["Bob"], "answer_start": [-4]}}, ["Bob"]),
    "a start behind the end": ({"answers": {"text": ["Bob"], "answer_start": [999]}}, ["Bob"]),
    "an empty context": ({"context": ""}, ["context"]),
    "an empty question": ({"question": " "}, ["question"]),
    "a question longer than its room": ({"question": "who " * 200}, ["question"]),
}


def questions(stage: Stage) -> Outcomes:
    """Group 64."""
    for number, (case, (change, said)) in enumerate(QUESTIONS.items()):
        path = stage.home / f"64-{number}.jsonl"
        lines = [json.dumps({**QUESTION, "id": f"q{n}"}) for n in range(8)]
        path.write_text("\n".join([*lines, json.dumps({**QUESTION, "id": "q8", **change})]) + "\n")
        folder = stage.home / f"64-{number}"
        yield refused(stage, case, as_questions(stage, folder, path), said)
    words = as_questions(stage, stage.home / "64-stride", path, "--data.doc_stride", "120")
    yield refused(stage, "a stride without room", words, ["doc_stride"])


def as_questions(stage: Stage, folder: Path, path: Path, *more: str) -> list[str]:
    """The command that trains on a file of questions."""
    change = {
        "TextClassifier": "ExtractiveQA",
        "TextClassificationDataModule": "ExtractiveQADataModule",
    }
    words = words_of(stage, folder, path, "--data.max_length", "128", *more)
    return [change.get(word, word) for word in words]


def models(stage: Stage) -> Outcomes:
    """Groups 69 and 70: a model that is not there, or does not fit its tokenizer or length."""
    rows, model = stage.inputs / "rows.csv", str(stage.inputs / "bert")

    def with_model(name: str, *more: str) -> list[str]:
        words = words_of(stage, stage.home / "69", rows, *more)
        return [name if word == model else word for word in words]

    yield refused(stage, "a Hub out of reach", with_model("nobody/nothing"), ["nobody/nothing"])
    more = ("--data.max_length", "9999")
    yield refused(stage, "longer than the model's limit", with_model(model, *more), ["128"])


FAULTS = {
    55: columns,
    56: nothing,
    57: encodings,
    58: texts,
    60: labels,
    62: repeated,
    63: long_texts,
    64: questions,
    69: models,
}
PLAIN: tuple[int, ...] = ()
