"""Whether half precision is quicker here: devices without it emulate it, far more slowly."""

import logging

import torch
from lightning.pytorch import Trainer
from torch.utils.benchmark import Timer

log = logging.getLogger(__name__)
_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}  # by how names of precisions begin


def report_half_precision(trainer: Trainer) -> None:
    """Say where the half precision of a run is slow on its device, and on a CPU how quick it is.

    Nothing is changed. On the CPU a product of the size of a small layer is timed in both
    precisions; a GPU is asked whether it has bfloat16 or emulates it.
    """
    dtype = _DTYPES.get(str(trainer.precision).partition("-")[0])
    if dtype is None or not trainer.is_global_zero:
        return
    device, asked = trainer.strategy.root_device, f"`trainer.precision: {trainer.precision}`:"
    if device.type == "cuda" and dtype == torch.bfloat16:
        with torch.cuda.device(device):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                log.warning(f"{asked} this GPU emulates bfloat16, slowly; 16-mixed is quicker.")
    if device.type != "cpu":
        return
    ratio = seconds_of_product(dtype) / seconds_of_product(torch.float32)
    product = f"{asked} on this CPU a product in {str(dtype).removeprefix('torch.')}"
    if ratio > 1:
        log.warning(
            f"{product} takes about {ratio:.2g} times as long as one in float32; "
            "`trainer.precision: 32-true` is quicker."
        )
    else:
        log.info(f"{product} is about {1 / ratio:.2g} times as quick as one in float32.")


def seconds_of_product(dtype: torch.dtype) -> float:
    """The time that a product takes in one thread; no random numbers are drawn.

    4 million operations, some ms where bfloat16 is emulated.
    """
    values = {"rows": torch.ones(32, 256, dtype=dtype), "weight": torch.ones(256, 256, dtype=dtype)}
    with torch.inference_mode(), torch.autocast("cpu", enabled=False):
        timer = Timer(
            "linear(rows, weight)", "from torch.nn.functional import linear", globals=values
        )
        return timer.blocked_autorange(min_run_time=0.005).median
