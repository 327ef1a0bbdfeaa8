"""The verbs that are Trainer methods: one LightningCLI, its run folder and exit codes."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
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
    check_accumulation,
    check_classes,
    check_limits,
    check_recipes,
    check_rows,
    check_seed,
    check_strategy,
    names_in_words,
    names_of_data,
    options_of,
    refusal,
    refused_interval,
)
from lit_hf.cli.default_callbacks import EVERY_RUN
from lit_hf.cli.error_messages import is_lost_worker, restoring, retyped, type_lines
from lit_hf.cli.monitor_checks import check_modes, check_validation, missing_monitor
from lit_hf.cli.new_folders import check_paths, take_back
from lit_hf.cli.parser import OneMessageParser, classes_of, set_up_parsing
from lit_hf.cli.resume import (
    check_folder,
    checkpoint_for,
    checkpoints_of,
    has_ended,
    take,
    tell_rest,
    tell_start,
)
from lit_hf.cli.run_config import RunConfig, changed_settings, check_optimizer, config_of_run
from lit_hf.cli.secret_settings import check_secrets
from lit_hf.cli.yaml_scalars import plain, read_settings
from lit_hf.data.base import HFDataModule
from lit_hf.distributed.fsdp import configure_fsdp
from lit_hf.distributed.launcher import end_others, follow_others
from lit_hf.errors import InputError, SharedFaultError, WriteError
from lit_hf.files.atomic import write_text
from lit_hf.files.bundled import recipes_first
from lit_hf.files.scratch import scratch_folder
from lit_hf.modules.base import HFModule

_REFUSALS = (ValueError, TypeError, ImportError, OSError)


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
        on_change: "warn" lets a training go on that is not the one that was stopped.

    Raises:
        InputError: for a mistake in the arguments, files or rows.
    """
    set_up_parsing(imports)
    recipes, groups, others = recipes_first(words)
    with scratch_folder() as folder:
        if run_folder is not None:
            config = Path(folder) / "config.yaml"
            write_text(config, config_of_run(Path(run_folder), verb))
            recipes.insert(0, str(config))
        check_recipes(recipes, others)
        first = [*classes_of(groups), *(f"--config={recipe}" for recipe in recipes)]
        RunCLI([verb, *first, *groups, *others], on_change)


class RunCLI(LightningCLI):
    """LightningCLI with a run folder: `trainer.default_root_dir` holds all that a run writes.

    Beside `trainer`, `model` and `data` it has the groups `checkpoint` (ModelCheckpoint),
    `samples` (SampleLogger), `export` (ExportPretrained) and `predictions` (PredictionWriter).

    Args:
        args: verb and options.
        on_change: what happens to a training that goes on with other rows, seed and the like.
    """

    def __init__(self, args: list[str], on_change: OnChange = "error") -> None:
        self._verb, self._typed = args[0], names_in_words(args)
        self._folder, self._same = RunDirLock(), ResumeGuard(on_change)
        self._new: list[Path] = []  # folders that a refusal takes away again
        try:
            super().__init__(
                HFModule,
                HFDataModule,
                save_config_callback=RunConfig,
                save_config_kwargs={"save_to_log_dir": False},
                trainer_defaults={
                    "callbacks": [self._folder, self._same, *(kind() for kind in EVERY_RUN)]
                },
                seed_everything_default=0,
                parser_class=OneMessageParser,
                parser_kwargs={"allow_abbrev": False},  # `trainer.max_epoch` is a slip
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,
                load_from_checkpoint_support=False,  # modules keep plain arguments by themselves
                args=args,
            )
        except (InputError, SharedFaultError, WriteError, MisconfigurationException) as error:
            if not self._folder.has_trained:
                take_back(self._new)
            options = options_of(getattr(self, "config", {}).get(self._verb))
            raise retyped(error, options) from error

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # is static there
        """The verb in use; a parser for every other would take as long as all the rest."""
        return {self._verb: super().subcommands()[self._verb]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks of every run and the links between model, data and run folder."""
        parser.epilog = (
            "Beside these: --run DIR takes the configuration of an earlier run (and for validate, "
            "test and predict its best checkpoint); --import MODULE lets a configuration name "
            "classes of yours. With `ckpt_path: auto` fit goes on from the newest whole checkpoint "
            "of its run folder; `--ckpt_path null` begins anew, the old run moves to `earlier/1`."
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(SampleLogger, "samples")
        parser.add_lightning_class_args(ExportPretrained, "export")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.set_defaults(
            {
                "checkpoint.mode": None,  # that of the monitor, see `complete_modes`
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.link_arguments(
            "trainer.default_root_dir",
            "checkpoint.dirpath",
            compute_fn=lambda folder: str(Path(folder or ".") / "checkpoints"),
        )
        parser.link_arguments("model.init_args.model_name", "data.init_args.model_name")
        for name in DECIDED_BY_DATA:
            found = partial(names_of_data, self._verb, name)
            parser.link_arguments("data", f"model.init_args.{name}", found, "instantiate")

    def before_instantiate_classes(self) -> None:
        """Refuse what would be overruled in silence, or written outside of the run folder."""
        options = self.config[self.subcommand]
        type_lines(options_of(options))
        check_classes(options)
        check_folder(str(self.subcommand), options)
        check_secrets(options.as_dict())
        check_limits(str(self.subcommand), options)
        check_modes(str(self.subcommand), options)
        self._new = check_paths(options)
        check_accumulation(options["trainer"].get("accumulate_grad_batches"))
        check_strategy(options["trainer"])

    def instantiate_classes(self) -> None:
        """Make model, data and Trainer; whatever refuses its arguments is an error of the input."""
        try:
            super().instantiate_classes()
        except (*_REFUSALS, MisconfigurationException) as error:
            raise refusal(error) from error

    def instantiate_trainer(self, **settings: object) -> Trainer:
        """Make a Trainer whose checkpoints are whole or not there."""
        trainer = super().instantiate_trainer(**settings)
        decides(trainer, self._options()["checkpoint"])
        share_folder(trainer)
        write_atomically(trainer)
        configure_fsdp(trainer)
        return trainer

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse the given arguments; those of the process have no say."""
        if self._verb == "fit":  # Lightning adds the option after `add_arguments_to_parser`
            self._subcommand_parsers["fit"].set_defaults(ckpt_path="auto")
        self.config = plain(parser.parse_args(cast("list[str]", args)))
        check_seed(self.config[self._verb].get("seed_everything"))

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration alone: a checkpoint brings its own model config."""

    def before_fit(self) -> None:
        """Find the checkpoint to go on from."""
        may_go_on = self._options()["ckpt_path"] is not None
        self._check_ckpt_path()
        if self.trainer.ckpt_path is not None:
            self._same.settings = self._changes(self.trainer.ckpt_path)
        check_validation(self.trainer, self.datamodule.has_validation)
        if may_go_on and self.trainer.is_global_zero:
            tell_start(cast("str | None", self.trainer.ckpt_path), checkpoints_of(self.trainer))

    def _changes(self, checkpoint: str | Path) -> list[str]:
        """Settings that are not those the run was begun with."""
        path = Path(checkpoint).parent.parent / "config.yaml"
        given = self.parser.dump(self.config, skip_unset=False)  # as `config.yaml` is written
        changes = changed_settings(path, read_settings(given)[self.subcommand])
        check_optimizer(changes, Path(checkpoint))
        return changes

    def fit(self, **options: object) -> None:
        """Train, unless the training of the checkpoint to go on from has ended already.

        Raises:
            InputError: if an epoch has fewer batches than are to be validated after, or nothing
                logs a monitor; if the training that has ended was another one.
        """
        if has_ended(self.trainer, self.model, self.datamodule, self._same):
            return
        try:
            self.trainer.fit(**options)  # type: ignore[arg-type]  # the parser has checked them
        except (ValueError, RuntimeError, MisconfigurationException) as error:
            told = missing_monitor(self.trainer, error) or refused_interval(error, self.trainer)
            if told is None:
                raise
            raise told from error

    def before_validate(self) -> None:
        """Check the checkpoint."""
        self._check_ckpt_path()

    before_test = before_validate

    def before_predict(self) -> None:
        """Check the checkpoint; answers go to files, not to memory."""
        self._options()["return_predictions"] = False
        self._check_ckpt_path()

    def _options(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.config_init[self.subcommand])

    def _check_ckpt_path(self) -> None:
        options, verb = self._options(), str(self.subcommand)
        check_rows(verb, self.datamodule)
        options["weights_only"] = True
        self._folder.claim(self.trainer, verb)
        path = checkpoint_for(verb, options["ckpt_path"], checkpoints_of(self.trainer))
        if path is not None:
            take(path, verb, self.model, self.datamodule, self._typed)
        # Set here, the module sees it in time to build the model from the checkpoint's config.
        self.trainer.ckpt_path, options["ckpt_path"] = path, None

    def _run_subcommand(self, subcommand: str) -> None:
        is_refused = False
        try:
            with restoring(self.trainer):
                super()._run_subcommand(subcommand)
        except (InputError, MisconfigurationException) as error:
            is_refused = True
            if subcommand == "predict" and (earlier := earlier_answers(self.trainer)):
                raise InputError(f"{error}{earlier}") from error
            raise
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
            self._folder.release()
            if self.trainer.interrupted and is_refused:
                end_others(self.trainer, patience=0)  # which would tell the same
            elif self.trainer.interrupted:
                end_others(self.trainer)
                if subcommand == "fit" and self.trainer.is_global_zero:
                    tell_rest(checkpoints_of(self.trainer))
