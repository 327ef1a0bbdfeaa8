import pytest

from lit_hf import (
    ExtractiveQADataModule,
    GenerativeQADataModule,
    HFDataModule,
    ImageClassificationDataModule,
    TextClassificationDataModule,
    TweetDataModule,
)
from lit_hf.data.sources.missing import STAGES, no_rows, sources_of

DATA = [
    TextClassificationDataModule,
    ImageClassificationDataModule,
    ExtractiveQADataModule,
    GenerativeQADataModule,
]


@pytest.mark.parametrize("kind", DATA)
def test_split__without_rows_names_the_arguments_that_give_some(kind: type[HFDataModule]) -> None:
    for split in (splits[0] for splits in STAGES.values()):
        assert sources_of(kind, split) == [f"{split}_file", "dataset"]
        told = str(no_rows(kind, split, None))
        assert told.startswith(f"no {split} rows: set `{split}_file` or `dataset`, or call `with_")
        assert f"({split}=…)" in told


def test_split__that_a_dataset_lacks_names_the_file_alone() -> None:
    told = str(no_rows(TextClassificationDataModule, "test", "tweets"))
    assert told == "no test rows in `dataset` 'tweets': set `test_file`."


def test_split__of_a_class_without_such_arguments() -> None:
    assert sources_of(TweetDataModule, "test") == ["test_file"]
    assert str(no_rows(object, "test", None)) == "no test rows: call `with_rows(test=…)`."
