"""Models that write their answer: what they need for it, and what comes out.

Letters: N sequences, A tokens of the longest.
"""

from collections.abc import Mapping

import torch
from lightning.pytorch import Trainer
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from lit_hf.errors import InputError, nearest

GenerationValue = bool | int | float | str | None | list[int]
DEFAULTS: dict[str, GenerationValue] = {"max_new_tokens": 32, "num_beams": 1}
# What a call decides: one answer for each prompt, as a plain tensor.
_DECIDED = {
    "num_return_sequences",
    "return_dict_in_generate",
    "output_scores",
    "output_logits",
    "output_attentions",
    "output_hidden_states",
}
# Trained in bfloat16, whose numbers reach further than those of float16: these become NaN.
_NOT_IN_FP16 = ("t5", "mt5", "umt5", "longt5", "switch_transformers")


def check_seq2seq(config: PreTrainedConfig) -> None:
    """Refuse a model that does not read one text and write another.

    Raises:
        InputError: for a model without decoder, or one that does not know how an answer begins or
            is padded.
    """
    if not config.is_encoder_decoder:
        raise InputError(
            f"generative question answering wants a model that reads and writes, such as T5 or "
            f"BART, but {config.model_type!r} has no decoder. `ExtractiveQA` takes it."
        )
    for name, use in (
        ("decoder_start_token_id", "answers begin with it"),
        ("pad_token_id", "answers are padded with it"),
        ("eos_token_id", "answers end with it"),
    ):
        if getattr(config, name, None) is None:
            raise InputError(
                f"the model's config has no `{name}` ({use}): add it to its config.json; of a T5 "
                "`decoder_start_token_id` and `pad_token_id` are 0, `eos_token_id` is 1."
            )


def check_precision(trainer: Trainer, config: PreTrainedConfig) -> None:
    """Refuse a T5 in float16.

    Raises:
        InputError: with the reason.
    """
    precision = str(trainer.precision)
    if config.model_type in _NOT_IN_FP16 and precision.startswith("16"):
        raise InputError(
            f"`trainer.precision: {precision}`: {config.model_type!r} was trained in bfloat16, and "
            "its activations overflow in float16 to NaN. Set bf16-mixed, or 32-true where the "
            "device knows no bfloat16."
        )


def set_generation(model: PreTrainedModel, values: Mapping[str, GenerationValue]) -> None:
    """Replace settings of a model's `generation_config`, which its exports keep.

    Raises:
        InputError: if there is no such setting, or it cannot be had with the others.
    """
    config = model.generation_config
    for name in values:
        if name in _DECIDED:
            raise InputError(f"`generation`: {name!r} cannot be set; each prompt has one answer.")
        if not hasattr(config, name):
            known = [key for key in config.to_dict() if not key.startswith("_")]
            raise InputError(f"`generation`: there is no {name!r}.{nearest(name, known)}")
    wanted = {**config.to_dict(), **values}
    if values.get("max_new_tokens") is not None:
        wanted["max_length"] = None  # the older limit, which would be warned of at each call
    try:
        changed = GenerationConfig.from_dict(wanted)
        changed.validate(strict=True)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"`generation`: {reason}") from error
    model.generation_config = changed


def plain_generation(model: PreTrainedModel) -> dict[str, GenerationValue]:
    """The settings of a model's `generation_config` that are not the usual ones, in plain types."""
    kept = model.generation_config.to_diff_dict()
    return {
        name: value
        for name, value in kept.items()
        if name not in {*_DECIDED, "transformers_version"} and not name.startswith("_")
    }


def ends_of(model: PreTrainedModel) -> list[int]:
    """The tokens that end an answer."""
    ends = model.generation_config.eos_token_id
    if ends is None:
        return []
    return [ends] if isinstance(ends, int) else [int(end) for end in ends]


def is_sharded(trainer: Trainer | None) -> bool:
    """Whether each process holds a part of the weights, so that all must run in step."""
    strategy = type(trainer.strategy).__name__ if trainer is not None else ""
    return strategy in ("FSDPStrategy", "ModelParallelStrategy", "DeepSpeedStrategy")


def largest_of_all(number: int, device: torch.device) -> int:
    """The largest of the numbers that the processes have."""
    value = torch.tensor(number, device=device)
    torch.distributed.all_reduce(value, torch.distributed.ReduceOp.MAX)
    return int(value)
