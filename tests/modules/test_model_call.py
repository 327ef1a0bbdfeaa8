import torch
from transformers import AutoTokenizer

from lit_hf import TextClassifier


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
