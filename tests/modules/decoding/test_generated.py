from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel

from lit_hf.batches import AnswerOutput, PromptBatch
from lit_hf.data.tokenization.prompts import PromptSettings, encode_taught, pad_prompts
from lit_hf.data.tokenization.templates import TemplateTokenizer
from lit_hf.functional.templates import DEFAULT_PROMPT
from lit_hf.modules.decoding.generated import (
    answer_windows,
    generated_answers,
    predict_generated,
    write_greedily,
)
from lit_hf.modules.decoding.generation import set_generation

LONG = " ".join(f"Boat {number} left the harbour at {number} o'clock." for number in range(12))
TEXTS = {
    "question": ["When did boat 9 leave?", "Who sold the mill?"],
    "context": [LONG, "Ada sold the old mill by the river in 1921."],
}


@pytest.fixture(scope="module")
def model(tiny_t5: str) -> PreTrainedModel:
    """Large random weights: answers that differ from window to window, and end at some place."""
    model: PreTrainedModel = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3))
            )
        model.get_parameter("shared.weight")[1] *= 2.5  # the end token
    return model


@pytest.fixture
def batch(tiny_t5: str) -> PromptBatch:
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    told: dict[str, list[Any]] = {"answers": [["9 o'clock"], ["Ada"]], "starts": [[-1], [-1]]}
    rows = {**TEXTS, **told}
    prompts = TemplateTokenizer(tokenizer, DEFAULT_PROMPT)
    columns = encode_taught(rows, prompts, PromptSettings(DEFAULT_PROMPT, 90, 8, 16))
    return cast("PromptBatch", {**pad_prompts(columns, 0), **TEXTS, "answers": told["answers"]})


def _untyped(model: PreTrainedModel) -> Any:  # noqa: ANN401 - its `generate` has wrong types
    return model


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("max_windows", [1, 2, 64])
def test_answers__are_those_of_plain_generate(
    model: PreTrainedModel, batch: PromptBatch, num_beams: int, max_windows: int
) -> None:
    """Window by window, without padding; the scores are those that transformers tells."""
    set_generation(model, {"num_beams": num_beams, "max_new_tokens": 6, "length_penalty": 1.0})
    written = answer_windows(model, batch, max_windows, in_step=False)
    assert len(written.tokens) == len(batch["window_of"]) > 3
    for row, ids in enumerate(batch["input_ids"]):
        prompt = ids[batch["attention_mask"][row].bool()][None]
        plain = _untyped(model).generate(prompt, return_dict_in_generate=True, output_logits=True)
        own = plain.sequences[0, 1:].tolist()
        size = own.index(1) + 1 if 1 in own else len(own)
        assert written.tokens[row] == own[:size] + [-100] * (len(written.tokens[row]) - size)
        beams = plain.beam_indices if num_beams > 1 else None
        steps = _untyped(model).compute_transition_scores(
            plain.sequences, plain.logits, beams, normalize_logits=True
        )
        assert float(written.scores[row]) == pytest.approx(float(steps[0, :size].mean()), abs=1e-4)


def test_losses__are_those_of_the_model_itself(model: PreTrainedModel, batch: PromptBatch) -> None:
    written = answer_windows(model, batch, 2, in_step=False)
    for row, ids in enumerate(batch["input_ids"]):
        labels = batch["labels"][row][None]
        mask = batch["attention_mask"][row][None]
        with torch.no_grad():
            loss = model(input_ids=ids[None], attention_mask=mask, labels=labels).loss
        num_tokens = int((labels != -100).sum())
        assert float(written.losses[row]) == pytest.approx(float(loss) * num_tokens, rel=1e-4)
    unknown = cast("PromptBatch", {k: v for k, v in batch.items() if k != "labels"})
    assert answer_windows(model, unknown, 2, in_step=False).losses.eq(0).all()


def _told(tiny_t5: str, texts: list[str], scores: list[float]) -> tuple[object, object, object]:
    """What is told of one question whose windows were answered so."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    batch: PromptBatch = {
        "question": ["Who?"],
        "context": ["abcdefghi"],
        "answers": [[]],
        "window_of": torch.zeros(len(texts), dtype=torch.int64),
        "input_ids": torch.zeros(len(texts), 1, dtype=torch.int64),
        "attention_mask": torch.ones(len(texts), 1, dtype=torch.int64),
        "covers": torch.tensor([[n, n + 3] for n in range(len(texts))]),
    }
    tokens = [[*tokenizer(text)["input_ids"], -100] for text in texts]
    windows = torch.arange(len(texts))
    output: AnswerOutput = {"windows": windows, "tokens": tokens, "scores": torch.tensor(scores)}
    (answers,) = generated_answers(batch, output, tokenizer)
    row, best = predict_generated(answers), answers[0]
    assert row["n_best"] == answers
    assert len(answers) == len(texts)
    assert (best["text"], best["score"]) == (row["prediction"], row["score"])
    return best["text"], best["start"], row["probability"]


def test_best__is_the_likeliest_of_those_that_say_something(tiny_t5: str) -> None:
    *answer, probability = _told(tiny_t5, ["mill", "", "Ada"], [-2.0, -0.1, -1.0])
    assert answer == ["Ada", 2]
    assert probability == pytest.approx(0.3679, abs=1e-4)


@pytest.mark.parametrize("most", [2, 99])
def test_greedy_answer__leaves_the_model_as_it_was(
    model: PreTrainedModel, batch: PromptBatch, tiny_t5: str, most: int
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_t5)
    set_generation(model, {"num_beams": 3, "max_new_tokens": most})
    before = model.generation_config.to_dict()
    model.train()
    frozen = _untyped(model).encoder.train(False)
    state = torch.get_rng_state()
    (answers,) = write_greedily(model, batch, [1], tokenizer)
    answer = predict_generated(answers)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not any(part.training for part in frozen.modules())
    assert model.generation_config.to_dict() == before
    model.train(False)
    prompt = batch["input_ids"][-1][batch["attention_mask"][-1].bool()][None]
    longest = min(batch["labels"].shape[1] + 8, most)
    plain = _untyped(model).generate(prompt, num_beams=1, max_new_tokens=longest)
    assert answer["prediction"] == str(tokenizer.decode(plain[0], skip_special_tokens=True)).strip()
