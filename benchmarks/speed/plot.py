"""Draw how many times as fast lit_hf is as HF Trainer, from what `benchmarks.speed` has written.

python -m benchmarks.speed.plot docs/images/speed.png
"""

import argparse
import json
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.record import RESULTS, widest

WORKS = {"tweets": "tweets", "squad": "SQuAD windows", "images": "CIFAR-10"}
STAGES = {"train": "training", "validate": "evaluation", "predict": "prediction"}
THEM = {"trainer_best": ("its best flags", "#1f5fa8"), "trainer": ("its defaults", "#9dbfe3")}


def ratios(processor: str) -> dict[str, list[float]]:
    """For each of them how many times as fast lit_hf is, stage after stage of work after work."""
    found: dict[str, list[float]] = {who: [] for who in THEM}
    for work in WORKS:
        told = json.loads((RESULTS / f"speed_{work}_{processor}.json").read_text(encoding="utf-8"))
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
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("picture", type=Path, help="where to")
    parser.add_argument("--processor", default=widest(), help="as in the names of results")
    options = parser.parse_args()
    draw(ratios(options.processor)).savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
