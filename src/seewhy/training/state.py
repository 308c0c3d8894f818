"""Global state belongs to the caller: what training and prediction change of it is given back, also after an exception or Ctrl-C.

    random state      torch's (and every CUDA device's), numpy's, Python's
    numbers           torch's default dtype and device, matrix-product precision, thread count
    modes             gradient mode, inference mode, autocast: the caller's, which would break training or ruin it without a word
    warnings          the filters

Signal handlers are given back by the code that sets them (`seewhy.runs.stopping`).

This state belongs to the whole process, so only one thread computes at a time: predictions wait for one another, and while one thread trains,
another is refused instead of being waited for, or of mixing its random numbers with the training's.
"""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from seewhy.core.errors import InputError

_computing = threading.RLock()
_training = False


@contextmanager
def training() -> Iterator[None]:
    """Run a training in a block, in torch's usual state, and give the caller's back.

    Raises:
        InputError: another thread of this process trains.
    """
    global _training
    with isolated():
        nested, _training = _training, True
        try:
            yield
        finally:
            _training = nested


@contextmanager
def isolated() -> Iterator[None]:
    """Run a block in torch's usual state, and give the caller's back.

    Raises:
        InputError: another thread of this process trains.
    """
    while not _computing.acquire(timeout=0.05):
        if _training:
            raise InputError(
                "seewhy: another thread of this process is training, whose random state and settings are the whole process's; "
                "wait for it, or compute in a process of its own"
            )
    try:
        with _usual_state():
            yield
    finally:
        _computing.release()


@contextmanager
def _usual_state() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  the caller's legacy state
    generator = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    precision = torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        if torch.get_default_device().type != "cpu":  # a default device costs every call of torch some time
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        try:
            torch.set_default_dtype(torch.float32)
            yield
        finally:
            torch.set_default_dtype(dtype)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            torch.set_rng_state(generator)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)
