import pytest
import torch
from transformers import AutoTokenizer

from lit_hf import GenerativeQA, TextClassifier
from lit_hf.modules.heads import ClsHead, HeadCallable


def test_call__by_batch_by_place_and_by_name_is_the_same(tiny_model: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    module = TextClassifier(tiny_model, ["a", "b"]).eval()
    tokens = tokenizer(["fire", "a flood"], return_tensors="pt", padding=True)
    batch = {**tokens, "id": ["1", "2"], "text": ["fire", "a flood"]}
    with torch.no_grad():
        logits = module(batch).logits
        assert torch.equal(module(**tokens).logits, logits)
        assert torch.equal(module(tokens["input_ids"], tokens["attention_mask"]).logits, logits)
        assert module(**tokens, labels=torch.tensor([0, 1])).loss.isfinite()
        found = module(batch, output_attentions=True, output_hidden_states=True)
    assert len(found.attentions) == 2
    assert len(found.hidden_states) == 3


@pytest.mark.parametrize("head", [None, ClsHead])
def test_batch__gives_the_model_whatever_its_forward_names(
    head: HeadCallable | None, tiny_model: str
) -> None:
    """Ordinary batches may have places, or a mask of global attention; a loss is the module's."""
    module = TextClassifier(tiny_model, ["a", "b"], head=head).eval()
    ids = torch.randint(5, 300, (2, 7), generator=torch.Generator().manual_seed(0))
    places = torch.arange(7).flip(0).expand(2, 7)
    batch = {"input_ids": ids, "position_ids": places, "labels": torch.tensor([0, 1])}
    with torch.no_grad():
        wanted = module.model(input_ids=ids, position_ids=places).logits
        assert torch.equal(module(batch).logits, wanted)
        assert not torch.equal(module(input_ids=ids).logits, wanted)
    assert {*module.model_inputs({**batch, "text": ["a", "b"]})} == {"input_ids", "position_ids"}


def test_batch__of_answers_gives_the_decoder_its_mask(tiny_t5: str) -> None:
    module = GenerativeQA(tiny_t5).eval()
    ids = torch.randint(5, 300, (2, 7), generator=torch.Generator().manual_seed(0))
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids[:, :4].clone()}
    batch["decoder_attention_mask"] = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 1]])
    with torch.no_grad():
        wanted = module.model(**batch)
        assert not torch.equal(
            module.model(**{**batch, "decoder_attention_mask": None}).loss, wanted.loss
        )
        assert torch.allclose(module.step(batch, "val")["loss"], wanted.loss)
