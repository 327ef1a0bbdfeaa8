"""What is measured on, and which precisions it has."""

import os
import re

import torch

from benchmarks.record import processor


def accelerator() -> str:
    """The kind of what is measured on, "gpu" where PyTorch sees one."""
    return "gpu" if torch.cuda.is_available() else "cpu"


def device_name() -> str:
    """The name of the GPU, or "CPU"."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def slug(name: str) -> str:
    """A name as a part of a file's.

    >>> slug("NVIDIA A100-SXM4-80GB")
    'nvidia_a100_sxm4_80gb'
    """
    return re.sub(r"[^a-z0-9]+", "_", name.lower())


def machine() -> str:
    """What is measured on, with what matters of it."""
    if not torch.cuda.is_available():
        return processor()
    gpu = torch.cuda.get_device_properties(0)
    return (
        f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, compute capability {gpu.major}."
        f"{gpu.minor}, CUDA {torch.version.cuda}, {os.cpu_count()} cores"
    )


def absent(work: str, precision: str) -> str:
    """Why a precision is not there for a work; "" where it is."""
    has_gpu = torch.cuda.is_available()
    if precision == "16-mixed" and not has_gpu:
        return "a CPU has no 16-mixed, Lightning computes in bf16-mixed there"
    if precision == "16-mixed" and work == "t5":
        return "lit_hf refuses T5 in float16, in which its activations overflow to NaN"
    has_bf16 = not has_gpu or torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16-mixed" and not has_bf16:
        return f"{device_name()} computes no bfloat16 by itself, PyTorch emulates it"
    return ""
