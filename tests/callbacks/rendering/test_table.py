import io
import json
import re
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import pytest
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from rich.cells import cell_len

from lit_hf.batches import Sample
from lit_hf.callbacks.rendering.table import json_line, render, show
from tests.trainers import quiet_trainer

HOSTILE = {
    "markup": "[bold]x[/bold] [link=http://e.vil]here[/link] :smile:",
    "escapes": "\x1b[31mred\x1b[0m \x1b]8;;http://e.vil\x07link \x9b2J back\b\b\rover",
    "bidi": "abc\u202efdp.exe\u2066 zero\u200bwidth",
    "one long word": "z" * 1_000_000,
    "half": "\ud800 and \udfff",
    "lines": "one\ntwo\u2028three\x85four\tfive",
    "wide": "消防車が来た 🔥 👩\u200d🚒",
}


def _sample(**changes: Any) -> Sample:  # noqa: ANN401 - values of a Sample
    sample: dict[str, Any] = {
        **{"id": "7", "input": "smoke over the hills", "prediction": "yes", "probability": 0.873},
        **{"truth": "no", "correct": False, "loss": 2.0612, **changes},
    }
    return cast("Sample", sample)


def test_render__shows_everything_on_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    samples = [_sample(), _sample(prediction="no", correct=True, loss=123456.0)]
    samples += [_sample(truth=None, correct=None, loss=None, probability=None)]
    title, header, _, *rows = render("step 5", samples, ["no"] * 3, False).splitlines()
    assert title == "step 5"
    assert header.split() == ["id", "input", "prediction", "truth", "loss"]
    assert [re.split(r"\s{2,}", row) for row in rows] == [
        ["✗", "7", "smoke over the hills", "no → yes (87%)", "no", "2.06"],
        ["✓", "7", "smoke over the hills", "no (87%)", "no", "1e+05"],  # nothing changed
        ["", "7", "smoke over the hills", "no → yes"],
    ]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text__is_shown_as_text(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = HOSTILE[kind]
    sample = _sample(id=text, input=text, prediction=text, truth=text)
    for color in (False, True):
        shown = render("title", [sample, _sample(id="next")], [text[:9], None], color)
        assert ("\x1b[31m✗" in shown) is color
        plain = re.sub(r"\x1b\[[\d;]*m", "", shown) if color else shown
        assert not {c for c in plain if not c.isprintable()} - {"\n", "\u200d"}
        lines = plain.splitlines()
        assert len(lines) < 24  # 1 MB is cut
        assert all(cell_len(line) <= 100 for line in lines)
        assert re.split(r"\s{2,}", lines[-1])[:3] == ["✗", "next", "smoke over the hills"]
    assert ("[bold]x[/bold]" in shown) is (kind == "markup")
    line = json_line({"id": text, "loss": float("inf"), "p": {"a": [float("nan"), 1.5]}})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    found = json.loads(line.encode(), parse_constant=pytest.fail)
    assert found == {"id": text, "loss": None, "p": {"a": [None, 1.5]}}


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


def test_show__in_one_piece_and_with_few_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    class Stream(io.StringIO):
        encoding = "latin-1"

        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stdout", Stream())
    show(quiet_trainer(default_root_dir=tmp_path), "✓ café\ntwo")
    assert [text for text in written if text] == ["? café\ntwo\n"]
