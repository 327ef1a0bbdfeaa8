"""The verbs that are Trainer methods: one LightningCLI, its run folder and exit codes."""

import atexit
import inspect
import logging
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import jsonargparse
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import (
    ArgsType,
    LightningArgumentParser,
    LightningCLI,
)
from lightning.pytorch.trainer.states import TrainerStatus
from torch.optim import AdamW

from lit_hf.callbacks.checkpoint import LastCheckpoint
from lit_hf.callbacks.confusion import ConfusionMatrixWriter
from lit_hf.callbacks.export import ExportPretrained, write_model_files
from lit_hf.callbacks.freezing import HeadFirst  # noqa: F401 - a config can say its short name
from lit_hf.callbacks.predictions import PredictionWriter
from lit_hf.callbacks.results import ResultsWriter
from lit_hf.callbacks.samples import SampleLogger
from lit_hf.callbacks.signals import StopAtSigterm
from lit_hf.checkpoints import check_task, newest_whole, reached_epochs, read_checkpoint
from lit_hf.data.base import HFDataModule
from lit_hf.errors import InputError
from lit_hf.messages import condense
from lit_hf.modules.base import HFModule
from lit_hf.run_config import RunConfig, changed_settings, config_of_run
from lit_hf.settings import (
    check_accumulation,
    check_classes,
    check_paths,
    check_seed,
    refusal,
    with_texts,
)

log = logging.getLogger(__name__)
_REFUSALS = (ValueError, TypeError, ImportError, OSError)
EVERY_RUN = (LastCheckpoint, ResultsWriter, ConfusionMatrixWriter, StopAtSigterm)
"""Callbacks that no setting leaves out."""
IMPORTABLE = ["lit_hf", "lightning.pytorch", "torch.nn", "torch.optim"]
"""Modules whose classes a config may name; `--import` adds to them, on the command line only."""


def run_verb(verb: str, words: Sequence[str], run_folder: str | None, imports: list[str]) -> int:
    """Run fit, validate, test or predict.

    Args:
        verb: which.
        words: the other arguments.
        run_folder: folder of an earlier run, whose config and best checkpoint are used.
        imports: modules of the user whose classes a config may name too.

    Returns:
        The exit code.

    Raises:
        InputError: for a mistake in the arguments, files or rows.
    """
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=[*IMPORTABLE, *imports]
    )
    public_classes()  # imports them
    words = with_texts(words)
    with tempfile.TemporaryDirectory() as folder:
        if run_folder is not None:
            config = Path(folder) / "config.yaml"
            config.write_text(config_of_run(Path(run_folder), verb), encoding="utf-8")
            words = ["--config", str(config), *words]
        try:
            RunCLI([verb, *words])
        except UnicodeDecodeError as error:
            raise InputError(f"`--config`: a file that is no text in UTF-8 ({error}).") from error
        except MisconfigurationException as error:
            raise InputError(str(error)) from error
    return 0


def public_classes() -> list[type]:
    """The classes that `from lit_hf import` gives; a config may name one once it is imported."""
    package = sys.modules["lit_hf"]
    found = [getattr(package, name) for name in package.__all__]
    return [kind for kind in found if kind is not InputError]


class OneMessageParser(LightningArgumentParser):
    """A parser whose errors are one message, without the usage of hundreds of options."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message as an InputError."""
        classes = [*public_classes(), AdamW]
        names = {name for kind in classes for name in inspect.signature(kind).parameters}
        raise InputError(
            condense(str(message), names | {kind.__name__ for kind in classes})
        ) from ex


class RunCLI(LightningCLI):
    """LightningCLI with a run folder: `trainer.default_root_dir` holds all that a run writes.

    Beside `trainer`, `model` and `data` it has the groups `checkpoint` (ModelCheckpoint),
    `samples` (SampleLogger), `export` (ExportPretrained) and `predictions` (PredictionWriter).

    Args:
        args: verb and options.
    """

    def __init__(self, args: ArgsType) -> None:
        super().__init__(
            HFModule,
            HFDataModule,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={"callbacks": [kind() for kind in EVERY_RUN]},
            seed_everything_default=0,
            parser_class=OneMessageParser,
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # modules keep plain arguments by themselves
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks of every run and the links between model, data and run folder."""
        parser.epilog = (
            "Beside these: --run DIR takes the configuration of an earlier run (and for validate, "
            "test and predict its best checkpoint); --import MODULE lets a configuration name "
            "classes of yours."
        )
        parser.allow_abbrev = False  # `trainer.max_epoch` is a slip, not a short form
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(SampleLogger, "samples")
        parser.add_lightning_class_args(ExportPretrained, "export")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.set_defaults(
            {
                "checkpoint.mode": "max",
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.link_arguments(
            "trainer.default_root_dir",
            "checkpoint.dirpath",
            compute_fn=lambda folder: str(Path(folder or ".") / "checkpoints"),
        )
        parser.link_arguments("model.init_args.model_name", "data.init_args.model_name")
        for name in ("label_names", "problem_type"):
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def before_instantiate_classes(self) -> None:
        """Refuse what would be overruled in silence, or written outside of the run folder."""
        options = self.config[self.subcommand]
        check_classes(options)
        check_paths(options)
        check_accumulation(options["trainer"].get("accumulate_grad_batches"))

    def instantiate_classes(self) -> None:
        """Make model, data and Trainer; whatever refuses its arguments is an error of the input."""
        try:
            super().instantiate_classes()
        except (*_REFUSALS, MisconfigurationException) as error:
            raise refusal(error) from error

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments; those of the process have no say."""
        self.config = parser.parse_args(cast("list[str]", args))
        check_seed(self.config[self.config["subcommand"]].get("seed_everything"))

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration alone: a checkpoint brings its own model config."""

    def before_fit(self) -> None:
        """Find the checkpoint to go on from."""
        options = self._options()
        if options["ckpt_path"] == "auto":
            folder = Path(str(self.trainer.default_root_dir)) / "checkpoints"
            newest = newest_whole(folder)
            options["ckpt_path"] = newest and str(newest)
            if newest is not None:
                print(f"going on from {newest}")
                warnings.filterwarnings("ignore", "Checkpoint directory .* is not empty")
                self._tell_changes()
        self._check_ckpt_path()
        monitor = getattr(self.trainer.checkpoint_callback, "monitor", None) or ""
        if monitor.startswith("val/") and not self.datamodule.has_validation:
            raise InputError(
                f"`checkpoint.monitor: {monitor}` wants validation rows: set `data.val_file` or "
                "`data.val_fraction`, or `checkpoint.monitor: null`."
            )

    def _tell_changes(self) -> None:
        """Warn of settings that are not those the run was begun with."""
        path = Path(str(self.trainer.default_root_dir)) / "config.yaml"
        if path.is_file():
            given = self.parser.dump(self.config, skip_unset=False, skip_link_targets=False)
            changes = changed_settings(path, yaml.safe_load(given)[self.subcommand])
            if changes:
                log.warning(
                    f"the run was begun with other settings: {'; '.join(changes)}. It goes on with "
                    "the new ones, but for what the checkpoint holds; for a new run give another "
                    "`trainer.default_root_dir`."
                )

    def fit(self, **options: object) -> None:
        """Train, unless the checkpoint to go on from has reached the end already."""
        ckpt_path = self.trainer.ckpt_path
        if ckpt_path is not None and reached_epochs(ckpt_path) == self.trainer.max_epochs:
            print(
                f"already finished: {ckpt_path} has all {self.trainer.max_epochs} epochs; "
                "raise `trainer.max_epochs` to go on."
            )
            return
        self.trainer.fit(**options)  # type: ignore[arg-type]  # the parser has checked them

    def before_validate(self) -> None:
        """Check the checkpoint."""
        self._check_ckpt_path()

    def before_test(self) -> None:
        """Check the checkpoint."""
        self._check_ckpt_path()

    def before_predict(self) -> None:
        """Check the checkpoint; answers go to files, not to memory."""
        self._options()["return_predictions"] = False
        self._check_ckpt_path()

    def _options(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.config_init[self.subcommand])

    def _check_ckpt_path(self) -> None:
        options = self._options()
        path = options["ckpt_path"]
        options["weights_only"] = True
        if path == "auto" and self.subcommand != "fit":
            path = None
        if path is None and self.subcommand != "fit":
            raise InputError(
                f"{self.subcommand}: give `--run DIR`, or `--ckpt_path FILE` with a config."
            )
        if path is not None and "://" in str(path):
            raise InputError(f"`ckpt_path` {path}: download it first, only local files are read.")
        if path is not None and not Path(path).is_file():
            raise InputError(f"`ckpt_path` {path}: there is no such checkpoint file.")
        if path is not None:
            self._take(str(path))
        # Set here, the module sees it in time to build the model from the checkpoint's config.
        self.trainer.ckpt_path, options["ckpt_path"] = path, None

    def _take(self, path: str) -> None:
        """Check a checkpoint, and read the data by the tokenizer and config that it holds."""
        check_task(path, checkpoint := read_checkpoint(path), self.model.task)
        if self.subcommand == "fit" and not {"loops", "optimizer_states"} <= checkpoint.keys():
            raise InputError(f"`ckpt_path` {path}: it holds weights only; nothing to go on from.")
        # A run that was moved, or is named by another path, is the same run.
        warnings.filterwarnings("ignore", "The dirpath has changed")
        folder = tempfile.TemporaryDirectory(prefix="lit_hf-")
        atexit.register(folder.cleanup)
        if write_model_files(checkpoint, Path(folder.name)):
            self.datamodule.model_name = folder.name

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            super()._run_subcommand(subcommand)
        except SystemExit as stop:
            if self.trainer.received_sigterm:
                raise SystemExit(143) from stop
            if self.trainer.state.status == TrainerStatus.INTERRUPTED:
                raise SystemExit(130) from stop
            raise
        finally:
            is_stopped = self.trainer.interrupted or self.trainer.received_sigterm
            if is_stopped and subcommand == "fit" and self.trainer.is_global_zero:
                self._tell_rest()

    def _tell_rest(self) -> None:
        """Say what is left of a training that was stopped."""
        folder = Path(str(self.trainer.default_root_dir)) / "checkpoints"
        newest = newest_whole(folder)
        if newest is None:
            print("stopped before the first checkpoint: the same command starts anew.")
        else:
            print(f"stopped; the same command goes on from {newest}.")
