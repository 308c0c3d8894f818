"""Devices, precision and processes: the one file that knows Lightning Fabric.

One process on one device is the usual case. Under `torchrun` or SLURM the same command becomes data-parallel: every process holds the
whole network, takes its share of each batch, and gradients are averaged (DDP; gloo on processors, NCCL on GPUs).
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, unknown_name
from seewhy.core.launcher import Launch, launch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

DEVICES = ("cpu", "cuda", "mps")

Value = TypeVar("Value", float, str)


def choose_device(name: str) -> str:
    """Resolve "auto" to the fastest device present; raises InputError for one that is unknown or absent."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if name not in DEVICES:
        raise unknown_name("train.device", name, ("auto", *DEVICES))
    if not present[name]:
        here = ", ".join(device for device, there in present.items() if there)
        raise InputError(
            f"train.device: {name!r} is not present on this machine, which has {here}; choose one of those or auto"
        )
    return name


def choose_precision(name: str, device: str) -> str:
    """Resolve "auto" to bf16 where the hardware multiplies it fast, else fp32.

    A processor qualifies by its own bf16 instructions (AVX512-BF16, AMX, or Arm's BF16); emulated bf16 would be slower than fp32.
    """
    if name != "auto":
        return name
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        return (
            "bf16" if any(able.get(flag, False) for flag in ("avx512_bf16", "amx_bf16", "arm_bf16", "bf16")) else "fp32"
        )
    return "fp32"


def is_main_process() -> bool:
    """Whether this process writes files and prints, known before any engine is set up."""
    return launch().rank == 0


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, as GPUs' allocators do (glibc only; elsewhere nothing happens).

    By default glibc gives every large block back to the system, which hands it out anew as zeroed pages: a training step on a processor
    spends 5 to 8% of its time on that (benchmarks/step_speed.py).
    """
    trim_threshold, mmap_threshold = -1, -3  # from glibc's malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(mmap_threshold, 2**30)
        mallopt(trim_threshold, 2**31 - 1)


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Keep a library's announcements (Fabric's of precision and process groups, which the run's own plan says) off the terminal for a while."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _leave() -> None:
    """Take this process out of its group, and end the group's threads."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def unwrapped(optimizer: Any) -> torch.optim.Optimizer:
    """Return the optimiser itself of one that an engine has wrapped."""
    from lightning_fabric.wrappers import _FabricOptimizer

    inner: torch.optim.Optimizer = optimizer.optimizer if isinstance(optimizer, _FabricOptimizer) else optimizer
    return inner


class Engine:
    """Where and how precisely a run computes, and how its processes speak to each other."""

    def __init__(self, *, device: str, precision: str, threads: int | None = None, alone: bool = False) -> None:
        """Set up the device and, under torchrun or SLURM, the process group.

        Args:
            device: "cpu", "cuda" or "mps".
            precision: "bf16" (parameters stay in float32, activations are bfloat16) or "fp32".
            threads: processor threads of this process; None leaves torch's choice.
            alone: compute in this process whatever launched it, as prediction does.
        """
        if device == "cpu":
            keep_freed_memory()
        self.threads = threads
        self._accelerator, self._precision = device, precision
        launched = Launch() if alone else launch()
        self._local, self._nodes = launched.local, launched.nodes
        self.apply()
        many = self._local * self._nodes > 1
        self.device: torch.device = self._fabric.device if many else torch.device(device)
        self.rank: int = self._fabric.global_rank if many else 0
        self.world: int = self._fabric.world_size if many else 1

    def apply(self) -> None:
        """Set this process's threads and precision of matrix products, within `seewhy.training.state.isolated`, which takes both back."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        # In bf16 runs the few float32 products left (the output layer) may use bf16 passes too.
        torch.set_float32_matmul_precision("medium" if self._precision == "bf16" else "highest")

    @cached_property
    def _fabric(self) -> Fabric:
        """The engine behind training; prediction in one process has no need of it, nor of the seconds that it takes to import."""
        from lightning_fabric import Fabric
        from lightning_fabric.plugins.environments.lightning import LightningEnvironment

        many = self._local * self._nodes > 1
        with warnings.catch_warnings(), _quiet("lightning_fabric"):
            # Fabric asks for `srun` whenever it is installed, also for the single process that is meant here.
            warnings.filterwarnings("ignore", message=".*srun.*")
            fabric = Fabric(
                accelerator=self._accelerator,
                devices=self._local,
                num_nodes=self._nodes,
                strategy="ddp" if many else "auto",
                precision="bf16-mixed" if self._precision == "bf16" else "32-true",
                # Fabric's own look at the environment would find launchers that did not start this process.
                plugins=None if many else LightningEnvironment(),
            )
            fabric.launch()
        if many:
            # Left to the interpreter's end, the group's threads may still run when their owner is gone, which aborts the process.
            atexit.register(_leave)
        return fabric

    def holds(self, size: int) -> bool:
        """Whether the device has memory of its own in which so many bytes leave half of what is free to the training."""
        return self.device.type == "cuda" and 2 * size <= torch.cuda.mem_get_info(self.device)[0]

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def setup(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[Any, Any]:
        """Move the model to the device and wrap both for precision and processes; the originals share their tensors."""
        wrapped: tuple[Any, Any] = self._fabric.setup(model, optimizer)
        return wrapped

    def backward(self, loss: Tensor) -> None:
        """Accumulate gradients of `loss`."""
        self._fabric.backward(loss)

    def autocast(self) -> Any:
        """Return the context in which forward passes outside a wrapped model run at the engine's precision."""
        return torch.autocast(self.device.type, torch.bfloat16) if self._precision == "bf16" else nullcontext()

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes."""
        if self.world == 1:
            return values
        reduced = self._fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(reduced, Tensor)
        return reduced

    def average_gradients(self, module: nn.Module) -> None:
        """Average a module's gradients over all processes, for losses that were not computed through the wrapped model."""
        if self.world == 1:
            return
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        if not gradients:
            return
        mean = self.all_reduce_sum(torch.cat([gradient.flatten() for gradient in gradients])) / self.world
        for gradient, part in zip(gradients, torch.split(mean, [one.numel() for one in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Put together the rows that process r computed for positions r, r + world, ... in their original order.

        The processes' counts may differ by one.
        """
        if self.world == 1:
            return rows
        count = self.all_reduce_sum(torch.tensor([rows.shape[0]], device=rows.device))
        longest = -(-int(count.item()) // self.world)
        padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
        padded[: rows.shape[0]] = rows
        parts = [torch.empty_like(padded) for _ in range(self.world)]
        torch.distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).reshape(longest * self.world, *rows.shape[1:])[: int(count.item())]

    def broadcast(self, value: Value) -> Value:
        """Return the main process's `value` on every process."""
        if self.world == 1:
            return value
        return self._fabric.broadcast(value)

    def any_rank(self, flag: bool) -> bool:
        """Whether `flag` is set on any process."""
        if self.world == 1:
            return flag
        return bool(self.all_reduce_sum(torch.tensor([float(flag)], device=self.device)).item() > 0)

    def barrier(self) -> None:
        """Wait for the other processes."""
        if self.world > 1:
            self._fabric.barrier()
