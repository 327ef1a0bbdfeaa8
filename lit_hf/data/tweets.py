"""TweetDataModule: the columns of the Kaggle disaster tweets."""

from dataclasses import replace
from typing import Literal

from lit_hf.data.examples import TextColumns
from lit_hf.data.sources import Split
from lit_hf.data.text_classification import TextClassificationDataModule


class TweetDataModule(TextClassificationDataModule):
    """Tweets as the Kaggle contest "Natural Language Processing with Disaster Tweets" has them.

    Columns id, keyword, location, text and target (0 or 1), and `submission.csv` when predicting.
    Of these text and target are needed, and where rows are predicted text and id.
    For other columns use `TextClassificationDataModule`.
    https://www.kaggle.com/competitions/nlp-getting-started

    Args:
        model_name: Hub id or folder of the model whose tokenizer encodes the tweets.
        train_file: training rows, a path, a pattern or a list of them.
        val_file: validation rows; without them a part of the training rows is set aside.
        test_file: test rows, with targets.
        predict_file: rows to predict, such as Kaggle's test.csv.
        text_template: text built from several columns, such as "{keyword}: {text}".
        label_names: names of the classes 0 and 1; without them "0" and "1".
        max_length: longest tweet in tokens, longer ones are cut.
        val_fraction: share of the training rows set aside, by class, where there are no
            validation rows; 0 trains without validation.
        batch_size: training tweets a batch on each device.
        eval_batch_size: tweets a batch when validating, testing and predicting.
        num_workers: processes that load batches; 0 loads in the training process.
        on_bad_row: "error" stops before training with a report, "skip" leaves bad rows out with
            the same report; rows to predict are never left out.
        seed: seed of the validation split and of the order of the training rows.
        num_grouped: batches over which tweets are sorted by length, to need little padding; 1 sorts
            none.
        max_tokens: most tokens of a batch, padding counted; it holds at most `batch_size` tweets.
        pad_to_multiple_of: tweets are padded to a multiple of it: few batch shapes.
    """

    def __init__(
        self,
        model_name: str,
        train_file: str | list[str] | None = None,
        val_file: str | list[str] | None = None,
        test_file: str | list[str] | None = None,
        predict_file: str | list[str] | None = None,
        text_template: str | None = None,
        label_names: list[str] | None = None,
        max_length: int | None = 128,
        val_fraction: float = 0.2,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        num_workers: int = 0,
        on_bad_row: Literal["error", "skip"] = "error",
        seed: int = 0,
        num_grouped: int = 50,
        max_tokens: int | None = None,
        pad_to_multiple_of: int = 1,
    ) -> None:
        super().__init__(
            model_name=model_name,
            train_file=train_file,
            val_file=val_file,
            test_file=test_file,
            predict_file=predict_file,
            text_column="text",
            label_column="target",
            id_column="id",
            text_template=text_template,
            label_names=label_names,
            max_length=max_length,
            val_fraction=val_fraction,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            on_bad_row=on_bad_row,
            seed=seed,
            num_grouped=num_grouped,
            max_tokens=max_tokens,
            pad_to_multiple_of=pad_to_multiple_of,
        )

    def columns_of(self, split: Split) -> TextColumns:
        """As the contest has them; rows with targets need no id and are then numbered from 0."""
        columns = super().columns_of(split)
        is_named = any("id" in table.columns for table in self.tables(split))
        return columns if is_named or split == "predict" else replace(columns, id=None)
