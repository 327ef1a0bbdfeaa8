import pickle
import subprocess
import sys
from pathlib import Path

from datasets import Dataset

from lit_hf.data.sampling.encoded_rows import EncodedRows, SampledRow


def test_rows__by_picks_or_by_number_of_a_batch() -> None:
    rows = EncodedRows(Dataset.from_dict({"id": ["a", "b", "c"]}), batch_size=2)
    assert len(rows) == 2
    assert rows[[SampledRow(2, False), SampledRow(0, True)]] == {
        "id": ["c", "a"],
        "index": [2, 0],
        "is_padding": [False, True],
    }
    assert [rows[number]["id"] for number in range(2)] == [["a", "b"], ["c"]]


def test_rows__of_a_file_are_sent_by_its_name(tmp_path: Path) -> None:
    Dataset.from_dict({"id": [str(n) for n in range(9999)]}).save_to_disk(tmp_path / "rows")
    rows = Dataset.load_from_disk(tmp_path / "rows")
    sent = pickle.dumps(EncodedRows(rows, batch_size=2))
    assert len(sent) < 5000
    assert pickle.loads(sent)[[SampledRow(9998, False)]]["id"] == ["9998"]


def test_what_a_worker_imports__is_light() -> None:
    """Where workers are spawned each of them imports it anew."""
    code = """
import sys
from lit_hf.data.sampling import collating, dataloader, encoded_rows
import lit_hf.data.tokenization.prompts, lit_hf.data.tokenization.windows
heavy = {"lightning", "transformers", "kornia", "torchmetrics", "matplotlib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
