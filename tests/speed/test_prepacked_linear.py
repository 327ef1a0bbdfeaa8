"""Packed weights give the products of plain ones, in evaluations in bfloat16 alone."""

import copy
import io
import platform
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification, PreTrainedModel

from lit_hf.speed.prepacked_linear import PackedLinear, PackedWeights, can_pack
from tests.packed_products import forbid_products, make_up_products

with_products = pytest.mark.usefixtures("products")
IDS = torch.tensor([[2, 10, 11, 12, 3, 0, 0], [2, 20, 21, 22, 23, 24, 3]])


@pytest.fixture(params=["of oneDNN", "made up"])
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of oneDNN where this processor has them, and some that every processor has."""
    if request.param == "made up":
        make_up_products(monkeypatch)
    elif not can_pack():
        pytest.skip("this processor has no packed weights")


def _model(folder: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(folder)
    model.train(False)
    return model


def _logits(model: PreTrainedModel) -> Tensor:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        logits: Tensor = model(input_ids=IDS, attention_mask=(IDS != 0).long()).logits
    return logits.float()


@with_products
def test_packed__same_logits_while_a_batch_is_evaluated(
    tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = _model(tiny_model)
    wanted, state = _logits(model), copy.deepcopy(model.state_dict())
    packed = PackedWeights(model)
    packed.begin_batch()
    used: list[int] = []
    of = PackedWeights.of

    def noted(self: PackedWeights, layer: nn.Linear) -> tuple[Tensor, Tensor | None]:
        used.append(id(layer))
        return of(self, layer)

    monkeypatch.setattr(PackedWeights, "of", noted)
    torch.testing.assert_close(_logits(model), wanted, atol=0.01, rtol=0.02)
    num_layers = sum(isinstance(part, nn.Linear) for part in model.modules())
    assert len(set(used)) == num_layers > 10
    assert model.state_dict().keys() == state.keys()
    packed.end_batch()
    assert not any(isinstance(part, PackedLinear) for part in model.modules())
    assert torch.equal(_logits(model), wanted)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name])


@with_products
def test_packed__weights_of_the_moment_when_they_are_wanted(tiny_model: str) -> None:
    model = _model(tiny_model)
    packed = PackedWeights(model)
    for factor in (1.0, 3.0):
        for weight in model.parameters():
            weight.data.mul_(factor)  # as averaging callbacks do, unnoticed by torch
        wanted = _logits(model)
        packed.forget()
        packed.begin_batch()
        torch.testing.assert_close(_logits(model), wanted, atol=0.02, rtol=0.05)
        packed.end_batch()


@with_products
def test_packed__leaves_alone_what_is_not_bfloat16_and_what_learns(tiny_model: str) -> None:
    model = _model(tiny_model)
    with torch.no_grad():
        wanted = model(input_ids=IDS).logits
    packed = PackedWeights(model)
    packed.begin_batch()
    with torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, wanted)
    with torch.autocast("cpu", torch.bfloat16):
        torch.autograd.backward(model(input_ids=IDS).logits.float().sum())
    assert all(weight.grad is not None for weight in model.get_submodule("classifier").parameters())


@with_products
@pytest.mark.parametrize("precision", ["autocast", "weights"])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (3, 4, 5), (0, 5)])
def test_linear__takes_any_shape(precision: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(5, 3, bias=len(shape) > 1)
    values = torch.randn(shape)
    if precision == "weights":
        layer, values = layer.bfloat16(), values.bfloat16()
    packed = PackedWeights(layer)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        wanted = layer(values)
        packed.begin_batch()
        found = layer(values)
    assert found.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted, atol=0.02, rtol=0.02)


@with_products
def test_packed__leaves_layers_of_users_alone() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    model = nn.Sequential(Doubled(4, 4), nn.Linear(4, 4))
    model[1].forward = lambda values: values  # a patch of a user
    values = torch.randn(2, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = model(values)
        PackedWeights(model).begin_batch()
        assert torch.equal(model(values), wanted)


@with_products
def test_packed__writes_the_same_answers(tiny_t5: str) -> None:
    model = AutoModelForSeq2SeqLM.from_pretrained(tiny_t5).bfloat16().eval()
    told = []
    for packed in (None, PackedWeights(model)):
        if packed is not None:
            packed.begin_batch()
        with torch.no_grad():
            found = model.generate(
                input_ids=IDS,
                max_new_tokens=6,
                output_logits=True,
                return_dict_in_generate=True,
                do_sample=False,
            )
        told.append(found.logits[0])
    torch.testing.assert_close(told[0], told[1], atol=0.05, rtol=0.05)


@with_products
def test_packed__sees_weights_that_change_between_batches(tiny_model: str) -> None:
    model = _model(tiny_model)
    packed = PackedWeights(model)
    for _ in range(3):
        wanted = _logits(model)
        packed.begin_batch()
        torch.testing.assert_close(_logits(model), wanted, atol=0.02, rtol=0.05)
        packed.end_batch()
        for weight in model.parameters():
            weight.data.mul_(1.5)  # unnoticed by torch


@with_products
def test_copy__made_while_a_batch_is_evaluated_is_a_plain_model(tiny_model: str) -> None:
    model = _model(tiny_model)
    packed = PackedWeights(model)
    packed.begin_batch()
    wanted = _logits(model)
    stream = io.BytesIO()
    torch.save(model, stream)
    stream.seek(0)
    for other in (copy.deepcopy(model), torch.load(stream, weights_only=False)):
        assert not any(isinstance(part, PackedLinear) for part in other.modules())
        torch.testing.assert_close(_logits(other), wanted, atol=0.01, rtol=0.02)
    packed.end_batch()


@with_products
def test_packed__leaves_layers_that_were_changed_since() -> None:
    layer = nn.Linear(3, 2)
    model = nn.Sequential(layer)
    packed = PackedWeights(model)
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    values = torch.randn(4, 3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = model(values)
        packed.begin_batch()
        assert torch.equal(model(values), wanted)
        packed.end_batch()
        assert torch.equal(model(values), wanted)


@with_products
def test_packed__is_compiled_as_a_plain_layer() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    PackedWeights(model).begin_batch()
    values = torch.randn(4, 3)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(values), model(values), atol=0.02, rtol=0.02)


@with_products
@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (nn.Linear(3, 2).double(), torch.randn(4, 3).double()),
        (nn.Linear(3, 2), torch.randn(4, 3).double()),
        (nn.Linear(3, 2).double(), torch.randn(4, 3)),
        (nn.Linear(3, 2), torch.randn(4, 5)),
        (nn.Linear(3, 2), torch.ones(4, 3, dtype=torch.int64)),
    ],
)
def test_packed__leaves_odd_products_to_torch(layer: nn.Linear, values: Tensor) -> None:
    told: list[object] = []
    packed = PackedWeights(layer)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for _ in range(2):
            try:
                told.append(layer(values))
            except RuntimeError as error:
                told.append(str(error))
            packed.begin_batch()
    plain, found = told
    assert type(plain) is type(found)
    if isinstance(plain, Tensor):
        assert isinstance(found, Tensor)
        assert found.dtype == plain.dtype
        assert torch.equal(found, plain)
    else:
        assert found == plain


# Whether there are packed weights.


def test_can_pack__where_the_library_says_so_and_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    make_up_products(monkeypatch)
    assert can_pack()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert can_pack()


def test_can_pack__not_where_the_processor_has_no_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbid_products(monkeypatch)
    assert not can_pack()


@pytest.mark.parametrize("result", ["error", "other numbers"])
def test_can_pack__not_where_the_library_says_so_and_does_not(
    result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_up_products(monkeypatch)

    def fail(*_: object) -> NoReturn:
        raise RuntimeError("could not create a primitive descriptor")

    wrong = fail if result == "error" else lambda values, *_: values
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", wrong)
    assert not can_pack()


@pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN")  # torch's, of the switch
def test_can_pack__not_where_the_library_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    make_up_products(monkeypatch)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not can_pack()


@pytest.mark.parametrize("machine", ["arm64", "aarch64", "ppc64le"])
def test_can_pack__not_on_other_processors(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_up_products(monkeypatch)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert not can_pack()


def test_can_pack__not_where_torch_is_built_without_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert not can_pack()
