from pathlib import Path

import pytest

from lit_hf import InputError
from lit_hf.cli.command import main
from lit_hf.cli.secret_settings import check_secrets
from lit_hf.functional.credentials import without_secrets

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"trainer": {"logger": {"api_key": SECRET}}}, "trainer.logger.api_key"),
        ({"trainer": {"logger": [{"wandb_token": 1, "token": SECRET}]}}, "trainer.logger.token"),
        ({"data": {"train_file": f"https://me:{SECRET}@example.org/a"}}, "data.train_file"),
        ({"data": {"init_args": {"train_file": f"s3://{SECRET}@b/a"}}}, "data.train_file"),
        ({"data": {"val_file": ["a.csv", f"s3://{SECRET}@example.org"]}}, "data.val_file"),
        ({"logger": {"uri": f"https://example.org/?sig={SECRET}"}}, "logger.uri"),
    ],
)
def test_secrets__are_refused_by_name_and_hidden(settings: dict[str, object], name: str) -> None:
    with pytest.raises(InputError, match=f"`{name}` holds a password or key") as caught:
        check_secrets(settings)
    assert SECRET not in str(caught.value)
    assert SECRET not in str(without_secrets(settings))


def test_settings__that_are_no_secrets_stay() -> None:
    plain = {
        "api_key": None,
        "title": "***",
        "pad_token_id": 3,
        "tokenizer": "a@b",
        "betas": (0.9, 0.999),
        "train_file": ["/home/me@work/train.csv", "https://example.org/a@b", "c:\\a"],
        "mail": "https and me@example.org",
    }
    check_secrets(plain)
    assert without_secrets(plain) == plain


@pytest.mark.parametrize(
    "settings",
    [{"api_key": "***"}, {"uri": "https://***@e.org"}, {"x": ["https://e.org/?sig=***"]}],
)
def test_stars__of_a_file_of_settings_are_no_value(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"`logger\.\w+` holds stars in place of a password"):
        check_secrets({"logger": settings})


def test_command__shows_no_secret_that_it_was_given(
    tiny_model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = Path(__file__).parents[2] / "configs" / "text_classification" / "demo.yaml"
    monkeypatch.chdir(tmp_path)
    logger = "lightning.pytorch.loggers.CometLogger"
    words = ["fit", "--config", str(recipe), "--model.model_name", tiny_model]
    keys = [*words, "--trainer.logger", logger, "--trainer.logger.api_key", SECRET]
    assert main([*keys, "--print_config"]) == 0
    assert main(keys) == 2
    for name in ("ckpt_path", "data.train_file", "trainer.default_root_dir", "config"):
        for address in (f"https://me:{SECRET}@example.org/a", f"https://e.org/a?sig={SECRET}"):
            assert main([*words, f"--{name}", address]) == 2
            assert main([*words, f"--{name}", address, "--print_config"]) == 2 * (name == "config")
    told = capsys.readouterr()
    assert "api_key: '***'" in told.out
    assert "`trainer.logger.api_key` holds a password" in told.err
    assert SECRET not in told.out + told.err
    assert not list(tmp_path.iterdir())
