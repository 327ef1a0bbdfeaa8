"""Rows and tiny random models for the faults."""

from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from tests.images import write_folder
from tests.tiny_models import write_bert, write_vit


def write_inputs(folder: Path) -> None:
    """Write models, rows and images."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # has no types
    for name, write in {"bert": write_bert, "vit": write_vit}.items():
        (folder / name).mkdir()
        write(folder / name)
    write_big(folder)
    write_rows(folder / "rows.csv", 44)
    write_folder(folder / "images", 44)


def write_rows(path: Path, number: int) -> None:
    """Write so many texts with ids and labels."""
    words = ["fire in town", "flood at the mill", "my new song about", "smoke over hill"]
    rows = [f"t{n},{words[n % 4] * (1 + n % 3)} {n},{n % 2}" for n in range(number)]
    path.write_text("\n".join(["id,text,label", *rows]) + "\n")


def write_big(folder: Path) -> None:
    """Write the same BERT with checkpoints of some 30 MB, which take a while to write."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig.from_pretrained(folder / "bert")
        config.update({"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 5})
        BertModel(config).save_pretrained(folder / "big_bert")
    tokenizer = AutoTokenizer.from_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "big_bert")
