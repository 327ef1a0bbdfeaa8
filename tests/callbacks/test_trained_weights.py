from pathlib import Path

import pytest

from lit_hf import InputError, TextClassificationDataModule, TextClassifier
from lit_hf.callbacks.trained_weights import TrainedWeights
from tests.trainers import quiet_trainer

ROWS: list[dict[str, object]] = [{"text": "a", "label": "no"}, {"text": "b", "label": "yes"}]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_weights__that_are_random_are_not_used(verb: str, tiny_model: str, tmp_path: Path) -> None:
    data = TextClassificationDataModule(tiny_model, label_names=["no", "yes"])
    data.with_rows(train=ROWS, val=ROWS, test=ROWS, predict=ROWS)
    trainer = quiet_trainer(callbacks=[TrainedWeights()], default_root_dir=tmp_path, max_steps=1)
    module = TextClassifier(tiny_model, label_names=["no", "yes"])
    with pytest.raises(InputError, match="would be random"):
        getattr(trainer, verb)(module, data)
    module.save_pretrained(tmp_path / "ready")
    getattr(trainer, verb)(TextClassifier(str(tmp_path / "ready")), data)
    trainer.fit(module, data)
    getattr(trainer, verb)(module, data)
