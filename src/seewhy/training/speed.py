"""How fast a network trains on this machine, measured before the run."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from seewhy.core.seeding import seed_global
from seewhy.models.family import Inputs, Objective, Update
from seewhy.optim import Newton
from seewhy.spec import DataFacts
from seewhy.training.fabric import Engine


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
    optimizer = make_optimizer(network)
    updates = objective.updates(0)

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

    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        for update in updates:
            if isinstance(optimizer, Newton):
                both = optimizer.curvature == "gauss_newton"
                optimizer.step(partial(graph, update) if both else partial(loss_of, update))
            else:
                step: Any = optimizer.step  # torch's stubs want a closure that returns a float
                step(partial(closure, update))  # first-order optimisers call it once
        if engine.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return engine.world * count / best
