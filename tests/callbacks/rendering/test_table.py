import io
import json
import re
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lit_hf.batches import Sample
from lit_hf.callbacks.rendering.table import json_line, log_image, log_samples, render, show
from tests.trainers import quiet_trainer

HOSTILE = {
    "markup": "[bold]x[/bold] [link=http://e.vil]here[/link] :smile:",
    "escapes": "\x1b[31mred\x1b[0m \x1b]8;;http://e.vil\x07link \x9b2J back\b\b\rover",
    "bidi": "abc\u202efdp.exe\u2066 zero\u200bwidth",
    "long": "a long text " * 90_000,
    "one long word": "z" * 1_000_000,
    "half": "\ud800 and \udfff",
    "lines": "one\ntwo\u2028three\x85four\tfive",
    "wide": "消防車が来た 🔥 👩\u200d🚒",
}


def _sample(**changes: Any) -> Sample:  # noqa: ANN401 - values of a Sample
    sample: dict[str, Any] = {
        "id": "7",
        "input": "smoke over the hills",
        "prediction": "yes",
        "probability": 0.873,
        "truth": "no",
        "correct": False,
        "loss": 2.0612,
        **changes,
    }
    return cast("Sample", sample)


def _width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_render__shows_everything_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    _width(monkeypatch, 80)
    samples = [_sample(), _sample(id="8", prediction="no", correct=True, loss=123456.0)]
    shown = render(
        "step 5", [*samples, _sample(truth=None, correct=None, loss=None)], ["no"] * 3, False
    )
    title, header, _, first, second, third = shown.splitlines()
    assert title == "step 5"
    assert header.split() == ["id", "input", "prediction", "truth", "loss"]
    assert re.split(r"\s{2,}", first) == [
        *("✗", "7", "smoke over the hills", "no → yes (87%)", "no", "2.06")
    ]
    assert re.split(r"\s{2,}", second)[3:] == ["no (87%)", "no", "1e+05"]  # nothing changed
    assert re.split(r"\s{2,}", third) == ["", "7", "smoke over the hills", "no → yes (87%)"]


def test_render__a_number_has_no_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    _width(monkeypatch, 80)
    sample = _sample(prediction="2.35", probability=None, correct=None, truth="2.5")
    assert "2.31 → 2.35  2.5 " in render("", [sample], ["2.31"], False)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_render__long_names_leave_room_for_the_input(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _width(monkeypatch, columns)
    names = "admiration, amusement, disappointment, embarrassment, nervousness"
    sample = _sample(id="0123456789abcdef", input="word " * 40, prediction=names, truth=names)
    lines = render("", [sample], ["optimism"], False).splitlines()
    assert all(cell_len(line) <= max(columns, 60) for line in lines)
    assert len(lines) < 22
    per_line = max(line.count("word") for line in lines)
    assert per_line >= (3 if columns < 80 else 4)


@pytest.mark.parametrize("kind", HOSTILE)
def test_render__hostile_text_is_shown_as_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _width(monkeypatch, 100)
    text = HOSTILE[kind]
    sample = _sample(id=text, input=text, prediction=text, truth=text)
    for color in (False, True):
        shown = render("title", [sample, _sample(id="next")], [text[:9], None], color)
        shown.encode("utf-8")
        plain = re.sub(r"\x1b\[[\d;]*m", "", shown) if color else shown
        hidden = {c for c in plain if not c.isprintable()} - {"\n", "\u200d"}
        assert not hidden
        lines = plain.splitlines()
        assert len(lines) < 24  # 1 MB is cut
        assert all(cell_len(line) <= 100 for line in lines)
        assert re.split(r"\s{2,}", lines[-1])[:3] == ["✗", "next", "smoke over the hills"]
    if kind == "markup":
        assert "[bold]x[/bold]" in shown
        assert ":smile:" in shown
    if kind == "escapes":
        assert r"\x1b[31mred\x1b[0m" in shown


def test_render__colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    _width(monkeypatch, 80)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[31m✗" in render("", [_sample()], [None], True)
    assert "\x1b" not in render("", [_sample()], [None], False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in render("", [_sample()], [None], True)


@pytest.mark.parametrize(
    "bar", [None, TQDMProgressBar(), TQDMProgressBar(refresh_rate=0), RichProgressBar()]
)
def test_show__prints_with_any_progress_bar(
    bar: ProgressBar | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        enable_progress_bar=bar is not None,
        callbacks=[bar] if bar else None,
    )
    show(trainer, "one\ntwo ✓")
    assert capsys.readouterr().out == "one\ntwo ✓\n"


def test_show__stands_above_the_live_bar_of_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, force_jupyter=False, width=80)
    with Progress(console=console, auto_refresh=False) as progress:
        progress.add_task("Epoch 0")
        progress.refresh()
        show(quiet_trainer(default_root_dir=tmp_path), "one\ntwo ✓")
        shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", screen.getvalue())
    assert shown.count("one\ntwo ✓\n") == 1
    assert shown.rindex("two") < shown.rindex("Epoch 0")


def test_show__writes_no_unfinished_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the live bar of a notebook would flush without end."""
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stdout", Stream())
    show(quiet_trainer(default_root_dir=tmp_path), "one\ntwo")
    assert [text for text in written if text] == ["one\ntwo\n"]


def test_show__where_the_terminal_knows_few_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = quiet_trainer(default_root_dir=tmp_path)
    with (tmp_path / "out").open("w", encoding="latin-1") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        show(trainer, "✓ café")
        monkeypatch.undo()
    assert (tmp_path / "out").read_bytes() == "? café\n".encode("latin-1")


class _Recorder(CSVLogger):
    """A logger that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.told: list[Any] = []


class TextRecorder(_Recorder):
    """Has the method of WandbLogger."""

    def log_text(
        self,
        key: str,
        columns: list[str] | None = None,
        data: list[list[Any]] | None = None,
        dataframe: object = None,
        step: int | None = None,
    ) -> None:
        self.told.append((key, columns, data, step))


class TableRecorder(_Recorder):
    """Has the client of MLFlowLogger."""

    run_id = "run"

    @property
    def experiment(self) -> "TableRecorder":
        return self

    def log_table(self, run_id: str, data: dict[str, list[Any]], artifact_file: str) -> None:
        assert len({len(column) for column in data.values()}) == 1  # as MLflow wants it
        self.told.append((run_id, json.loads(json.dumps(data)), artifact_file))


def test_log_samples__to_a_logger_of_texts(tmp_path: Path) -> None:
    logger = TextRecorder(tmp_path)
    samples = [_sample(input=HOSTILE["escapes"]), _sample(truth=None, loss=None)]
    log_samples(logger, "samples/fixed", samples, 12)
    key, columns, data, step = logger.told[0]
    assert (key, step) == ("samples/fixed", 12)
    assert columns == ["step", "id", "input", "prediction", "probability", "truth", "loss"]
    assert data[0][3:] == ["yes", 0.873, "no", 2.0612]
    assert data[0][:2] == [12, "7"]
    assert data[0][2].startswith(r"\x1b[31mred")
    assert data[1] == [12, "7", "smoke over the hills", "yes", 0.873, None, None]


def test_log_samples__to_a_logger_of_tables(tmp_path: Path) -> None:
    logger = TableRecorder(tmp_path)
    log_samples(logger, "samples/worst", [_sample(), _sample(id="8")], 12)
    run_id, table, name = logger.told[0]
    assert (run_id, name) == ("run", "samples/worst.json")
    assert table["step"] == [12, 12]
    assert table["id"] == ["7", "8"]
    assert table["loss"] == [2.0612, 2.0612]


def test_log_samples__passes_other_loggers_over(tmp_path: Path) -> None:
    logger: Logger = CSVLogger(tmp_path)
    log_samples(logger, "samples/worst", [_sample()], 12)
    assert "metrics.csv" not in {path.name for path in tmp_path.rglob("*")}


class PictureRecorder(_Recorder):
    """Has the method of WandbLogger."""

    def log_image(
        self,
        key: str,
        images: list[Any],
        step: int | None = None,
        **kwargs: list[object],
    ) -> None:
        self.told.append((key, images, step))


class ClientRecorder(_Recorder):
    """Has the client of MLFlowLogger."""

    run_id: str | None = "run"

    @property
    def experiment(self) -> "Client":
        return Client(self.told)


class Client:
    """Has the method of MlflowClient."""

    def __init__(self, told: list[Any]) -> None:
        self.told = told

    def log_image(
        self,
        run_id: str,
        image: Image.Image,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
    ) -> None:
        self.told.append((run_id, image, artifact_file, key, step))


def test_log_image__to_loggers_that_take_pictures(tmp_path: Path) -> None:
    image = Image.new("RGB", (5, 3), (1, 2, 3))
    pictures, client, other = (
        PictureRecorder(tmp_path),
        ClientRecorder(tmp_path),
        CSVLogger(tmp_path),
    )
    for logger in (pictures, client, other):
        log_image(logger, "samples/fixed_grid", image, 12)
    assert pictures.told == [("samples/fixed_grid", [image], 12)]
    assert client.told == [("run", image, None, "samples/fixed_grid", 12)]
    board = TensorBoardLogger(tmp_path, name="", version="")
    log_image(board, "samples/fixed_grid", image, 12)
    board.experiment.flush()
    events = EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Images("samples/fixed_grid")
    assert event.step == 12
    held = Image.open(io.BytesIO(event.encoded_image_string))
    assert (held.size, held.getpixel((4, 2))) == ((5, 3), (1, 2, 3))


def test_log_image__passes_clients_of_other_kinds_over(tmp_path: Path) -> None:
    logger = ClientRecorder(tmp_path)
    logger.run_id = None
    log_image(logger, "samples/fixed_grid", Image.new("RGB", (5, 3)), 12)
    assert logger.told == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_line__is_one_visible_line_and_loses_nothing(kind: str) -> None:
    line = json_line({"id": HOSTILE[kind], "loss": float("inf"), "p": {"a": [float("nan"), 1.5]}})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    line.encode("utf-8")
    assert json.loads(line, parse_constant=pytest.fail) == {
        "id": HOSTILE[kind],
        "loss": None,
        "p": {"a": [None, 1.5]},
    }
