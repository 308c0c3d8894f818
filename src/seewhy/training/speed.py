"""How fast a network trains on this machine, measured before the run."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from seewhy.core.seeding import seed_global
from seewhy.models.family import Inputs, Objective, Update
from seewhy.optim import Newton
from seewhy.spec import DataFacts
from seewhy.training.fabric import Engine

REPEATS = 4

LATE = 10**6
"""The step from which on updates are measured: what is trained at first may be less than later."""

PATTERN = 100
"""Steps after which what they update is taken to repeat."""


def measure_speed(
    objective: Objective,
    make_optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer],
    model: torch.nn.Module,
    engine: Engine,
    facts: DataFacts,
    batch_size: int,
) -> float:
    """Return the training speed in images/s over all processes: whole steps on a throw-away copy of the network."""
    count = max(8, min(batch_size // engine.world, 512 if facts.small else 64))
    images = torch.randint(0, 256, (count, *facts.shape), dtype=torch.uint8)
    images = images.contiguous(memory_format=torch.channels_last).to(engine.device)
    labels = torch.randint(0, max(1, facts.classes), (count,)).to(engine.device)
    inputs = Inputs(images, labels, labels)
    network = copy.deepcopy(model).to(engine.device).train()
    if objective.precomputed is not None:
        with engine.autocast():
            inputs = Inputs(objective.precomputed.features(network, images), labels, labels)
        network.train()
    optimizer = make_optimizer(network)

    def graph(update: Update) -> tuple[torch.Tensor, Any]:
        seed_global(0, engine.device)  # dropout's masks belong to the function that is searched
        with engine.autocast():
            outputs = update.forward(network, inputs)
            return update.criterion(outputs, inputs).loss, outputs

    def loss_of(update: Update) -> torch.Tensor:
        return graph(update)[0]

    def closure(update: Update) -> torch.Tensor:
        optimizer.zero_grad()
        with update.training_only(network):
            loss, _ = graph(update)
            loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def one_step(updates: Sequence[Update]) -> None:
        for update in updates:
            if isinstance(optimizer, Newton):
                both = optimizer.curvature == "gauss_newton"
                optimizer.step(partial(graph, update) if both else partial(loss_of, update))
            else:
                step: Any = optimizer.step
                step(partial(closure, update))  # first-order optimisers call it once

    # Steps differ in what they update: every fifth may move the generator, every one the discriminator.
    steps = [objective.updates(LATE + step) for step in range(PATTERN)]
    kinds = {tuple(update.network for update in updates): updates for updates in steps}
    seconds = {networks: _least_seconds(partial(one_step, updates), engine) for networks, updates in kinds.items()}
    total = sum(seconds[tuple(update.network for update in updates)] for updates in steps)
    return engine.world * count * len(steps) / total


def _least_seconds(step: Callable[[], None], engine: Engine) -> float:
    """Return the least time of a few calls."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best
