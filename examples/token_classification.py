"""Token classification, a task of one's own: persons, places and organisations in sentences.

Letters: B sentences in a batch, L tokens, W words of a sentence, N labelled tokens, C tags.
"""
# ruff: noqa: ANN401 - settings of the base classes go through as they are

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from datasets import Features, List, Value
from torch import Tensor, nn
from torchmetrics import Metric
from transformers import AutoModelForTokenClassification

from lit_hf import HFDataModule, HFModule
from lit_hf.batches import LossTerms, Prediction, Shown
from lit_hf.modules.losses import LossFunction, apply_loss
from lit_hf.pretrained.label_names import names_of
from lit_hf.pretrained.tokenizers import tokenize

IGNORED = -100
Batch = Mapping[str, Any]
Entity = tuple[str, int, int]
"""Its type, its first word, and the word behind its last."""


class TaggedWords(NamedTuple):
    """The words of a sentence and how likely each tag is, [W, C]."""

    words: list[str]
    probabilities: Tensor


class TokenClassifier(HFModule):
    """Gives each word of a sentence a tag, such as B-PER, I-PER or O.

    Args:
        model_name: Hub id or folder of the model.
        label_names: the tags in order; those of the data unless given.
        settings: of every `HFModule`.
    """

    task = "token_classification"
    auto_class = AutoModelForTokenClassification

    def __init__(
        self, model_name: str, label_names: list[str] | None = None, **settings: Any
    ) -> None:
        super().__init__(model_name, **settings)
        self.label_names = label_names

    def loss_terms(self, batch: Batch, output: Batch, loss: LossFunction | None) -> LossTerms:
        """The loss of each labelled token: the mean is one over tokens, not over sentences."""
        is_labelled = batch["labels"] != IGNORED  # [B, L]
        plain = nn.CrossEntropyLoss(reduction="none")
        logits, labels = output["logits"][is_labelled], batch["labels"][is_labelled]  # [N, C], [N]
        numerators, weights = apply_loss(loss or plain, logits, labels)
        return LossTerms(numerators, weights, is_labelled.nonzero()[:, 0])

    def decode(
        self, batch: Batch, output: Batch, rows: Sequence[int] | None = None
    ) -> list[TaggedWords]:
        """The probabilities of each word, by its first token; a word that was cut off is none."""
        found = []
        for row in range(len(batch["words"])) if rows is None else rows:
            number_of_word, words = batch["number_of_word"][row], batch["words"][row]
            is_first = number_of_word >= 0  # [L]
            probabilities = torch.zeros(len(words), output["logits"].shape[-1])
            probabilities[:, 0] = 1.0  # "O"
            seen = output["logits"][row][is_first].softmax(-1).cpu()
            probabilities[number_of_word[is_first].cpu()] = seen
            found.append(TaggedWords(words, probabilities))
        return found

    def decide(self, scores: list[TaggedWords]) -> list[Prediction]:
        """The likeliest tag of each word, and the entities; `probability` is of the least sure."""
        names, answers = names_of(self.model.config), []
        for words, probabilities in scores:
            best = probabilities.max(-1)
            tags = [names[number] for number in best.indices.tolist()]
            entities: list[dict[str, str | int | float | None]] = [
                {"type": kind, "text": " ".join(words[first:end]), "start": first, "end": end}
                for kind, first, end in entities_of(tags)
            ]
            answer: Prediction = {"prediction": tags, "entities": entities}
            answers.append({**answer, "probability": float(best.values.min())})
        return answers

    def configure_metrics(self) -> dict[str, Metric]:
        """F1 of whole entities."""
        return {"entities": EntityScore()}

    def metric_inputs(
        self, metric: nn.Module, batch: Batch, scores: list[TaggedWords]
    ) -> tuple[object, ...]:
        """The tags of each sentence, predicted and right ones."""
        return [answer["prediction"] for answer in self.decide(scores)], batch["tags"]

    def show(self, batch: Batch, row: int, prediction: Prediction) -> Shown:
        """The sentence, with the predicted and with the right entities in brackets."""
        words, tags, truth = batch["words"][row], prediction["prediction"], batch["tags"][row]
        return {
            "input": " ".join(words),
            "prediction": in_brackets(words, tags),  # type: ignore[arg-type]  # a list of tags
            "truth": in_brackets(words, truth),
            "correct": tags == truth,
        }


class TokenClassificationDataModule(HFDataModule):
    """Rows with `tokens`, the words of a sentence, and `tags`, one for each word.

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the sentences.
        entities: types of entities; each has the tags B-type for its first word and I-type.
        max_length: longest sentence in tokens, longer ones are cut.
        settings: of every `HFDataModule`.
    """

    task = "token_classification"
    features = Features({"words": List(Value("string")), "tags": List(Value("string"))})
    input_columns = ("words",)  # equal ones are one example
    item_columns = ("tokens",)  # what a Predictor is given

    def __init__(
        self,
        model_name: str,
        entities: Sequence[str] = ("PER", "LOC", "ORG"),
        max_length: int = 128,
        **settings: Any,
    ) -> None:
        super().__init__(model_name, **settings)
        self.entities, self.max_length = list(entities), max_length

    @property
    def label_names(self) -> list[str]:
        """The tags in order."""
        return ["O", *(f"{mark}-{kind}" for kind in self.entities for mark in "BI")]

    def read_row(self, row: Mapping[str, Any], is_labelled: bool) -> dict[str, object]:
        """Words and tags; a text is cut into words at white space."""
        words, tags = row["tokens"], row["tags"] if is_labelled else []
        words = words.split() if isinstance(words, str) else words
        if not words or not all(isinstance(word, str) and word.strip() for word in words):
            raise ValueError("`tokens` are no list of words")
        if not is_labelled:
            return {"words": words}
        if not isinstance(tags, list) or len(tags) != len(words):
            raise ValueError("`tags` are not as many as `tokens`")
        if unknown := [tag for tag in tags if tag not in self.label_names]:
            raise ValueError(f"the tag {unknown[0]!r} is none of {', '.join(self.label_names)}")
        return {"words": words, "tags": tags}

    def encode_rows(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Tokens, for each the number of the word that it begins (else -1), and its label."""
        texts = [" ".join(words) for words in columns["words"]]
        tokens = tokenize(self.processor, texts, truncation=True, max_length=self.max_length)
        places = [encoding.offsets for encoding in tokens.encodings or []]
        starts = list(map(first_tokens, columns["words"], places))
        encoded = {**tokens, **columns, "number_of_word": starts}
        if "tags" in columns:
            ids = {name: number for number, name in enumerate(self.label_names)}
            encoded["labels"] = [
                [IGNORED if word < 0 else ids[tags[word]] for word in words]
                for words, tags in zip(starts, columns["tags"], strict=True)
            ]
        return encoded

    def collate(self, columns: dict[str, list[Any]]) -> dict[str, object]:
        """Tokens, labels and numbers of words [B, L]; words and tags as they are."""
        padded = self.pad(columns, labels=IGNORED, number_of_word=-1)
        return {**{name: columns[name] for name in ("words", "tags") if name in columns}, **padded}


class EntityScore(Metric):
    """Precision, recall and F1 of entities: type, first and last word have to be right.

    Three sums, which torchmetrics adds up over processes: exact there too.
    """

    names = ("precision", "recall", "f1")
    full_state_update = False
    num_right: Tensor
    num_predicted: Tensor
    num_true: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("num_right", "num_predicted", "num_true"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Sequence[list[str]], truth: Sequence[list[str]]) -> None:
        """Count the entities of B sentences, by their tags."""
        for ours, theirs in zip(predicted, truth, strict=True):
            found, right = set(entities_of(ours)), set(entities_of(theirs))
            self.num_right += len(found & right)
            self.num_predicted += len(found)
            self.num_true += len(right)

    def compute(self) -> dict[str, Tensor]:
        """The scores; 0 where there is nothing to count."""
        precision = self.num_right / self.num_predicted.clamp(min=1)
        recall = self.num_right / self.num_true.clamp(min=1)
        f1 = 2 * self.num_right / (self.num_predicted + self.num_true).clamp(min=1)
        return {"precision": precision, "recall": recall, "f1": f1}


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """The entities in the tags of a sentence; an I- that goes on with nothing begins one.

    >>> entities_of(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4), ('LOC', 4, 5)]
    """
    found: list[Entity] = []
    for place, tag in enumerate(tags):
        mark, _, kind = tag.partition("-")
        if mark == "I" and found and found[-1][0] == kind and found[-1][2] == place:
            found[-1] = (kind, found[-1][1], place + 1)
        elif mark != "O":
            found.append((kind, place, place + 1))
    return found


def first_tokens(words: Sequence[str], places: Sequence[tuple[int, int]]) -> list[int]:
    """For the first token of each word the word's number, for all others -1.

    Args:
        words: of a sentence, which a blank stands between.
        places: from and to which character of the sentence each token stands.

    >>> first_tokens(["Ada", "left"], [(0, 0), (0, 2), (2, 3), (4, 8), (0, 0)])
    [-1, 0, -1, 1, -1]
    """
    word_at = [number for number, word in enumerate(words) for _ in f"{word} "]
    numbers = [word_at[end - 1] if end > start else -1 for start, end in places]
    return [-1 if n in numbers[:place] else n for place, n in enumerate(numbers)]


def in_brackets(words: Sequence[str], tags: Sequence[str]) -> str:
    """A sentence with its entities in brackets.

    >>> in_brackets(["Ada", "Kim", "left"], ["B-PER", "I-PER", "O"])
    '[Ada Kim PER] left'
    """
    shown = list(words)
    for kind, first, end in entities_of(tags):
        shown[first] = f"[{shown[first]}"
        shown[end - 1] += f" {kind}]"
    return " ".join(shown)
