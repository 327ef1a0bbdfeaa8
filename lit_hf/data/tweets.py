"""TweetDataModule: the columns of the Kaggle disaster tweets."""

from dataclasses import replace

from lit_hf.data.rows.text import TextColumns
from lit_hf.data.shared_settings import BatchSettings, LengthSettings, RowSettings
from lit_hf.data.sources.resolve import Split
from lit_hf.data.text_classification import TextClassificationDataModule
from lit_hf.functional.unpacking import Unpack
from lit_hf.pretrained.hf_objects import ProcessorSource


class TweetSettings(RowSettings, LengthSettings, BatchSettings, total=False):
    """What `TweetDataModule` hands on."""

    val_file: str | list[str] | None
    test_file: str | list[str] | None
    text_template: str | None
    label_names: list[str] | None


class TweetDataModule(TextClassificationDataModule):
    """Tweets as the Kaggle contest "Natural Language Processing with Disaster Tweets" has them.

    Columns id, keyword, location, text and target (0 or 1), and `submission.csv` when predicting.
    Of these text and target are needed, and where rows are predicted text and id.
    For other columns use `TextClassificationDataModule`.
    https://www.kaggle.com/competitions/nlp-getting-started

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the tweets; or a
            tokenizer.
        train_file: training rows, a path, a pattern or a list of them.
        max_length: longest tweet in tokens, longer ones are cut.
        val_fraction: share of the training rows set aside, by class, where there are no
            validation rows; 0 trains without validation.
        settings: those of `HFDataModule`, and `text_template` and `label_names`.
    """

    def __init__(
        self,
        model_name: ProcessorSource,
        train_file: str | list[str] | None = None,
        *,
        max_length: int | None = 128,
        val_fraction: float = 0.2,
        **settings: Unpack[TweetSettings],
    ) -> None:
        super().__init__(
            model_name,
            dataset=None,
            subset=None,
            train_file=train_file,
            column_names=None,
            text_column="text",
            pair_column=None,
            label_column="target",
            id_column="id",
            label_separator=",",
            problem_type="single_label",
            max_length=max_length,
            val_fraction=val_fraction,
            **settings,
        )

    def columns_of(self, split: Split) -> TextColumns:
        """As the contest has them; rows with targets need no id and are then numbered from 0."""
        columns = super().columns_of(split)
        is_named = any("id" in table.columns for table in self.tables(split))
        return columns if is_named or split == "predict" else replace(columns, id=None)
