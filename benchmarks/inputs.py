"""Tiny random models and rows for the four tasks; `python -m benchmarks.inputs FOLDER`.

As a script it runs in an environment that is tried: models and tokenizers are those of its
libraries. Prints the processor.
"""

import json
import sys
from pathlib import Path

from benchmarks.record import processor
from tests.images import write_folder
from tests.tiny_models import paragraph_rows, write_bert, write_t5, write_vit


def write_inputs(folder: Path, num_rows: int = 40, num_questions: int = 24) -> None:
    """Write folders bert, t5, vit and images, files texts.csv and questions.jsonl.

    Args:
        folder: where to.
        num_rows: texts, and images.
        num_questions: on contexts of several sentences.
    """
    for name, write in {"bert": write_bert, "t5": write_t5, "vit": write_vit}.items():
        (folder / name).mkdir()
        write(folder / name)
    rows = "".join(f"{number},fire in town {number},{number % 2}\n" for number in range(num_rows))
    (folder / "texts.csv").write_text(f"id,text,label\n{rows}")
    questions = [json.dumps(row) for row in paragraph_rows()[:num_questions]]
    (folder / "questions.jsonl").write_text("\n".join(questions) + "\n")
    write_folder(folder / "images", num_rows)


if __name__ == "__main__":
    write_inputs(Path(sys.argv[1]))
    print(processor())
