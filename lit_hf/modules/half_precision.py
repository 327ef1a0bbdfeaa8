"""Whether half precision is quicker here: devices without it emulate it, far more slowly."""

import logging
import time

import torch
from lightning.pytorch import Trainer
from torch.nn.functional import linear

log = logging.getLogger(__name__)
_DTYPES = {"bf16": torch.bfloat16, "16": torch.float16}  # by how names of precisions begin
_NUM_ROWS, _WIDTH = 32, 256  # 4 million operations, some ms where bfloat16 is emulated
_FEWEST, _MOST, _ENOUGH = 4, 20, 0.005  # how often it is done, and the seconds that are enough


def report_half_precision(trainer: Trainer) -> None:
    """Say where the half precision of a run is slow on its device, and on a CPU how quick it is.

    Nothing is changed. On the CPU a product of the size of a small layer is timed in both
    precisions; a GPU is asked whether it has bfloat16 or emulates it.
    """
    dtype = _DTYPES.get(str(trainer.precision).partition("-")[0])
    if dtype is None or not trainer.is_global_zero:
        return
    device = trainer.strategy.root_device
    asked = f"`trainer.precision: {trainer.precision}`:"
    if device.type == "cpu":
        _report_speed(asked, dtype)
    elif device.type == "cuda" and dtype == torch.bfloat16:
        with torch.cuda.device(device):
            if not torch.cuda.is_bf16_supported(including_emulation=False):
                log.warning(
                    f"{asked} this GPU emulates bfloat16, slowly; `trainer.precision: 16-mixed` "
                    "is quicker."
                )


def _report_speed(asked: str, dtype: torch.dtype) -> None:
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
    """The shortest time that a product takes in one thread; it draws no random numbers.

    On a busy machine several threads wait for each other many times longer than they compute.
    """
    values, weight = (
        torch.ones(size, _WIDTH, dtype=dtype, device="cpu") for size in (_NUM_ROWS, _WIDTH)
    )
    took: list[float] = []
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            linear(values, weight)  # the first one makes kernels
            while len(took) < _FEWEST or (len(took) < _MOST and sum(took) < _ENOUGH):
                began = time.perf_counter()
                linear(values, weight)
                took.append(time.perf_counter() - began)
    finally:
        torch.set_num_threads(num_threads)
    return min(took)
