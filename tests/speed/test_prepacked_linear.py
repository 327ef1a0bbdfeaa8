import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from lit_hf.speed.prepacked_linear import can_pack, pack_linears
from tests.packed_products import forbid_products, make_up_products

IDS = torch.tensor([[2, 10, 11, 12, 3, 0, 0], [2, 20, 21, 22, 23, 24, 3]])


@pytest.fixture(params=["of oneDNN", "made up"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of oneDNN where this processor has them, and some that every processor has."""
    if request.param == "made up":
        make_up_products(monkeypatch)
    elif not can_pack():
        pytest.skip("this processor has no packed weights")


@pytest.mark.usefixtures("products")
def test_packed__same_logits_in_bfloat16_alone_and_undone(tiny_model: str) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model).eval()

    def logits(is_bfloat16: bool) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=is_bfloat16):
            found: Tensor = model(input_ids=IDS, attention_mask=(IDS != 0).long()).logits
        return found.float()

    plain, exact, keys = logits(True), logits(False), model.state_dict().keys()
    undo = pack_linears(model)
    torch.testing.assert_close(logits(True), plain, atol=0.01, rtol=0.02)
    assert torch.equal(logits(False), exact)
    assert model.state_dict().keys() == keys
    with torch.autocast("cpu", torch.bfloat16):  # what learns uses the weights themselves
        torch.autograd.backward(model(input_ids=IDS).logits.float().sum())
    assert model.get_parameter("classifier.weight").grad is not None
    for weight in model.parameters():
        weight.data.mul_(3)
    undo()
    changed = logits(True)
    assert not torch.allclose(changed, plain, atol=0.01)
    pack_linears(model)
    torch.testing.assert_close(logits(True), changed, atol=0.02, rtol=0.05)


@pytest.mark.usefixtures("products")
def test_packed__leaves_layers_of_users_alone() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    model = nn.Sequential(Doubled(4, 4), patched := nn.Linear(4, 4))
    vars(patched)["forward"] = torch.neg
    values = torch.randn(2, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model(values)
        pack_linears(model)
        assert torch.equal(model(values), expected)


def test_can_pack__asks_the_library_and_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    make_up_products(monkeypatch)
    assert can_pack()
    with monkeypatch.context() as patch:
        patch.setattr("platform.machine", lambda: "arm64")
        assert not can_pack()
    with monkeypatch.context() as patch:
        patch.setattr(torch.ops, "mkldnn", object())  # built without oneDNN
        assert not can_pack()
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda values, *_: values)
    assert not can_pack()
    forbid_products(monkeypatch)
    assert not can_pack()
