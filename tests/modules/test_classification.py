"""What classifiers of texts and of images share: classes, metrics, and which class F1 is of."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score

from lit_hf import (
    HFDataModule,
    ImageClassificationDataModule,
    ImageClassifier,
    InputError,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.checkpointing.reader import read_checkpoint
from tests.images import drawn

MakeTrainer = Callable[..., pl.Trainer]
NAMES = ["no", "yes"]
LABELS = ["no", "yes", "no", "no", "yes", "no", "yes"]
Make = Callable[..., tuple[pl.LightningModule, HFDataModule]]


@pytest.fixture(params=["texts", "images"])
def make(request: pytest.FixtureRequest, tiny_model: str, tiny_vit: str) -> Make:
    """Makes a module and rows of two classes, of texts and of images."""

    def run(**settings: Any) -> tuple[pl.LightningModule, HFDataModule]:  # noqa: ANN401 - of either class
        if request.param == "texts":
            rows = [{"text": f"a fire {n}", "label": name} for n, name in enumerate(LABELS)]
            data = TextClassificationDataModule(tiny_model, val_fraction=0).with_rows(
                train=rows, val=rows, test=rows
            )
            return TextClassifier(tiny_model, **settings), data
        pictures = [{"image": drawn(n), "label": name} for n, name in enumerate(LABELS)]
        images = ImageClassificationDataModule(tiny_vit, val_fraction=0).with_rows(
            train=pictures, val=pictures, test=pictures
        )
        return ImageClassifier(tiny_vit, **settings), images

    return run


def _validated(
    trainer: pl.Trainer, made: tuple[Any, HFDataModule], path: Path | None = None
) -> float:
    (scores,) = trainer.validate(*made, ckpt_path=path, weights_only=True, verbose=False)
    return float(scores["val/f1"])


def _wanted(made: tuple[Any, HFDataModule], positive: int) -> float:
    module, data = made
    truth: list[int] = []
    answers: list[int] = []
    module.train(False)  # no dropout
    for batch in data.val_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        with torch.no_grad():
            answers += module(batch).logits.argmax(1).tolist()
        truth += batch["labels"].tolist()
    return float(f1_score(truth, answers, pos_label=positive))


@pytest.mark.parametrize(("positive", "number"), [(None, 1), ("yes", 1), ("no", 0)])
def test_f1__is_that_of_the_positive_class(
    make: Make, make_trainer: MakeTrainer, positive: str | None, number: int
) -> None:
    made = make(positive_label=positive)
    module: Any = made[0]
    found = _validated(make_trainer(), made)
    assert found == pytest.approx(_wanted(made, number), abs=1e-6)
    assert module.positive_label == NAMES[number]
    assert module.label_names == NAMES
    assert module.model.config.id2label == {0: "no", 1: "yes"}


def test_positive__of_a_checkpoint_is_used_where_none_is_chosen(
    make: Make, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    pl.seed_everything(1, verbose=False)
    module, data = made = make(positive_label="no")
    trainer = make_trainer(max_steps=1)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert read_checkpoint(tmp_path / "a.ckpt")["hyper_parameters"]["positive_label"] == "no"
    own, other = _wanted(made, 0), _wanted(made, 1)
    assert own != other
    path = tmp_path / "a.ckpt"
    assert _validated(make_trainer(), make(), path) == pytest.approx(own, abs=1e-6)
    chosen = make(positive_label="yes")
    assert _validated(make_trainer(), chosen, path) == pytest.approx(other, abs=1e-6)
    kind: Any = type(module)
    again = kind.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert again.positive_label == "no"
    assert _validated(make_trainer(), (again, data)) == pytest.approx(own, abs=1e-6)


def test_positive__that_is_another_one_than_before_does_not_go_on(
    make: Make, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "a.ckpt"
    trainer = make_trainer(max_steps=1)
    trainer.fit(*make())
    trainer.save_checkpoint(path)
    with pytest.raises(InputError, match="`positive_label` is 'no', that of the checkpoint 'yes'"):
        make_trainer(max_steps=2).fit(*make(positive_label="no"), ckpt_path=path, weights_only=True)
    for same in ("yes", None):
        module, data = make(positive_label=same)
        make_trainer(max_steps=2).fit(module, data, ckpt_path=path, weights_only=True)
        assert getattr(module, "positive_label") == "yes"  # noqa: B009 - of either class


# Metrics.


def _with_model(model: str, num_labels: int, **settings: Any) -> TextClassifier:  # noqa: ANN401 - of the class
    names = [f"class {n}" for n in range(num_labels)]
    module = TextClassifier(model, names, pretrained=False, **settings)
    module.configure_model()
    return module


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("num_classes", [2, 7])
def test_confusion_matrix__is_that_of_sklearn_without_copies(
    tiny_model: str, num_classes: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(47, num_classes, generator=generator)
    labels = torch.randint(0, num_classes - 1, (47,), generator=generator)  # one is never right
    copies = torch.arange(47) % 5 == 4
    module = _with_model(tiny_model, num_classes)

    def count(rows: torch.Tensor, are_copies: torch.Tensor) -> None:
        batch: Any = {"labels": labels[rows]}
        scores = module.decode(batch, {"logits": logits[rows]})
        module.count(batch, scores, are_copies.logical_not(), "val")

    for rows in torch.split(torch.arange(47), 10):
        count(rows, copies[rows])
    count(torch.arange(2), torch.ones(2, dtype=torch.bool))
    found = module.confusion_matrix("val")
    assert found is not None
    numbers = list(range(num_classes))
    wanted = confusion_matrix(labels[~copies], logits[~copies].argmax(1), labels=numbers)
    assert found.tolist() == wanted.tolist()
    assert found.dtype is torch.int64
    assert "confusion" not in str(module.state_dict().keys())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = module.confusion_matrix("test")
        module.reset_metrics("val")
        forgotten = module.confusion_matrix("val")
    for matrix in (empty, forgotten):
        assert matrix is not None
        assert int(matrix.sum()) == 0


# The loss.


def _alike(make: Make, label: str) -> tuple[pl.LightningModule, HFDataModule]:
    """The same rows, of which those of validation and test are of one class."""
    module, data = make(label_names=NAMES)
    rows = [row for _, row in data.tables("train")[0].rows() if row["label"] == label]
    return module, data.with_rows(val=rows, test=rows)


@pytest.mark.parametrize("label", NAMES)
def test_rows__of_one_class_are_told(
    make: Make, make_trainer: MakeTrainer, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = _alike(make, label)
    wanted = f": all rows are of the class {label!r}"
    for run, stage in ((make_trainer().validate, "val"), (make_trainer().test, "test")):
        caplog.clear()
        with caplog.at_level("WARNING", "lit_hf"):
            run(*made, verbose=False)
        assert f"`{stage}`{wanted}" in caplog.text


NUMBERED = ["2", "3", "1"]


def _numbered(
    model: str, train: list[int] | None, test: list[int]
) -> tuple[TextClassifier, TextClassificationDataModule]:
    """Names that are numbers, other ones than those of their classes."""
    data = TextClassificationDataModule(model, label_names=NUMBERED, val_fraction=0)
    split = {"train": train, "test": test}
    rows = {
        name: [{"text": f"a fire {n}", "label": label} for n, label in enumerate(labels)]
        for name, labels in split.items()
        if labels is not None
    }
    return TextClassifier(model, label_names=NUMBERED), data.with_rows(**rows)


def test_reading__of_numbers_is_kept_and_another_one_is_refused(
    tiny_model: str, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """Without the training rows a 1 would be the last class in place of the second one."""
    trainer, path = make_trainer(max_steps=1), tmp_path / "a.ckpt"
    module, data = _numbered(tiny_model, [0, 1, 2], [1, 2])
    trainer.fit(module, data)
    trainer.save_checkpoint(path)
    assert read_checkpoint(path)["lit_hf"]["labels_are"] == "numbers"
    test = make_trainer().test
    test(*_numbered(tiny_model, [0, 1, 2], [1, 2]), ckpt_path=path, weights_only=True)
    again = TextClassifier.load_from_checkpoint(path, weights_only=True)
    test(again, data, verbose=False)
    other, alone = _numbered(tiny_model, None, [1, 2])
    for module, held in ((other, path), (again, None)):
        with pytest.raises(InputError, match=r"read as names of the classes .* their numbers"):
            test(module, alone, ckpt_path=held, weights_only=True)
    make_trainer().predict(again, alone.with_rows(predict=[{"text": "a fire"}]))
    trainer = make_trainer(max_steps=2)
    with pytest.raises(InputError, match="read as names"):
        trainer.fit(*_numbered(tiny_model, [1, 2, 3], [1]), ckpt_path=path, weights_only=True)


def test_loaders__without_their_data_of_other_classes_are_refused(
    tiny_model: str, make_trainer: MakeTrainer
) -> None:
    rows = [{"text": f"text {number}", "label": ("no", "yes")[number % 2]} for number in range(8)]
    data = TextClassificationDataModule(tiny_model, val_fraction=0)
    data.with_rows(train=rows, val=rows, test=rows)
    for names, is_right in ((["no", "yes"], True), (["yes", "no"], False)):
        module, trainer = TextClassifier(tiny_model, label_names=names), make_trainer(max_epochs=1)
        calls: list[tuple[Callable[..., object], object, str]] = [
            (trainer.fit, data.train_dataloader(), "Give the module `label_names="),
            (trainer.validate, data.val_dataloader(), "Give the data `label_names=module"),
            (trainer.test, data.test_dataloader(), "Give the data `label_names=module"),
        ]
        for call, loader, remedy in calls:
            if is_right:
                call(module, loader)
                continue
            with pytest.raises(InputError, match=remedy):
                call(module, loader)
