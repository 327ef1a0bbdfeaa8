"""Draw how many times as fast lit_hf is as HF Trainer, from what `benchmarks.speed` has written.

python -m benchmarks.speed.plot docs/images/speed.png
"""

import json
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.arguments import parser_of
from benchmarks.record import RESULTS, widest

WORKS = {"tweets": "tweets", "squad": "SQuAD windows", "images": "CIFAR-10"}
STAGES = {"train": "training", "validate": "evaluation", "predict": "prediction"}
THEM = {"trainer_best": ("its best flags", "#1f5fa8"), "trainer": ("its defaults", "#9dbfe3")}


def ratios(folder: Path, processor: str) -> dict[str, list[float]]:
    """For each of them how many times as fast lit_hf is, stage after stage of work after work.

    Args:
        folder: of the results.
        processor: as their names end.

    Raises:
        SystemExit: if a work has not been timed.
    """
    found: dict[str, list[float]] = {who: [] for who in THEM}
    for work in WORKS:
        path = folder / f"speed_{work}_{processor}.json"
        if not path.is_file():
            raise SystemExit(f"there is no {path}: `python -m benchmarks.speed {work} …` writes it")
        told = json.loads(path.read_text(encoding="utf-8"))
        for who in THEM:
            found[who] += [told["who"][who]["ratio"][stage] for stage in STAGES]
    return found


def draw(found: dict[str, list[float]]) -> Figure:
    """Bars, two for each stage of each work, and a line where both are equally fast."""
    figure = Figure(figsize=(8, 4.4), layout="constrained")
    axes = figure.subplots()
    names = [f"{work}, {stage}" for work in WORKS.values() for stage in STAGES.values()]
    for shift, (who, (label, colour)) in zip((-0.2, 0.2), THEM.items(), strict=True):
        places = [number + shift for number in range(len(names))]
        bars = axes.barh(places, found[who], height=0.38, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f ×", padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as HF Trainer with")
    axes.legend(frameon=False, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)
    return figure


def main() -> None:
    """Draw and save."""
    parser = parser_of("benchmarks.speed.plot", __doc__)
    parser.add_argument("picture", type=Path, help="where to, such as speed.png")
    parser.add_argument("--processor", default=widest(), help="as in the names of results")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    draw(ratios(options.results, options.processor)).savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
