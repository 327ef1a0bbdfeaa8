import sys
from pathlib import Path
from typing import ClassVar, cast

import pytest
from torch import Tensor, nn

from lit_hf import AttentionHead, InputError, MeanHead, TextClassifier
from lit_hf.modules.head_descriptions import build_head, describe_head

NAMES = ["anger", "joy", "optimism"]


class Scaled(nn.Module):
    """A user's own head: the first token, times a number."""

    def __init__(self, hidden_size: int, num_labels: int, scale: float = 2.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.scale = scale
        self.out = nn.Linear(hidden_size, num_labels)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return cast("Tensor", self.out(hidden_states[:, 0]) * self.scale)


class Forgetful(nn.Module):
    """Does not keep what it was made with."""

    def __init__(self, hidden_size: int, num_labels: int, width: int = 4) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_labels = num_labels
        self.layers = nn.Sequential(nn.Linear(hidden_size, width), nn.Linear(width, num_labels))

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        return cast("Tensor", self.layers(hidden_states[:, 0]))


@pytest.mark.parametrize("head", [MeanHead, AttentionHead, Scaled])
def test_description__builds_the_same_head(head: type[nn.Module]) -> None:
    made = head(8, 3, 0.25)
    spec = describe_head(made)
    again = build_head(spec)
    assert type(again) is head
    assert describe_head(again) == spec
    assert 0.25 in cast("dict[str, object]", spec["init_args"]).values()
    shapes = {name: weight.shape for name, weight in made.state_dict().items()}
    assert {name: weight.shape for name, weight in again.state_dict().items()} == shapes


def test_description__takes_changes() -> None:
    head = build_head(describe_head(MeanHead(8, 3, 0.25)), num_labels=5)
    assert isinstance(head, MeanHead)
    assert (head.num_labels, head.linear.out_features, head.dropout) == (5, 5, 0.25)


def test_head__that_forgets_an_argument_is_refused_before_training(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, head=Forgetful)
    with pytest.raises(
        InputError, match=r"Forgetful.*`self\.width`, a plain value \(it is not there\)"
    ):
        _ = module.model


def test_head__of_a_class_inside_a_function_is_refused_before_training(tiny_model: str) -> None:
    class Hidden(MeanHead):
        pass

    module = TextClassifier(tiny_model, NAMES, head=Hidden)
    with pytest.raises(InputError, match=r"Hidden.*top of a module.*<locals>"):
        _ = module.model


def test_build__imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "not_yet_imported.py").write_text(
        "from lit_hf import MeanHead\nclass Head(MeanHead): pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec: dict[str, object] = {
        "class": "not_yet_imported.Head",
        "init_args": {"hidden_size": 4, "num_labels": 2},
    }
    with pytest.raises(InputError, match="`import not_yet_imported` first"):
        build_head(spec)
    assert "not_yet_imported" not in sys.modules
    __import__("not_yet_imported")
    try:
        assert isinstance(build_head(spec), MeanHead)
    finally:
        del sys.modules["not_yet_imported"]


def test_build__of_a_class_of_a_notebook_says_so() -> None:
    with pytest.raises(InputError, match="in a notebook or script, define Head in this one first"):
        build_head({"class": "__main__.Head", "init_args": {}})


@pytest.mark.parametrize("path", ["os.system", "pathlib.Path", "lit_hf", "", "None"])
def test_build__makes_nothing_but_modules(path: str) -> None:
    with pytest.raises(InputError, match="is not known here"):
        build_head({"class": path, "init_args": {}})


class Loader(nn.Module):
    """No head: like others that a program imports, it loads what its argument names."""

    loaded: ClassVar[list[str]] = []

    def __init__(self, name: str, num_labels: int = 2) -> None:
        super().__init__()
        self.name, self.num_labels = name, num_labels
        self.loaded.append(name)


@pytest.mark.parametrize(
    "arguments", [{"name": "someone/model"}, {"name": True, "num_labels": 2}, {}, {"num_labels": 2}]
)
def test_build__makes_no_module_that_is_no_head(arguments: dict[str, object]) -> None:
    path = f"{Loader.__module__}.Loader"
    with pytest.raises(InputError, match=r"Loader: the first two arguments .* width"):
        build_head({"class": path, "init_args": arguments})
    with pytest.raises(InputError, match=r"Sequential: the first two arguments .* width"):
        build_head({"class": "torch.nn.Sequential", "init_args": {}})
    assert not Loader.loaded


def test_head__of_other_arguments_is_refused_before_training(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, NAMES, head=lambda _, num: Loader("x", num))
    with pytest.raises(InputError, match=r"Loader: the first two arguments .* width"):
        _ = module.model
