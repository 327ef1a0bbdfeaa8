import json
import re
import shutil
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelSummary, Timer

from lit_hf import (
    CropAndFlip,
    CutMix,
    ExtractiveQA,
    FreezeBackbone,
    ImageClassificationDataModule,
    TextClassificationDataModule,
    TextClassifier,
)
from lit_hf.callbacks.fingerprint import (
    changed_plan,
    differences,
    facts_of_data,
    facts_of_module,
    facts_of_plan,
    fingerprint,
)
from tests.images import drawn
from tests.trainers import quiet_trainer

Rows = list[dict[str, object]]
CONTENT = "content of the training rows"


def _facts(model: str, rows: Rows, **settings: Any) -> dict[str, Any]:  # noqa: ANN401 - of the data
    data = TextClassificationDataModule(model, **{"batch_size": 4, "val_fraction": 0, **settings})
    return dict(facts_of_data(data.with_rows(train=rows)))


def _names(before: Any, now: Any) -> set[str]:  # noqa: ANN401 - facts
    return {re.split(" was | has ", change)[0] for change in differences(before, now)}


def test_facts_of_data__change_with_what_decides_the_rows(
    tiny_model: str, tweet_rows: Rows
) -> None:
    same = _facts(tiny_model, tweet_rows)
    assert same == _facts(tiny_model, tweet_rows, num_workers=2, eval_batch_size=3)
    assert json.loads(json.dumps(same)) == same  # plain types
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"batch_size": 5}, {"data.batch_size"}),
        ({"seed": 1}, {"data.seed"}),
        ({"max_length": 5}, {CONTENT}),
        ({"text_template": "x {text}"}, {CONTENT}),
        ({"val_fraction": 0.25}, {"number of training rows", CONTENT}),
    ]
    for settings, names in cases:
        assert _names(same, _facts(tiny_model, tweet_rows, **settings)) == names, settings
    other = [*tweet_rows[:15], {**tweet_rows[15], "text": "no song at all"}]
    for rows in (other, tweet_rows[::-1]):
        assert _names(same, _facts(tiny_model, rows)) == {CONTENT}
    weighed = [{**row, "importance": n} for n, row in enumerate(tweet_rows)]
    found = _facts(tiny_model, weighed, weight_column="importance")
    assert _names(same, found) == {CONTENT, "data.weight_column"}


def test_facts_of_images__name_what_changes_them(tiny_vit: str) -> None:
    rows: Any = [{"image": drawn(n), "label": "ab"[n % 2]} for n in range(8)]

    def facts(**settings: Any) -> dict[str, Any]:  # noqa: ANN401 - settings of the data
        data = ImageClassificationDataModule(tiny_vit, val_fraction=0, **settings)
        return dict(facts_of_data(data.with_rows(train=rows)))

    same = facts()
    assert _names(same, facts(augmentations=[CropAndFlip(2)])) == {"data.augmentations"}
    assert _names(same, facts(mix_transforms=[CutMix()])) == {"data.mix_transforms"}
    assert "tokenizer or image processor" in _names(same, facts(image_size=16))


def test_tokenizer__is_known_by_its_tokens_alone(
    tiny_model: str, tweet_rows: Rows, tmp_path: Path
) -> None:
    data = TextClassificationDataModule(tiny_model, max_length=7).with_rows(train=tweet_rows)
    fresh = facts_of_data(data)
    data.processor(["a fire in the old town"], truncation=True, max_length=3, padding=True)
    data.save_processor(tmp_path)
    shutil.copy(Path(tiny_model) / "config.json", tmp_path)

    def again() -> dict[str, Any]:
        other = TextClassificationDataModule(str(tmp_path), max_length=7)
        return dict(facts_of_data(other.with_rows(train=tweet_rows)))

    assert fresh == facts_of_data(data) == again()
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"tsunami"', '"tsunamy"'))  # in none of these rows
    assert _names(fresh, again()) == {"tokenizer or image processor"}


def test_facts_of_a_module__are_the_settings_that_decide_its_weights(tiny_model: str) -> None:
    class Noisy(TextClassifier):
        def __init__(self, model: str, noise: float) -> None:
            super().__init__(model)
            self.noise = noise

    first, second = (facts_of_module(Noisy(tiny_model, noise)) for noise in (0.1, 0.2))
    assert _names(first, second) == {"model.noise"}
    plain = facts_of_module(ExtractiveQA(tiny_model))
    changed = facts_of_module(ExtractiveQA(tiny_model, num_best=3, scheduler="cosine"))
    assert _names(plain, changed) == {"model.scheduler"}


def test_fingerprint__knows_processes_and_callbacks_that_change_weights(tiny_model: str) -> None:
    class Noise(pl.Callback):
        changes_weights = True

    module = TextClassifier(tiny_model)

    def facts(*callbacks: pl.Callback, devices: int = 1) -> Any:  # noqa: ANN401 - facts
        return fingerprint(
            pl.Trainer(
                accelerator="cpu",
                logger=False,
                devices=devices,
                strategy="ddp",
                callbacks=list(callbacks),
            ),
            module,
        )

    same = facts(ModelSummary())
    assert differences(facts(devices=2), same) == ["number of processes was 2, is 1"]
    for callback in (FreezeBackbone(2), EMAWeightAveraging(), Noise()):
        assert _names(same, facts(callback)) == {"callback that changes the weights"}
    both = [FreezeBackbone(2), EMAWeightAveraging()]
    assert facts(*both) == facts(*both[::-1]) != facts(FreezeBackbone(1), both[1])


def test_plan__is_what_may_end_a_training() -> None:
    callbacks = [EarlyStopping("val/loss"), ModelSummary(), Timer({"hours": 1})]
    found = facts_of_plan(quiet_trainer(callbacks=callbacks, max_epochs=-1, max_steps=3))
    ending = str(found.pop("callback that may end the training"))
    times = {"max_epochs": None, "max_steps": 3, "max_time": 3600.0}
    assert found == {**times, "min_epochs": None, "min_steps": None}
    assert ending.startswith("EarlyStopping(")
    assert "ModelSummary" not in ending
    assert changed_plan({**found, "max_steps": 2}, found) == ["max_steps was 2, is 3"]


@pytest.mark.parametrize("name", ["model.new", "max_epochs"])
def test_difference__is_none_of_a_plan_or_a_new_setting(name: str) -> None:
    assert differences({"a": 1}, {"a": 1, name: 2}) == []
