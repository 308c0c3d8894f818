"""The training loop.

One step: take the batch, compute the loss, backpropagate, move the weights. All randomness is a function of (seed, epoch, image) or
(seed, step), so a run that goes on from a checkpoint takes the very steps it would have taken.

    for each step t:  lr_t = lr * schedule(t);  g = grad of mean loss over the batch;  w <- optimiser(w, g, lr_t)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from seewhy.core.seeding import derive, seed_global
from seewhy.core.tensors import save_tensors
from seewhy.data import Batch, downsample
from seewhy.models.family import Inputs
from seewhy.training.checkpoint import Checkpoint
from seewhy.training.events import (
    EpochEnded,
    Evaluated,
    GradientsReady,
    OptimizerStepped,
    RunEnded,
    Saved,
    StepEnded,
)
from seewhy.training.job import Job, Progress
from seewhy.training.step import backward, forward, search, step_seed, summed


def fit(job: Job, progress: Progress, stop: Callable[[], bool]) -> str:
    """Train from `progress` to the end of the budget.

    Args:
        job: the run.
        progress: where it stands; changed in place.
        stop: asked after every step; True ends the run with a checkpoint.

    Returns:
        "finished", "early stop" or "interrupted".

    Raises:
        RunError: the loss is not finite, or a checkpoint cannot be written.
    """
    reason = ""
    while not reason:
        reason = _epoch(job, progress, stop)
    job.emit(RunEnded(progress.step, reason))
    return reason


def _epoch(job: Job, progress: Progress, stop: Callable[[], bool]) -> str:
    """Train to the end of the epoch, or to the reason to end the run, which is returned ("" to go on)."""
    epoch, first = divmod(progress.step, job.steps_per_epoch)
    if progress.step >= job.total_steps:
        return "finished"
    job.wrapped.train()
    saved = before = time.perf_counter()
    for batch in job.batches(epoch, first):
        _step(job, progress, batch, epoch)
        now = time.perf_counter()
        progress.seconds += now - before
        progress.epoch_seconds += now - before
        before = now
        if progress.step in job.snapshots and job.engine.is_main:
            save_tensors(_predicting_weights(job), job.snapshots[progress.step])
        ends = progress.step % job.steps_per_epoch == 0 or progress.step == job.total_steps
        best = _end_epoch(job, progress, epoch) if ends else False
        interrupted = job.engine.any_rank(stop())
        if ends or interrupted or now - saved >= job.checkpoint_seconds:
            _save(job, progress, best=best or (ends and job.validation is None))
            saved = time.perf_counter()
        if ends:
            job.emit(EpochEnded(epoch, progress.rows[-1], best))
        if ends and job.patience is not None and progress.epochs_without_gain >= job.patience:
            return "early stop"
        if progress.step == job.total_steps:
            return "finished"
        if interrupted:
            return "interrupted"
    return ""


def _step(job: Job, progress: Progress, batch: Batch, epoch: int) -> None:
    """Take one step on one batch: one update of the network, or one of each in adversarial training."""
    step, size = progress.step, batch.global_size
    seed_global(step_seed(job, step), job.engine.device)
    factor = job.schedule(step)
    for group, lr in zip(job.optimizer.param_groups, job.base_lrs, strict=True):
        group["lr"] = lr * factor
    inputs = _inputs(job, batch, step, epoch)
    sums: dict[str, float] = dict.fromkeys(job.objective.metrics, 0.0)
    for update in job.objective.updates(step):
        with update.training_only(job.model):
            if job.closure:  # zero_grad, loss, backward and gradients ready happen within, as often as the search asks
                sums |= search(job, update, inputs, step, batch.shared)
            else:
                job.optimizer.zero_grad(set_to_none=True)
                result = forward(job, update, inputs)
                backward(job, update, result.loss, inputs, size)
                sums |= summed(
                    job, step, update, inputs, result.sums
                )  # waits for a GPU, which has the backward pass to do
                if job.penalties is not None:
                    job.penalties.before_step()
                job.emit(GradientsReady(step + 1, update.network))
                job.optimizer.step()
                if job.penalties is not None:
                    job.penalties.after_step()
            job.emit(OptimizerStepped(step + 1, update.network))
    if job.average is not None:
        job.average.update(job.model, step)
    progress.step += 1
    progress.sums = {name: progress.sums.get(name, 0.0) + value for name, value in sums.items()}
    progress.images += size
    means = {name: value / size for name, value in sums.items()}
    job.emit(StepEnded(progress.step, epoch, means, job.base_lrs[0] * factor, size))


def _inputs(job: Job, batch: Batch, step: int, epoch: int) -> Inputs:
    """Bring a batch to the device, mix its pairs, and downsample it in the first part of the run."""
    engine, objective = job.engine, job.objective
    images = batch.images.to(engine.device, non_blocking=True)
    labels = targets = batch.labels.to(engine.device, non_blocking=True)
    if objective.mix is not None:
        ids = batch.sample_ids.to(engine.device, non_blocking=True)
        mixed = objective.mix(images, labels, ids, seed=derive(job.seed, "data"), epoch=epoch)
        images, targets = mixed.images, mixed.targets(job.classes)
    if step < job.initial_steps and objective.initial_resolution is not None:
        images = downsample(images, objective.initial_resolution)
    return Inputs(images, labels, targets, step / job.total_steps)


def first_inputs(job: Job) -> Inputs:
    """Return what the first step of a run would see."""
    return _inputs(job, next(iter(job.batches(0, 0))), 0, 0)


def _end_epoch(job: Job, progress: Progress, epoch: int) -> bool:
    """Evaluate, write the epoch's row, and say whether it is the best so far."""
    images, seconds = progress.images, progress.epoch_seconds
    row: dict[str, float] = {
        "epoch": epoch + 1,
        "step": progress.step,
        **{f"train_{name}": progress.sums[name] / images for name in job.objective.metrics},
        "lr": job.optimizer.param_groups[0]["lr"],
        "images_per_second": images / seconds if seconds else 0.0,
        "seconds": progress.seconds,
    }
    score: list[float] = []
    if job.validation is not None and job.objective.validate is not None:
        with predicting(job):
            metrics = job.objective.validate(job.engine, job.model, job.validation)
        row |= {f"val_{name}": value for name, value in metrics.items()}
        job.emit(Evaluated(progress.step, "val", metrics))
        job.wrapped.train()
        score = job.objective.score(row)
    best = score > progress.best
    progress.best = max(score, progress.best)
    progress.epochs_without_gain = 0 if best else progress.epochs_without_gain + 1
    progress.rows.append(row)
    progress.sums, progress.images, progress.epoch_seconds = {}, 0, 0.0
    return best


def _predicting_weights(job: Job) -> Mapping[str, Tensor]:
    return job.model.state_dict() if job.average is None else job.average.state


def predicting(job: Job) -> AbstractContextManager[None]:
    """Return a context in which the model has the weights that would predict: averaged ones if kept."""
    return nullcontext() if job.average is None else job.average.in_place_of(job.model)


def _save(job: Job, progress: Progress, *, best: bool) -> None:
    """Write a checkpoint from the main process."""
    if not job.engine.is_main:
        return
    checkpoint = Checkpoint(
        step=progress.step,
        model=job.model.state_dict(),
        average=job.average.state if job.average is not None else {},
        optimizer=job.optimizer.state_dict(),
        state={name: value for name, value in progress.to_json().items() if name != "step"},
        watch=job.watch(),
        frozen=job.frozen,
    )
    job.emit(Saved(progress.step, job.checkpoints.save(checkpoint, best=best)))
