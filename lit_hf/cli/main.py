"""The verbs that are Trainer methods: one LightningCLI, its run folder and exit codes."""

import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.strategies import ModelParallelStrategy, StrategyRegistry
from lightning.pytorch.trainer.states import TrainerStatus

from lit_hf.callbacks.checkpoint import decides, share_folder
from lit_hf.callbacks.export import ExportPretrained
from lit_hf.callbacks.freeze_backbone import FreezeBackbone  # noqa: F401 - a config can say its short name
from lit_hf.callbacks.graceful_shutdown import signal_code
from lit_hf.callbacks.predictions import PredictionWriter, earlier_answers
from lit_hf.callbacks.resume_guard import OnChange, ResumeGuard
from lit_hf.callbacks.run_dir_lock import RunDirLock
from lit_hf.callbacks.samples import SampleLogger
from lit_hf.checkpointing.checkpoint_io import write_atomically
from lit_hf.cli.config_checks import (
    DECIDED_BY_DATA,
    check_options,
    check_rows,
    check_validation,
    decided_by_data,
    missing_monitor,
    refusing,
)
from lit_hf.cli.default_callbacks import EVERY_RUN
from lit_hf.cli.error_messages import is_lost_worker
from lit_hf.cli.parser import OneMessageParser, set_up_parsing
from lit_hf.cli.resume import (
    check_trained,
    checkpoint_for,
    checkpoints_of,
    has_ended,
    print_start,
    print_stop,
    take,
)
from lit_hf.cli.run_config import RunConfig, changed_settings, check_optimizer, config_of_run
from lit_hf.cli.yaml_texts import plain
from lit_hf.data.base import HFDataModule
from lit_hf.distributed.fsdp import configure_fsdp
from lit_hf.distributed.launcher import end_others, follow_others
from lit_hf.errors import InputError
from lit_hf.files.bundled import recipes_first
from lit_hf.modules.base import HFModule

_OWN_GROUPS = {
    "checkpoint": ModelCheckpoint,
    "samples": SampleLogger,
    "export": ExportPretrained,
    "predictions": PredictionWriter,
}
_SHARDING = ModelParallelStrategy.__name__.lower()  # as Lightning looks for names


def run_verb(
    verb: str,
    words: Sequence[str],
    run_folder: str | None,
    imports: list[str],
    on_change: OnChange = "error",
) -> None:
    """Run fit, validate, test or predict.

    Args:
        verb: which.
        words: the other arguments.
        run_folder: folder of an earlier run, whose config and best checkpoint are used.
        imports: modules of the user whose classes a config may name too.
        on_change: "warn" resumes a training that is not the one that was stopped.

    Raises:
        InputError: for a mistake in the arguments, files or rows.
    """
    set_up_parsing(imports)
    recipes, groups, others = recipes_first(words)
    if run_folder is not None:
        recipes.insert(0, config_of_run(Path(run_folder), verb))
    # A recipe may give settings alone, of a class that is typed.
    kinds = [word for word in groups if re.fullmatch(r"--(model|data)=[\w.]+", word)]
    kinds = [word for word in kinds if not os.path.isfile(word.partition("=")[2])]
    RunCLI([verb, *kinds, *(f"--config={text}" for text in recipes), *groups, *others], on_change)


class RunCLI(LightningCLI):
    """LightningCLI with a run folder: `trainer.default_root_dir` holds all that a run writes.

    Beside `trainer`, `model` and `data` it has the groups `checkpoint` (ModelCheckpoint),
    `samples` (SampleLogger), `export` (ExportPretrained) and `predictions` (PredictionWriter).

    Args:
        args: verb and options.
        on_change: what happens to a training that resumes with other rows, seed and the like.
    """

    def __init__(self, args: list[str], on_change: OnChange = "error") -> None:
        self._verb, self._typed = args[0], {word.partition("=")[0] for word in args}
        self._lock, self._guard = RunDirLock(), ResumeGuard(on_change)
        callbacks = [self._lock, self._guard, *(kind() for kind in EVERY_RUN)]
        super().__init__(
            HFModule,
            HFDataModule,
            save_config_callback=RunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults={"callbacks": callbacks},
            seed_everything_default=0,
            parser_class=OneMessageParser,
            parser_kwargs={"allow_abbrev": False},  # `trainer.max_epoch` is a slip
            subclass_mode_model=True,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,  # modules keep plain arguments by themselves
            args=args,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # is static there
        """The verb in use; a parser for every other would take as long as all the rest."""
        return {self._verb: super().subcommands()[self._verb]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks of every run and the links between model and data."""
        for name, kind in _OWN_GROUPS.items():
            parser.add_lightning_class_args(kind, name)
        parser.set_defaults(
            {"checkpoint.mode": None, "checkpoint.enable_version_counter": False}
        )  # the mode is that of the monitor, see `check_typed`
        parser.link_arguments("model.init_args.model_name", "data.init_args.model_name")
        for name in DECIDED_BY_DATA:
            found = partial(decided_by_data, self._verb, name)
            parser.link_arguments("data", f"model.init_args.{name}", found, "instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments; those of the process have no say."""
        if self._verb == "fit":  # Lightning adds the option after `add_arguments_to_parser`
            self._subcommand_parsers["fit"].set_defaults(ckpt_path="auto")
        self.config = plain(parser.parse_args(cast("list[str]", args)))

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration alone: a checkpoint brings its own model config."""

    def _set_seed(self) -> None:
        with refusing():
            super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Refuse what would be overruled in silence, or written outside of the run folder."""
        options = self.config[self._verb]
        check_options(options)
        check_trained(self._verb, options)
        if _SHARDING not in StrategyRegistry:  # so that it has a short name, too
            StrategyRegistry.register(_SHARDING, ModelParallelStrategy)

    def instantiate_classes(self) -> None:
        """Make model, data and Trainer; whatever refuses its arguments is an error of the input."""
        with refusing():
            super().instantiate_classes()

    def instantiate_trainer(self, **settings: object) -> Trainer:
        """Make a Trainer whose checkpoints are valid or not there."""
        trainer = super().instantiate_trainer(**settings)
        best = self._options()["checkpoint"]
        best.dirpath = os.path.realpath(checkpoints_of(trainer))
        decides(trainer, best)
        share_folder(trainer)
        write_atomically(trainer)
        configure_fsdp(trainer)
        return trainer

    def before_fit(self) -> None:
        """Find the checkpoint to resume from."""
        may_resume = self._options()["ckpt_path"] is not None
        self._take_checkpoint()
        path = cast("str | None", self.trainer.ckpt_path)
        if path is not None:
            given = yaml.safe_load(self.parser.dump(self.config, skip_unset=False))[self._verb]
            config = Path(path).parent.parent / "config.yaml"
            self._guard.settings = changed_settings(config, given)
            check_optimizer(self._guard.settings, Path(path))
        check_validation(self.trainer, self.datamodule.has_validation)
        if may_resume and self.trainer.is_global_zero:
            print_start(path, checkpoints_of(self.trainer))

    def fit(self, **options: object) -> None:
        """Train, unless the training of the checkpoint to resume from has ended already.

        Raises:
            InputError: if an epoch has fewer batches than are to be validated after, or nothing
                logs a monitor; if the training that has ended was another one.
        """
        if has_ended(self.trainer, self.model, self.datamodule, self._guard):
            return
        try:
            self.trainer.fit(**options)  # type: ignore[arg-type]  # the parser has checked them
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            if (missing := missing_monitor(self.trainer, error)) is not None:
                raise missing from error
            if not isinstance(error, InputError) and "`val_check_interval` (" in str(error):
                raise InputError(str(error)) from error
            raise

    def before_validate(self) -> None:
        """Check the checkpoint."""
        self._take_checkpoint()

    before_test = before_validate

    def before_predict(self) -> None:
        """Check the checkpoint; answers go to files, not to memory."""
        self._options()["return_predictions"] = False
        self._take_checkpoint()

    def _options(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.config_init[self._verb])

    def _take_checkpoint(self) -> None:
        options = self._options()
        options["weights_only"] = True
        check_rows(self._verb, self.datamodule)
        self._lock.claim(self.trainer, self._verb)
        path = checkpoint_for(self._verb, options["ckpt_path"], checkpoints_of(self.trainer))
        if path is not None:
            take(path, self._verb, self.model, self.datamodule, self._typed)
        # Set here, the module sees it in time to build the model from the checkpoint's config.
        self.trainer.ckpt_path, options["ckpt_path"] = path, None

    def _run_subcommand(self, subcommand: str) -> None:
        is_refused = False
        try:
            super()._run_subcommand(subcommand)
        except (InputError, MisconfigurationException) as error:
            is_refused = True
            earlier = earlier_answers(self.trainer) if subcommand == "predict" else ""
            raise InputError(f"{error}{earlier or ''}") from error
        except SystemExit as stop:
            if stop.code == 1 and self.trainer.state.status == TrainerStatus.INTERRUPTED:
                raise SystemExit(130) from stop  # Lightning's answer to Ctrl-C
            raise
        except (RuntimeError, OSError, EOFError) as error:  # workers got the signal too
            if is_lost_worker(error) and (code := signal_code(self.trainer)):
                raise SystemExit(code) from error
            follow_others(self.trainer, error)
            raise
        finally:
            self._lock.release()
            if self.trainer.interrupted:
                self._end(subcommand, is_refused)

    def _end(self, verb: str, is_refused: bool) -> None:
        """End the other processes of an interrupted run, and say what is left of a training."""
        if is_refused:
            end_others(self.trainer, patience=0)  # which would say the same
            return
        end_others(self.trainer)
        if verb == "fit" and self.trainer.is_global_zero:
            print_stop(checkpoints_of(self.trainer))
