"""One step on one batch: along the gradient, or as an optimiser searches that evaluates the loss itself (Newton's, quasi-Newton methods).

During a search the loss is one function of the weights: the batch, its augmentation and dropout's masks stay as they are. A batch goes through
the network `AT_ONCE` images at a time and its gradients are added up, so that even the whole training set needs no graph of its own size;
only Newton's products need the graph of the whole batch.

Where batches are parts of the data, quasi-Newton pairs come from the images that consecutive batches share (Berahas et al. 2016, 1605.06049).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from seewhy.core.errors import RunError
from seewhy.core.seeding import derive, seed_global
from seewhy.data import Batch
from seewhy.optim import Newton
from seewhy.training.loop.job import Job
from seewhy.training.loop.nonfinite import first_bad_layer
from seewhy.training.tasks import Recognition

AT_ONCE = 1000
"""Images of a forward and backward pass."""


class Objective:
    """The mean loss over a batch as closures, and what the first look at the whole batch saw.

    Attributes:
        sums: log-loss (nats) and right answers, summed over the batch where the step begins: float32 (2,).
    """

    def __init__(self, task: Recognition, job: Job, images: Tensor, labels: Tensor, targets: Tensor, seed: int) -> None:
        """Take a batch.

        Args:
            task: the loss.
            job: the run.
            images: uint8 (N, C, H, W).
            labels: int64 (N,).
            targets: the labels, or target probabilities (N, K).
            seed: of dropout's masks, the same at every evaluation.
        """
        self.task, self.job, self.seed = task, job, seed
        self.images, self.labels, self.targets = images, labels, targets
        self.sums: Tensor | None = None

    def over(self, first: int = 0) -> Callable[[], Tensor]:
        """Return the closure over the images from `first` on: it computes the gradients and returns the mean loss."""

        def closure() -> Tensor:
            seed_global(self.seed, self.job.engine.device)
            self.job.optimizer.zero_grad(set_to_none=True)
            count = len(self.labels) - first
            total = torch.zeros((), dtype=torch.float64)
            sums = torch.zeros(2)
            for start in range(first, len(self.labels), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                logits = self.job.wrapped(self.images[part])
                loss = self.task.loss(logits, self.targets[part]) * (len(logits) / count)
                self.job.engine.backward(loss)
                total += loss.detach().double().cpu()
                sums += self._seen(logits.detach(), part)
            if self.sums is None and first == 0:
                self.sums = sums
            if self.job.penalties is not None:
                penalty = self.job.penalties.loss()
                penalty.backward()  # type: ignore[no-untyped-call]
                total += penalty.detach().double().cpu()
            return total.float()

        return closure

    def graph(self) -> tuple[Tensor, Tensor]:
        """Return the mean loss and the logits with their graph."""
        seed_global(self.seed, self.job.engine.device)
        with self.job.engine.autocast():  # the engine's own wrapping refuses all derivatives but its backward
            logits = self.job.model(self.images)
        if self.sums is None:
            self.sums = self._seen(logits.detach(), slice(None))
        loss = self.task.loss(logits, self.targets)
        return (loss if self.job.penalties is None else loss + self.job.penalties.loss()), logits

    def _seen(self, logits: Tensor, part: slice) -> Tensor:
        return self.task.seen(logits, self.labels[part]).cpu()


def descend(job: Job, step: int, images: Tensor, labels: Tensor, targets: Tensor, batch: Batch) -> list[float]:
    """Step along the gradient; return the task's figures before it, summed over the batch."""
    loss, seen = job.task.losses(job.wrapped, images, labels, targets, step / job.total_steps)
    sums: list[float] = job.engine.total(seen).tolist()
    if not math.isfinite(sums[0]):
        refuse_nonfinite(job, step, lambda: job.task.losses(job.model, images, labels, targets, step / job.total_steps))
    # Processes average their gradients with equal weight, so a smaller share of the batch must count less.
    job.engine.backward(loss * (len(labels) * job.engine.world / batch.global_size))
    if job.penalties is not None:
        job.penalties.before_step()
    job.optimizer.step()
    if job.penalties is not None:
        job.penalties.after_step()
    return sums


def search(
    task: Recognition, job: Job, step: int, images: Tensor, labels: Tensor, targets: Tensor, batch: Batch
) -> list[float]:
    """Let the optimiser evaluate the batch as it likes; return what `descend` does."""
    seed = derive(job.seed, "step", step, job.engine.rank)
    objective = Objective(task, job, images, labels, targets, seed)
    if isinstance(job.optimizer, Newton):
        both = job.optimizer.curvature == "gauss_newton"
        job.optimizer.step(objective.graph if both else lambda: objective.graph()[0])
    else:
        shared = len(labels) - batch.shared
        job.optimizer.step(objective.over(), objective.over(shared) if batch.shared else None)
    assert objective.sums is not None
    sums: list[float] = objective.sums.tolist()
    if not math.isfinite(sums[0]):
        refuse_nonfinite(job, step, lambda: job.model(images))
    return sums


def refuse_nonfinite(job: Job, step: int, again: Callable[[], object]) -> None:
    """Stop the run whose loss `again` computes once more, naming the step, the layer, and the last checkpoint that is good."""
    with job.engine.autocast():
        layer = first_bad_layer(job.model, again)
    kept = job.checkpoints.has("last")
    last = f"the last good checkpoint is kept in {job.checkpoints.folder}" if kept else "there is no checkpoint yet"
    raise RunError(
        f"the loss is not finite at step {step + 1}; the first bad value appeared in {layer}; {last}; "
        "try a lower optim.lr, or train.precision fp32"
    )
