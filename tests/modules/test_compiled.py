from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from lit_hf import TextClassificationDataModule, TextClassifier
from lit_hf.modules.compiled import names_in, plain_model
from tests.trainers import quiet_trainer


def test_compiled_model__saves_loads_and_exports_by_plain_names(
    tiny_model: str, tweet_rows: list[dict[str, object]], tmp_path: Path
) -> None:
    module = TextClassifier(tiny_model, ["0", "1"])
    plain = module.model
    module.model = torch.compile(plain, backend="eager")  # type: ignore[assignment]  # a wrapper
    assert plain_model(module.model) is plain
    data = TextClassificationDataModule(tiny_model, batch_size=8).with_rows(train=tweet_rows)
    trainer = quiet_trainer(max_epochs=1, default_root_dir=tmp_path)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = TextClassifier.load_from_checkpoint(tmp_path / "a.ckpt", map_location="cpu")
    weights = dict(loaded.model.named_parameters())
    assert all(torch.equal(weights[name], value) for name, value in plain.named_parameters())
    module.save_pretrained(tmp_path / "saved")
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert torch.equal(
        saved.get_parameter("classifier.weight"), plain.get_parameter("classifier.weight")
    )


def test_names__follow_a_model_that_is_compiled_by_now(tiny_model: str) -> None:
    module = TextClassifier(tiny_model, ["a", "b"])
    plain = module.model
    weights = {name: value + 1 for name, value in module.state_dict().items()}
    module.model = torch.compile(plain, backend="eager")  # type: ignore[assignment]  # a wrapper
    assert set(names_in(module, weights)) == set(module.state_dict())
    module.load_state_dict(weights)
    assert torch.equal(plain.get_parameter("classifier.bias"), weights["model.classifier.bias"])
