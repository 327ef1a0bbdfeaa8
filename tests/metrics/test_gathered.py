"""Metrics over two processes of unequal rows, and the same rows in one process."""

import json
import textwrap

import pytest

from tests.processes import run_script

SCRIPT = """
    import json, sys
    from datetime import timedelta
    from pathlib import Path
    import torch, torch.distributed as dist, torch.multiprocessing as mp
    from torchmetrics.classification import MulticlassAUROC, MulticlassF1Score, MulticlassCohenKappa
    from torchmetrics.regression import PearsonCorrCoef, SpearmanCorrCoef
    from torchmetrics.text import BLEUScore, ROUGEScore
    from torchmetrics.wrappers import ClasswiseWrapper
    from lit_hf.batches import LossTerms
    from lit_hf.modules.stage_metrics import StageMetrics

    def first_and_count(predictions, labels):
        return {"first": float(predictions[0]), "rows": len(labels)}

    def rows(name, places):
        generator = torch.Generator().manual_seed(0)
        scores = torch.rand(7, 3, generator=generator)[places]
        labels = torch.tensor([0, 1, 2, 1, 0, 2, 2])[places]
        if name in ("spearman", "pearson"):
            return scores[:, 0], scores[:, 1]
        if name in ("overlap", "bleu"):
            texts = ["the old mill", "a boat by the river", "in 1921", "the ferry", "a", "b c", "d"]
            gold = [["the mill", "old mill"], ["a boat"], ["1921"], ["ferry"], ["a"], ["c"], ["e"]]
            return [texts[p] for p in places], [gold[p] for p in places]
        if name == "function":
            return scores.argmax(1), labels
        return scores.softmax(1), labels

    def metrics():
        return {
            "auroc": MulticlassAUROC(3), "kappa": MulticlassCohenKappa(3),
            "each": MulticlassF1Score(3, average="none"),
            "named": ClasswiseWrapper(MulticlassF1Score(3, average=None), labels=["x", "y", "z"]),
            "spearman": SpearmanCorrCoef(), "pearson": PearsonCorrCoef(), "bleu": BLEUScore(),
            "overlap": ROUGEScore(rouge_keys="rouge1"), "function": first_and_count,
        }

    def scored(parts):
        stage = StageMetrics({}, metrics())
        names = {id(metric): name for name, metric in stage.added.items()}
        for part in parts:
            ones = torch.ones(len(part))
            terms = LossTerms(ones, ones, torch.arange(len(part)))
            stage.update(terms, ones.bool(), lambda metric: rows(names[id(metric)], part), part)
        return {name: float(value) for name, value in stage.compute().items()}

    def work(rank, out):
        torch.set_num_threads(1)
        dist.init_process_group(
            "gloo", init_method=f"file://{out}/meeting", rank=rank, world_size=2,
            timeout=timedelta(seconds=60),
        )
        cuts = {"uneven": [[5, 0, 2], [3, 6, 1], [4]], "none": [list(range(7))], "nobody": []}
        shares = {"uneven": ([[5, 0, 2], [4]], [[3, 6, 1]]), "none": ([list(range(7))], []),
                  "nobody": ([], [])}
        found = {name: scored(share[rank]) for name, share in shares.items()}
        Path(out, f"{rank}.json").write_text(json.dumps(found))

    if __name__ == "__main__":
        out = sys.argv[1]
        mp.start_processes(work, (out,), nprocs=2, start_method="fork")
        alone = {"uneven": scored([[5, 0, 2], [3, 6, 1], [4]]), "none": scored([list(range(7))]),
                 "nobody": scored([])}
        Path(out, "alone.json").write_text(json.dumps(alone))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, float]]]:
    """What both processes have computed, and one alone."""
    folder = tmp_path_factory.mktemp("processes")
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    run_script(script, str(folder))
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("0", "1", "alone")}


@pytest.mark.parametrize("share", ["uneven", "none", "nobody"])
def test_numbers__are_those_of_one_process(
    found: dict[str, dict[str, dict[str, float]]], share: str
) -> None:
    """Also where one process, or each, was given no rows."""
    for process in ("0", "1"):
        assert found[process][share] == pytest.approx(found["alone"][share], abs=1e-6, nan_ok=True)


def test_numbers__of_rows_are_as_torchmetrics_computes_them(
    found: dict[str, dict[str, dict[str, float]]],
) -> None:
    values = found["0"]["uneven"]
    assert {"each_0", "each_1", "each_2", "overlap_rouge1_fmeasure", "first"} <= {*values}
    assert values["rows"] == 7
    assert values["named_multiclassf1score_x"] == pytest.approx(values["each_0"])
    known = {name: value for name, value in found["0"]["nobody"].items() if value == value}
    assert known == {"num_examples": 0}  # all others are NaN
