from pathlib import Path

import pytest

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.trained_weights import TrainedWeights
from tests.trainers import quiet_trainer

ROWS: list[dict[str, object]] = [
    {"text": "a fire", "label": "no"},
    {"text": "a party", "label": "yes"},
]


def _data(model: str) -> TextClassificationDataModule:
    return TextClassificationDataModule(model, label_names=["no", "yes"]).with_rows(
        train=ROWS, val=ROWS, test=ROWS, predict=ROWS
    )


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_weights__that_are_random_are_not_asked(verb: str, tiny_model: str, tmp_path: Path) -> None:
    trainer = quiet_trainer(callbacks=[TrainedWeights()], default_root_dir=tmp_path)
    module = TextClassifier(tiny_model, label_names=["no", "yes"])
    with pytest.raises(InputError, match=r"answers would be random \(missing: classifier"):
        getattr(trainer, verb)(module, _data(tiny_model))
    ready = TextClassifier(tiny_model, label_names=["no", "yes"])
    ready.save_pretrained(tmp_path / "ready")
    ready = TextClassifier(str(tmp_path / "ready"))
    getattr(trainer, verb)(ready, _data(tiny_model))


def test_weights__that_were_trained_are(tiny_model: str, tmp_path: Path) -> None:
    trainer = quiet_trainer(callbacks=[TrainedWeights()], default_root_dir=tmp_path, max_steps=1)
    module, data = TextClassifier(tiny_model, label_names=["no", "yes"]), _data(tiny_model)
    trainer.fit(module, data)
    trainer.validate(module, data, verbose=False)
