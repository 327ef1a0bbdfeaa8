"""Score extractive question answering on SQuAD, and check the scores by the official rules.

    python -m benchmarks.score_squad TRAIN_JSON DEV_JSON --model FOLDER_OR_HUB_ID --run-folder DIR

Runs the recipe (squad_v1 or squad_v2, by the version in TRAIN_JSON) with the command a user would
run: fit, validate, predict. Then `predictions.json` is scored a second time, by the second
implementation of the official rules that the tests use, and both are printed and written to
`benchmarks/results/`. Started again with the same folder it goes on where it stopped.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.record import record
from lit_hf.cli.command import main as lit_hf
from tests.official_squad import evaluate

ROOT = Path(__file__).parent.parent


def golds_of(path: Path) -> dict[str, list[str]]:
    """All right answers of each question of a SQuAD file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        question["id"]: [answer["text"] for answer in question["answers"]]
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    }


def run(*words: str) -> None:
    """Run the command, or stop with its exit code."""
    if code := lit_hf(words):
        sys.exit(code)


def compared(folder: Path, dev: Path) -> dict[str, Mapping[str, float]]:
    """The scores of the command, and those of the official rules on its predictions."""
    predictions = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return {"validate": results["validate"], "official": evaluate(predictions, golds_of(dev))}


def main() -> None:
    """Train, score twice, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train_json", type=Path)
    parser.add_argument("dev_json", type=Path)
    parser.add_argument("--model", required=True, help="folder or Hub id of the encoder")
    parser.add_argument("--run-folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--precision", default="bf16-mixed", help="as Lightning calls it")
    options = parser.parse_args()
    stated = json.loads(options.train_json.read_text(encoding="utf-8")).get("version", "1.1")
    recipe = "squad_v2" if "2" in str(stated) else "squad_v1"
    run(
        *("fit", "--config", str(ROOT / "configs" / "extractive_qa" / f"{recipe}.yaml")),
        *("--data.train_file", str(options.train_json), "--data.val_file", str(options.dev_json)),
        *("--model.model_name", options.model, "--samples.every_n_steps", "200"),
        *("--trainer.default_root_dir", str(options.run_folder)),
        *("--trainer.precision", options.precision),
        *("--trainer.max_epochs", str(options.epochs)),
    )
    run("validate", "--run", str(options.run_folder))
    run("predict", "--run", str(options.run_folder), "--data.predict_file", str(options.dev_json))
    scores = compared(options.run_folder, options.dev_json)
    summary = {
        "precision": options.precision,
        "epochs": options.epochs,
        **scores,
    }
    record(f"score_{recipe}", summary)
    for who, values in scores.items():
        print(who, {name: value for name, value in values.items() if not isinstance(value, str)})


if __name__ == "__main__":
    main()
