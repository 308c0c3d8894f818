"""What a step computes: the loss of a batch with its graph, once, or as often as an optimiser asks for it.

During a search the loss is one function of the weights: the batch, its augmentation and dropout's masks stay as they are. A batch goes through
the network `CHUNK` images at a time and its gradients are added up, so that even the whole training set needs no graph of its own size;
only Newton's products need the graph of the whole batch.

Where batches are parts of the data, quasi-Newton pairs come from the images that consecutive batches share (Berahas et al. 2016, 1605.06049).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from seewhy.core.errors import RunError
from seewhy.core.seeding import derive, seed_global
from seewhy.models.family import Inputs, StepResult, Update
from seewhy.optim import Newton
from seewhy.training.events import GradientsReady
from seewhy.training.job import Job
from seewhy.training.nonfinite import first_bad_layer

CHUNK = 1000
"""Images of a forward and backward pass in a search."""


def step_seed(job: Job, step: int) -> int:
    """Return the seed of what a step samples, such as dropout's masks: it depends on the run's seed, the step and the process alone."""
    return derive(job.seed, "step", step, job.engine.rank)


def forward(job: Job, update: Update, inputs: Inputs) -> StepResult:
    """Return the result of a batch, with the loss's graph."""
    if not update.direct:
        return update.criterion(update.forward(job.wrapped, inputs), inputs)
    with job.engine.autocast():
        return update.criterion(update.forward(job.model, inputs), inputs)


def backward(job: Job, update: Update, loss: Tensor, inputs: Inputs, global_size: int) -> None:
    """Backpropagate. Processes average their gradients with equal weight, so a smaller share of the batch must count less."""
    scaled = loss * (len(inputs) * job.engine.world / global_size)
    if update.direct:
        scaled.backward()  # type: ignore[no-untyped-call]
        job.engine.average_gradients(job.model)
    else:
        job.engine.backward(scaled)


def summed(job: Job, step: int, update: Update, inputs: Inputs, sums: Mapping[str, Tensor]) -> dict[str, float]:
    """Return metrics summed over all processes; raises RunError if one that is a loss is not finite."""
    values = job.engine.all_reduce_sum(torch.stack([value.float() for value in sums.values()])).tolist()
    if not all(map(math.isfinite, values)):
        _stop_at_nonfinite(job, step, lambda: update.forward(job.model, inputs))
    return dict(zip(sums, values, strict=True))


class BatchLoss:
    """The mean loss over a batch as closures, and the metrics where the step begins.

    Attributes:
        sums: metrics summed over the batch at the first evaluation of the whole of it; None before.
    """

    def __init__(self, job: Job, update: Update, inputs: Inputs, seed: int) -> None:
        """Take a batch; the seed is of dropout's masks, the same at every evaluation."""
        self.job, self.update, self.inputs, self.seed = job, update, inputs, seed
        self.sums: dict[str, Tensor] | None = None

    def over(self, first: int = 0) -> Callable[[], Tensor]:
        """Return the closure over the images from `first` on: it computes the gradients and returns the mean loss."""
        job = self.job

        def closure() -> Tensor:
            seed_global(self.seed, job.engine.device)
            job.optimizer.zero_grad(set_to_none=True)
            count = len(self.inputs) - first
            total = torch.zeros((), dtype=torch.float64)
            sums: dict[str, Tensor] = {}
            for start in range(first, len(self.inputs), CHUNK):
                result = forward(job, self.update, self.inputs[start : start + CHUNK])
                loss = result.loss * (result.count / count)
                job.engine.backward(loss)
                total += loss.detach().double().cpu()
                sums = {name: sums.get(name, 0.0) + value.cpu() for name, value in result.sums.items()}
            if self.sums is None and first == 0:
                self.sums = sums
            if job.penalties is not None:
                penalty = job.penalties.loss()
                penalty.backward()  # type: ignore[no-untyped-call]
                total += penalty.detach().double().cpu()
            return total.float()

        return closure

    def graph(self) -> tuple[Tensor, Any]:
        """Return the mean loss and the network's outputs with their graph."""
        job = self.job
        seed_global(self.seed, job.engine.device)
        with job.engine.autocast():  # the engine's own wrapping refuses all derivatives but its backward
            outputs = self.update.forward(job.model, self.inputs)
        result = self.update.criterion(outputs, self.inputs)
        if self.sums is None:
            self.sums = {name: value.cpu() for name, value in result.sums.items()}
        return (result.loss if job.penalties is None else result.loss + job.penalties.loss()), outputs


def search(job: Job, update: Update, inputs: Inputs, step: int, shared: int) -> dict[str, float]:
    """Let the optimiser evaluate the batch as it likes; return the metrics where it began, summed over the batch.

    Within the optimiser's step: zero_grad, loss and backward at the weights as they are, `GradientsReady`, then the search.
    """
    loss = BatchLoss(job, update, inputs, step_seed(job, step))

    def on_gradient() -> None:
        with torch.enable_grad():  # optimisers step without: observers find the same mode at every event
            job.emit(GradientsReady(step + 1, update.network))

    if isinstance(job.optimizer, Newton):
        both = job.optimizer.curvature == "gauss_newton"
        job.optimizer.step(loss.graph if both else lambda: loss.graph()[0], on_gradient)
    else:
        overlap = loss.over(len(inputs) - shared) if shared else None
        job.optimizer.step(loss.over(), overlap, on_gradient)
    assert loss.sums is not None
    return summed(job, step, update, inputs, loss.sums)


def _stop_at_nonfinite(job: Job, step: int, again: Callable[[], object]) -> NoReturn:
    """Stop the run whose outputs `again` computes once more, naming the step, the layer, and the last checkpoint that is good."""
    with job.engine.autocast():
        layer = first_bad_layer(job.model, again)
    kept = job.checkpoints.has("last")
    last = f"the last good checkpoint is kept in {job.checkpoints.folder}" if kept else "there is no checkpoint yet"
    raise RunError(
        f"the loss is not finite at step {step + 1}; the first bad value appeared in {layer}; {last}; "
        "try a lower optim.lr, or train.precision fp32"
    )
