"""Measure lit_hf on a GPU, beside HF Trainer with its best flags: speed, memory, scores, resume.

    python -m benchmarks.gpu --out RESULTS_FOLDER

Four works in bf16-mixed and in 16-mixed: tweets (text classification, MiniLM-L6's form), squad
(extractive questions, BERT-base's), t5 (generative ones, T5-small's) and images (ViT-B/16's). Both
train for one epoch and evaluate, in alternating rounds, each in a process of its own, behind a
round that warms up. And trainings are killed by SIGKILL in mid-epoch and resumed by the same
command: are the weights those of an undisturbed one?

Needs no network: rows come from the repository, models from configs with random weights. With
--model the two encoders are pretrained; half precision does for their files, such as

    AutoModel.from_pretrained(NAME).half().save_pretrained(FOLDER); and the same of its tokenizer

Writes gpu_NAME.json and, rendered from it, gpu_NAME.md after each part, so that a run that is cut
leaves a table. A part that fails is written down, and the exit code is 1 in the end.
"""

import json
import signal
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from datasets.utils import disable_progress_bars

from benchmarks.arguments import model_name, parser_of
from benchmarks.gpu.budget import Budget, Outcome, run_all, unreached
from benchmarks.gpu.device import accelerator, device_name, machine, slug
from benchmarks.gpu.parts import NAMES, parts_of, variables_of, workers_of
from benchmarks.gpu.scale import LARGE, TINY
from benchmarks.gpu.table import progress, render
from benchmarks.record import PACKAGES, record


class Writer:
    """Writes all outcomes so far, as JSON and as a page, and tells of the last one.

    Args:
        options: of the command line.
        budget: the time.
    """

    def __init__(self, options: Namespace, budget: Budget) -> None:
        self.folder, self.budget, self._begin = options.out, budget, time.monotonic()
        self.name = f"gpu_{slug(device_name())}{'_tiny' * options.tiny}"
        pretrained = f"of {Path(options.model or '').name} in tweets and squad, else random"
        self.about = {
            "title": f"lit_hf and HF Trainer on {device_name()}{', tiny sizes' * options.tiny}",
            "weights": pretrained if options.model else "random",
        }

    def write(self, outcomes: dict[str, Outcome]) -> Path:
        """Write the files; the path of the JSON."""
        seconds = round(time.monotonic() - self._begin, 1)
        found = {**self.about, "seconds": seconds, "parts": outcomes}
        path = record(self.name, found, machine(), (*PACKAGES, "accelerate"), self.folder)
        page = render(json.loads(path.read_text(encoding="utf-8")))
        path.with_suffix(".md").write_text(page, encoding="utf-8")
        return path

    def tell(self, part: str, outcomes: dict[str, Outcome]) -> None:
        """Write the files, and print a line for a part that is over."""
        self.write(outcomes)
        number = f"[{list(outcomes).index(part) + 1}/{len(outcomes)}]"
        print(number, progress(part, outcomes[part], self.budget.left()), flush=True)


def parsed(args: Sequence[str] | None) -> Namespace:
    """The options of the command line."""
    parser = parser_of("benchmarks.gpu", __doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument(
        "--minutes", type=float, default=8, help="all that it may take (%(default)s)"
    )
    parser.add_argument("--model", type=model_name, help="folder of a pretrained BERT-like encoder")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="PART", help=", ".join(NAMES)
    )
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to try it on a CPU")
    options = parser.parse_args(args)
    if accelerator() == "cpu" and not options.tiny:
        parser.error("PyTorch sees no GPU here; --tiny tries the script on a CPU")
    return options


def main(args: Sequence[str] | None = None) -> int:
    """Measure, write and print.

    Args:
        args: of the command line; those of this process unless given.

    Returns:
        The exit code: 1 if a part failed.
    """
    options = parsed(args)
    budget = Budget(options.minutes)
    writer = Writer(options, budget)
    disable_progress_bars()
    scale = TINY if options.tiny else LARGE
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        home = Path(name)
        variables = variables_of(scale, home)
        workers = workers_of(variables, home)
        try:
            for worker in workers.values():
                worker.begin()
            parts = parts_of(options.only, scale, options.model, workers, variables, home)
            writer.write(unreached(parts))
            outcomes = run_all(parts, budget, writer.tell)
        finally:
            for worker in workers.values():
                worker.close()
    path = writer.write(outcomes)
    print(f"wrote {path} and {path.with_suffix('.md').name}")
    return int(any(outcome["state"] == "failed" for outcome in outcomes.values()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the workers as well
    sys.exit(main())
