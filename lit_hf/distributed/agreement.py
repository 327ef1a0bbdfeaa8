"""What all processes of a run find out together, so that none waits for one that was refused."""

import socket
from typing import TypeVar

import torch.distributed as dist

from lit_hf.errors import InputError

T = TypeVar("T")


def are_several() -> bool:
    """Whether this process has met others."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather(own: T) -> list[T]:
    """What each process has, by its rank; all processes must call it."""
    everywhere = [own]
    if are_several():
        everywhere *= dist.get_world_size()
        dist.all_gather_object(everywhere, own)
    return everywhere


def refuse_together(reason: str) -> None:
    """Let all processes raise what one of them was refused for, such as a file it lacks.

    Args:
        reason: why this process cannot start; "" if it can.

    Raises:
        InputError: in all processes, naming the process if not all were refused.
    """
    everywhere = gather((socket.gethostname(), reason))
    refused = [(rank, host, why) for rank, (host, why) in enumerate(everywhere) if why]
    if refused:
        rank, host, why = refused[0]
        is_one = len(refused) < len(everywhere)
        raise InputError(f"process {rank} on {host}: {why}" if is_one else why)
