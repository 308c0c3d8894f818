"""A step of a GAN: one of the discriminator and, when it is due, one of the generator, on the same batch.

One optimiser holds the weights of both; it moves those that have gradients, so each player's state goes on by its own steps and is saved with
the other's. Whose turn it is depends on the step alone, which a run that goes on from a checkpoint knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.data import Batch
from seewhy.models.adversarial.gan import Player
from seewhy.training.loop.job import Job
from seewhy.training.loop.steps import refuse_nonfinite


@dataclass(frozen=True)
class Game:
    """Two players' losses.

    Attributes:
        conditional: whether they are told the class.
    """

    conditional: bool = False

    columns = ("discriminator_loss", "generator_loss", "real", "fake")

    def losses(
        self, network: Callable[..., Any], images: Tensor, labels: Tensor, _targets: Tensor, _done: float, /
    ) -> tuple[Tensor, Tensor]:
        """Return both losses added up, by which speed is measured, and the figures' sums; nothing is frozen."""
        told = labels if self.conditional else None
        first, second = network(images, told), network(images, told, player="generator")
        return first.loss + second.loss, self.seen(first, second.loss, len(images))

    def seen(self, first: Any, second: Tensor, count: int) -> Tensor:
        """Return the sums over a batch: both losses, and what the discriminator says of real and of drawn pictures."""
        return torch.stack([first.loss.detach(), second.detach(), first.real, first.fake]).float() * count

    def score(self, row: Mapping[str, float]) -> list[float]:
        """Rank by time: neither loss tells how good the pictures are."""
        return [row["step"]]


def play(
    game: Game, job: Job, step: int, images: Tensor, labels: Tensor, _targets: Tensor, batch: Batch
) -> list[float]:
    """Move the discriminator, and the generator if it is due; return the game's figures, summed over the batch."""
    model: Any = job.model
    told = labels if game.conditional else None
    first = _turn(job, "discriminator", images, told, batch)
    due = (step + 1) % model.turns == 0
    second = _turn(job, "generator", images, told, batch).loss if due else torch.zeros(())
    # Where the generator moves every k-th time only, its loss counts for k steps.
    sums: list[float] = job.engine.total(
        game.seen(first, second.to(first.loss.device) * model.turns, len(images))
    ).tolist()
    if not all(math.isfinite(value) for value in sums):
        refuse_nonfinite(job, step, lambda: game.losses(model, images, labels, labels, 0.0))
    return sums


def _turn(job: Job, player: Player, images: Tensor, labels: Tensor | None, batch: Batch) -> Any:
    """Take one step of a player; return its terms."""
    model: Any = job.model
    job.optimizer.zero_grad(set_to_none=True)
    with model.only(player):
        with job.engine.autocast():
            terms = model(images, labels, player=player)
        # Processes average their gradients with equal weight, so a smaller share of the batch must count less.
        (terms.loss * (len(images) * job.engine.world / batch.global_size)).backward()
    job.engine.average_gradients(model)
    if job.penalties is not None:
        job.penalties.before_step()
    job.optimizer.step()
    if job.penalties is not None:
        with model.only(player):  # the other's weights are not pulled at once more
            job.penalties.after_step()
    return terms
