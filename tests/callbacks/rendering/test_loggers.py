import io
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_hf.callbacks.rendering.loggers import log_image, log_samples

HOSTILE = "a | b\n<script>alert(1)</script> ![i](http://e.vil) \x1b[31m"
SAMPLE: Any = {
    **{"id": "7", "input": HOSTILE, "prediction": "yes", "probability": 0.873},
    **{"truth": None, "correct": None, "loss": 2.0612},
}
IMAGE = Image.new("RGB", (5, 3), (1, 2, 3))


def test_samples__go_to_tensorboard_as_a_safe_table(tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path, name="", version="")
    log_samples(board, "samples/fixed", [SAMPLE], 12)
    log_image(board, "samples/grid", IMAGE, 12)
    board.experiment.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    (text,) = events.Tensors("samples/fixed/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert lines[0] == "| id | input | prediction | probability | truth | loss |"
    cells = re.split(r" (?<!\\)\| ", lines[2])
    assert [cells[0], *cells[2:]] == ["| 7", "yes", "0.873", "", "2.061 |"]
    assert not re.search(r"(?<!\\)[\[\]!<]|://|\x1b", lines[2])
    (image,) = events.Images("samples/grid")
    assert Image.open(io.BytesIO(image.encoded_image_string)).getpixel((4, 2)) == (1, 2, 3)


def test_samples__go_to_wandb_and_mlflow_and_pass_others_over(tmp_path: Path) -> None:
    wandb, mlflow = create_autospec(WandbLogger), create_autospec(MLFlowLogger)
    mlflow.run_id, mlflow.experiment = "run", Mock()
    for logger in (wandb, mlflow, CSVLogger(tmp_path)):
        log_samples(logger, "samples/fixed", [SAMPLE, SAMPLE], 12)
        log_image(logger, "samples/grid", IMAGE, 12)
    names = ["id", "input", "prediction", "probability", "truth", "loss"]
    text = r"a | b <script>alert(1)</script> ![i](http://e.vil) \x1b[31m"
    row = ["7", text, "yes", 0.873, None, 2.0612]
    wandb.log_text.assert_called_once_with(
        "samples/fixed", columns=["step", *names], data=[[12, *row]] * 2, step=12
    )
    wandb.log_image.assert_called_once_with("samples/grid", images=[IMAGE], step=12)
    table = {"step": [12, 12], **{name: [c, c] for name, c in zip(names, row, strict=True)}}
    mlflow.experiment.log_table.assert_called_once_with("run", table, "samples/fixed.json")
    mlflow.experiment.log_image.assert_called_once_with("run", IMAGE, key="samples/grid", step=12)
