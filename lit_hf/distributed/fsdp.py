"""FSDP: each process keeps a part of every layer, and gathers the layer while it runs."""

from collections import Counter
from collections.abc import Iterator

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_hf.errors import InputError


def configure_fsdp(trainer: Trainer) -> None:
    """Let a Trainer of `ModelParallelStrategy` share the weights among all of its processes.

    Its checkpoints become files. A folder of shards is filled under its final name, so that a kill
    leaves half of one, and its index is a pickle, which may run anything.

    Args:
        trainer: before it starts.
    """
    strategy = trainer.strategy
    if isinstance(strategy, ModelParallelStrategy):
        # Lightning reads them when it starts, and has no other place to set them after.
        strategy._save_distributed_checkpoint = False
        if strategy._tensor_parallel_size == "auto":
            strategy._tensor_parallel_size = 1
        if strategy._data_parallel_size == "auto":
            strategy._data_parallel_size = trainer.num_devices * trainer.num_nodes
        num_parts = strategy._data_parallel_size, strategy._tensor_parallel_size
        _check_sizes(num_parts, trainer.num_devices * trainer.num_nodes)


def apply_fsdp(model: PreTrainedModel, trainer: Trainer | None) -> None:
    """Divide the weights among the processes, if the Trainer's strategy asks for it; once.

    Each layer is gathered when it runs, and what belongs to none (embeddings, the head, weights
    that two places share) with the whole model. See
    https://docs.pytorch.org/docs/stable/distributed.fsdp.fully_shard.html

    Args:
        model: on every process the same.
        trainer: whose processes have found each other.

    Raises:
        InputError: if the strategy divides the tensors of a layer or writes folders, or if a
            callback averages the weights.
    """
    strategy = None if trainer is None else trainer.strategy
    if trainer is None or not isinstance(strategy, ModelParallelStrategy):
        return
    from torch.distributed.fsdp import FSDPModule, fully_shard  # not in every build of PyTorch

    if isinstance(model, FSDPModule):
        return
    mesh = strategy.device_mesh
    _check_sizes(tuple(mesh.shape), mesh.size())
    _check_run(trainer, strategy)
    for loop in (trainer.validate_loop, trainer.test_loop, trainer.predict_loop):
        loop.inference_mode = False  # gathered weights have versions, tensors made in it have none
    for layer in layers_of(model):
        fully_shard(layer, mesh=mesh["data_parallel"])
    fully_shard(model, mesh=mesh["data_parallel"])


def is_sharded(trainer: Trainer | None) -> bool:
    """Whether each process holds a part of the weights, so that all must run in step."""
    sharding = (FSDPStrategy, ModelParallelStrategy, DeepSpeedStrategy)
    return trainer is not None and isinstance(trainer.strategy, sharding)


def put_back(model: nn.Module) -> None:
    """Put gathered weights back, so that `parameters()` are the parts that the optimizer holds.

    What belongs to no layer stays gathered after a validation.
    """
    if not dist.is_available():
        return
    from torch.distributed.fsdp import FSDPModule  # not in every build of PyTorch

    if isinstance(model, FSDPModule):
        model.reshard()


def passes(rows: Tensor, size: int, in_step: bool) -> Iterator[tuple[Tensor, bool]]:
    """Divide rows into parts that are run one after the other.

    Args:
        rows: [N] their numbers, at least one.
        size: rows of a part at most.
        in_step: whether all processes have to run equally often, however few rows they have; the
            last part then comes again.

    Yields:
        A part, and whether it has come before.
    """
    parts = torch.split(rows, size)
    num_parts = torch.tensor(len(parts), device=rows.device)
    if in_step:
        dist.all_reduce(num_parts, dist.ReduceOp.MAX)
    for number in range(int(num_parts)):
        yield parts[min(number, len(parts) - 1)], number >= len(parts)


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model: those of its outermost lists of modules of one class.

    A layer that shares a weight with another place is left out: a weight is gathered as one.
    """
    uses = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))

    def owns(layer: nn.Module) -> bool:
        own = Counter(id(weight) for _, weight in layer.named_parameters(remove_duplicate=False))
        return bool(own) and all(uses[weight] == num for weight, num in own.items())

    return list(filter(owns, _blocks(model)))


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for part in module.children():
        if isinstance(part, nn.ModuleList) and len({type(layer) for layer in part}) == 1:
            yield from part
        else:
            yield from _blocks(part)


def _check_sizes(sizes: tuple[int, ...], num_processes: int) -> None:
    if sizes != (num_processes, 1):
        raise InputError(
            f"`trainer.strategy: ModelParallelStrategy` needs `data_parallel_size: {num_processes}`"
            ", the number of processes, and `tensor_parallel_size: 1`, but got "
            f"{sizes[0]} and {sizes[1]}: each process takes examples of its own."
        )


def _check_run(trainer: Trainer, strategy: ModelParallelStrategy) -> None:
    """Refuse checkpoints that nothing reads, and averages, which break late."""
    writes = trainer.state.fn == "fit" and bool(trainer.checkpoint_callbacks)
    if writes and strategy._save_distributed_checkpoint:
        raise InputError(
            "ModelParallelStrategy would write each checkpoint as a folder of shards, which "
            "nothing here reads: give it `save_distributed_checkpoint=False`."
        )
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # of a connector
    if any(isinstance(callback, WeightAveraging) for callback in callbacks):
        raise InputError(
            "averages of the weights do not work with a model in parts: take "
            "`trainer.strategy: ddp`, or leave them out."
        )
