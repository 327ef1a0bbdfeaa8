"""HFModule: what the modules of all tasks share, from weights to optimizer to checkpoint."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import AdamW, Optimizer

from lit_hf.batches import StepOutput
from lit_hf.checkpointing.metadata import add_metadata
from lit_hf.checkpointing.resume_state import ResumeState
from lit_hf.checkpointing.state_checks import check_optimizer_states
from lit_hf.distributed.fsdp import apply_fsdp
from lit_hf.errors import InputError, as_input_error
from lit_hf.metrics.added import MetricLike, as_metrics
from lit_hf.modules.compiled import compile_forward_alone, names_in, plain_names
from lit_hf.modules.contract import TaskModule
from lit_hf.modules.data_facts import DataFacts
from lit_hf.modules.exportable import Exportable
from lit_hf.modules.fit_end import report_end
from lit_hf.modules.fit_start import begin_fit, begin_steps
from lit_hf.modules.folder_weights import is_export_of, take_exported, warn_of_other_settings
from lit_hf.modules.half_precision import report_half_precision
from lit_hf.modules.loss_guard import LossGuard
from lit_hf.modules.losses import LossFunction, for_each_row
from lit_hf.modules.model_call import ModelCall
from lit_hf.modules.module_tokenizer import ModuleTokenizer
from lit_hf.modules.monitors import check_logged, check_monitors
from lit_hf.modules.optimizers import (
    OptimizerCallable,
    PickledOptimizer,
    SchedulerName,
    make_optimizer,
    parameters_of,
    warmup_of,
    with_schedule,
)
from lit_hf.modules.padding import complete_padding
from lit_hf.modules.precision import make_precise
from lit_hf.modules.safe_settings import SafeSettings
from lit_hf.modules.step_mean import StepMean
from lit_hf.modules.task_model import TaskModel
from lit_hf.modules.training_record import TrainingRecord
from lit_hf.modules.validated import WeightsStep, save_validated
from lit_hf.pretrained.configs import ConfigValue, config_from_dict
from lit_hf.pretrained.given_model import given_model, prepared
from lit_hf.pretrained.hf_objects import ModelSource
from lit_hf.pretrained.integrity import load_added_parts
from lit_hf.pretrained.models import other_weights


class HFModule(
    PickledOptimizer,
    ModelCall,
    SafeSettings,
    ModuleTokenizer,
    Exportable,
    TaskModel,
    TaskModule[Any, Any, Any],
):
    """A Hugging Face model as a LightningModule; the base of the modules of all tasks.

    `module.model` is the plain `PreTrainedModel`. It is loaded when the Trainer has prepared the
    data, or when it is first touched. A subclass names the class that loads it (`auto_class`), and
    says the rest of its task in the hooks of `TaskModule`.

    Args:
        model_name: Hub id or folder of the model; or the model itself, which is trained as it is,
            or its config, for random weights.
        pretrained: load the weights; false builds the model from its config with random weights.
        config_overrides: values that replace those of the model's config, such as
            `num_hidden_layers: 2`.
        optimizer: makes the optimizer from the parameters; biases and norms get no weight decay.
        scheduler: how the learning rate falls after its warm-up: "linear" or "cosine" to 0, or not
            at all: "constant_with_warmup", or "constant" without one; it changes with every step.
        warmup_ratio: share of all steps over which the rate rises from 0; 0.1 unless given.
        loss: the loss of the training in place of the task's own: `(input, target)` to a number for
            each row, such as `torch.nn.CrossEntropyLoss`.
        metrics: more metrics by name, logged as `val/name` and `test/name`: objects of torchmetrics
            classes, or functions of all predictions and labels.
    """

    task: str
    _optimizer_states: Sequence[Mapping[str, Any]] = ()  # of the checkpoint that is resumed
    checkpoint_config: Mapping[str, object] | None = None  # of a checkpoint that will be loaded

    def __init__(
        self,
        model_name: ModelSource,
        pretrained: bool = True,
        config_overrides: dict[str, ConfigValue] | None = None,
        optimizer: OptimizerCallable = lambda params: AdamW(
            params, lr=2e-5, weight_decay=0.01, fused=True
        ),
        scheduler: SchedulerName = "linear",
        warmup_ratio: float | None = None,
        loss: LossFunction | None = None,
        metrics: Mapping[str, MetricLike] | None = None,
    ) -> None:
        super().__init__()
        self.given = given_model(model_name, pretrained, config_overrides)
        self.model_name = self.given.name
        self.pretrained = pretrained and self.given.config is None
        self.optimizer, self.config_overrides = optimizer, dict(config_overrides or {})
        self.scheduler, self.warmup_ratio = scheduler, warmup_of(scheduler, warmup_ratio)
        self.loss, self.added_metrics = for_each_row(loss), as_metrics(metrics or {})
        self._resume, self._guard, self._mean = ResumeState(), LossGuard(), StepMean()
        self.weights_step, self._record = WeightsStep(), TrainingRecord()
        self.save_hyperparameters({"model_name": self.model_name})  # others are kept by name

    # The model.

    @torch.inference_mode(False)  # a model first touched under inference_mode must still learn
    def configure_model(self) -> None:
        """Load or build the model once; from the config of the checkpoint where one is resumed."""
        if "model" not in self._modules:
            self._make_model()
        apply_fsdp(self.model, self._trainer)

    def _make_model(self) -> None:
        if self._trainer is not None:  # callbacks that need the model come before `setup`
            self.connect_data(self._trainer.state.fn or "")
        overrides: Mapping[str, object] = self.config_overrides
        pretrained = self.pretrained
        if self.checkpoint_config is not None:
            overrides, pretrained = self.checkpoint_config, False
        if "transformers_version" in overrides:  # a whole config, as checkpoints hold it
            config = config_from_dict(overrides)
            self.check_config(config)
        if "transformers_version" not in overrides or self.given.model is not None:
            config = self.given.own_config(self.config_overrides)
            self.complete_config(config)
        is_whole = "transformers_version" in overrides
        complete_padding(config, self._trainer, None if is_whole else self.model_name)
        if self.given.model is None:
            self.model = self.load_model(config, pretrained)
        else:
            self.model = self.use_model(prepared(self.given.model))
        is_loaded = pretrained and self.given.model is None
        if is_loaded and is_export_of(type(self), config):
            load_added_parts(self.model, self.model_name)
        self.model.train(self.training)  # from_pretrained returns eval mode and Lightning keeps it
        make_precise(self.setup_metrics)
        self.to(self.device)  # it may have been moved before the model was first touched

    def setup(self, stage: str) -> None:
        """Take what the data knows, also where the model is there already."""
        if stage == "fit":  # nothing is of an earlier training, which may have been stopped
            self._resume, self._guard, self._mean = ResumeState(), LossGuard(), StepMean()
            self.weights_step.validated = None
        compile_forward_alone(self)
        self.connect_data(stage)
        self._record.check_data(self.trainer, self)
        warn_of_other_settings(self)
        report_half_precision(self.trainer)

    def connect_data(self, stage: str) -> None:
        """Take what the Trainer's data knows; refuse data of another task."""
        if DataFacts(self.trainer).task not in (None, self.task):
            raise InputError(
                f"the data is of the task {DataFacts(self.trainer).task!r}, the module of "
                f"{self.task!r}."
            )
        self.take_names(stage)
        take_exported(self.trainer, self)
        if "model" in self._modules:
            complete_padding(self.model.config, self.trainer)

    # A training.

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The injected optimizer with two parameter groups, and a schedule per step."""
        optimizer, trainer = make_optimizer(self.optimizer, self), self.trainer
        num_steps = trainer.estimated_stepping_batches
        return with_schedule(optimizer, self.scheduler, self.warmup_ratio, num_steps)

    def on_fit_start(self) -> None:
        """Begin in training mode; refuse what the model or its schedule does not go with."""
        begin_fit(self.trainer, self, self.model)
        states, self._optimizer_states = self._optimizer_states, []
        check_optimizer_states(self.trainer, states)
        self.weights_step.begin_training(self.trainer)
        check_monitors(self.trainer, self.metric_names(), self.added_metrics)

    def on_train_start(self) -> None:
        """Prepare the optimizers' steps; look which rows are trained and validated."""
        self.check_loaders(self.trainer.train_dataloader)
        begin_steps(self.trainer, self)
        self._record.begin_training(self.trainer)

    def on_train_batch_start(self, batch: Mapping[str, object], batch_idx: int) -> None:
        """Draw the random numbers of the batch as an uninterrupted training would."""
        self._mean.begin_batch()
        self._resume.begin_batch(self.trainer, batch_idx, self.device)

    def training_step(self, batch: Mapping[str, object], batch_idx: int) -> StepOutput:
        """Loss, and detached losses and logits for whoever shows samples."""
        output = self.step(batch, "train")
        self._guard.check(self.trainer, output, batch)
        self.log("train/loss", output["loss"].detach(), prog_bar=True)
        output["loss"] = self._mean.weigh(self.trainer, output["loss"], output["weight"])
        return output

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop where a loss was no number; divide the gradients by what they are of."""
        self._guard.raise_if_bad(self.trainer)
        self._mean.divide(self.trainer, parameters_of(optimizer))
        self.weights_step.trained = self.trainer.global_step + 1

    def on_fit_end(self) -> None:
        """Tell which weights and monitors got no score."""
        report_end(self.trainer, self.weights_step.validated)

    # An evaluation.

    def on_validation_start(self) -> None:
        """Count from nothing; draw the random numbers as an uninterrupted training would."""
        self._begin_evaluation("val", self.trainer.val_dataloaders)
        self._resume.begin_validation(self.trainer, self.device)

    def on_test_start(self) -> None:
        """Count from nothing."""
        self._begin_evaluation("test", self.trainer.test_dataloaders)

    def on_predict_start(self) -> None:
        """Number the rows from 0; say where better weights are known."""
        self._num_rows = 0
        self.check_loaders(None)
        self.weights_step.begin_evaluation(self.trainer)

    def _begin_evaluation(self, stage: Literal["val", "test"], loaders: object) -> None:
        self._num_rows = 0
        self.check_loaders(loaders)
        self.reset_metrics(stage)
        self._record.begin_evaluation(self.trainer, stage)
        self.weights_step.begin_evaluation(self.trainer)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the validation."""
        self.log_metrics("val")
        self._resume.end_validation()
        self.weights_step.end_validation(self.trainer)

    def on_validation_end(self) -> None:
        """Look for monitors of other names among what callbacks and subclasses have logged."""
        check_logged(self.trainer)

    # Checkpoints.

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Keep the whole config, so that loading needs neither network nor pretrained weights."""
        self._resume.save(self._trainer, checkpoint, self.device)
        save_validated(self._trainer, self, checkpoint)
        checkpoint["state_dict"] = plain_names(cast("Any", checkpoint.get("state_dict") or {}))
        metrics = {} if self._trainer is None else self._trainer.callback_metrics
        add_metadata(checkpoint, self, self.model.config, metrics, self.weights_step.validated)
        self._record.save(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Take what a checkpoint holds; one error names what cannot be taken."""
        if self._trainer is None:  # who loads a module alone names the file
            self.take_checkpoint(checkpoint)
            return
        with as_input_error(str(self._trainer.ckpt_path)):
            self.take_checkpoint(checkpoint)

    def take_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the random numbers' state, for a training that resumes, and the rows so far."""
        self._optimizer_states = checkpoint.get("optimizer_states") or []
        self._record.load(self._trainer, checkpoint)
        self._resume.load(self._trainer, checkpoint)
        self.weights_step.load(checkpoint)

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True, assign: bool = False
    ) -> object:
        """Take the weights of a checkpoint; those of another loss or of other metrics are skipped.

        Raises:
            InputError: if they are those of another model, such as one with another head.
        """
        self.configure_model()  # in a notebook other processes have trained, and made their own
        saved: Mapping[str, Any] = names_in(self, state_dict)
        others = ("loss.", "metrics.")  # of which the module's own count where others are saved
        own = {n: value for n, value in self.state_dict().items() if n.startswith(others)}
        same = [n for n in saved if n in own and own[n].shape == saved[n].shape]
        kept = {n: v for n, v in saved.items() if n in same or not n.startswith(others)}
        try:
            return super().load_state_dict({**own, **kept}, strict=strict, assign=assign)
        except RuntimeError as error:
            raise other_weights(error) from error
