"""What generators are trained for: a likelihood, or a game.

A generator's `forward` gives figures of each image, among them the loss in nats an image; means over images are what is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.seeding import derive, seed_global
from seewhy.data import Part
from seewhy.training.fabric import Engine

CHUNK = 250
"""Images of a forward pass in evaluation; each chunk draws from a seed of its own, whichever process computes it."""


@dataclass(frozen=True)
class Density:
    """Maximum likelihood, or a bound of it: minimise the mean over images of the generator's loss.

    Attributes:
        columns: the figures that the generator's forward gives for each image; "loss" comes first.
        conditional: whether it is told the class.
        warmup: share of the steps in which the weight of the KL term rises from 0 to 1; None for generators without one.
    """

    columns: tuple[str, ...] = ("loss",)
    conditional: bool = False
    warmup: float | None = None

    def losses(
        self, network: Callable[..., Any], images: Tensor, labels: Tensor, _targets: Tensor, done: float, /
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss, and the figures' sums over the batch."""
        options = {} if self.warmup is None else {"kl_weight": min(1.0, done / self.warmup) if self.warmup else 1.0}
        found = network(images, labels if self.conditional else None, **options)
        return found["loss"].mean(), torch.stack([found[name].detach().float().sum() for name in self.columns])

    def score(self, row: Mapping[str, float]) -> list[float]:
        """Rank by the loss."""
        return [-row["val_loss"]]


@torch.no_grad()
def mean_figures(engine: Engine, task: Density, part: Part, model: nn.Module) -> dict[str, float]:
    """Return the means of the task's figures over a part, the same at every call and for any number of processes."""
    model.eval()
    sums = torch.zeros(len(task.columns), dtype=torch.float64, device=engine.device)
    starts = range(0, len(part), CHUNK)
    with torch.random.fork_rng(devices=[] if engine.device.type == "cpu" else None):
        for start in starts[engine.rank :: engine.world]:
            rows = torch.arange(start, min(start + CHUNK, len(part)))
            seed_global(derive(0, "validation", start), engine.device)
            images, labels = part.images(rows).to(engine.device), part.labels[rows].to(engine.device)
            with engine.autocast():
                sums += task.losses(model, images, labels, labels, 1.0)[1].double()
    means = engine.total(sums) / len(part)
    return dict(zip(task.columns, means.tolist(), strict=True))
