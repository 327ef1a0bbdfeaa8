import logging
from pathlib import Path

import pytest

from lit_hf import InputError, TextClassificationDataModule, TweetDataModule
from lit_hf.data.sources.stages import no_rows, sources_of


def _csv(path: Path, num_rows: int) -> str:
    rows = [f"row {path.stem} {number},{number % 2}" for number in range(num_rows)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


def test_split__without_rows_names_the_arguments_that_give_some() -> None:
    kind = TextClassificationDataModule
    assert "set `test_file` or `dataset`, or call `with_rows(test=…)`" in str(
        no_rows(kind, "test", None)
    )
    assert "in `dataset` 'tweets': set `test_file`, or" in str(no_rows(kind, "test", "tweets"))
    assert sources_of(TweetDataModule, "test") == ["test_file"]
    assert str(no_rows(object, "test", None)) == "no test rows: call `with_rows(test=…)`."


def test_files__of_each_split_are_named_once(
    tiny_model: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train = [_csv(tmp_path / f"{number}.csv", 5) for number in range(4)]
    test = _csv(tmp_path / "test.csv", 4)
    data = TextClassificationDataModule(tiny_model, train_file=train, test_file=test)
    with caplog.at_level(logging.INFO, "lit_hf"):
        for stage in ("fit", "fit", "test"):
            data.setup(stage)
    shown = f"{', '.join(train[:3])} and 1 more"
    assert [line for line in caplog.messages if "rows: " in line] == [
        f"Training rows: 18 of {shown}; validation rows: 2 of {shown}, set aside "
        "(`val_fraction` 0.1).",
        f"Test rows: 4 of {test}.",
    ]


@pytest.mark.parametrize("shared", ["a.csv", "link.csv", "[ab].csv"])
def test_files__that_are_trained_and_validated_are_refused(
    shared: str, tiny_model: str, tmp_path: Path
) -> None:
    train = _csv(tmp_path / "a.csv", 20)
    _csv(tmp_path / "b.csv", 20)
    (tmp_path / "link.csv").symlink_to(train)
    data = TextClassificationDataModule(
        tiny_model, train_file=train, val_file=str(tmp_path / shared)
    )
    with pytest.raises(InputError, match="these rows are trained"):
        data.setup("fit")
    data.setup("validate")  # by itself it is a file as any other
    assert data.splits["val"].num_rows == (40 if "[" in shared else 20)
