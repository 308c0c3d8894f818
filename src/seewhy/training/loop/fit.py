"""The training loop.

One step: take the batch, compute the loss, step back through the network, move the weights. All randomness is a function
of (seed, epoch, image) or (seed, step), so a run that goes on from a checkpoint takes the very steps it would have taken.

    for each step t:  lr_t = lr * schedule(t);  g = grad of mean loss over the batch;  w <- optimiser(w, g, lr_t)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.seeding import derive, seed_global
from seewhy.data import Batch
from seewhy.training.loop.checkpoint import Checkpoint, save_tensors
from seewhy.training.loop.events import EpochEnded, RunEnded, Saved, StepEnded
from seewhy.training.loop.job import Job, Progress


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
        progress.sums[-1] += now - before
        before = now
        if progress.step in job.snapshots and job.engine.is_main:
            save_tensors(_predicting(job), job.snapshots[progress.step])
        ends = progress.step % job.steps_per_epoch == 0 or progress.step == job.total_steps
        best = _end_epoch(job, progress, epoch) if ends else False
        interrupted = job.engine.any(stop())
        if ends or interrupted or now - saved >= job.checkpoint_seconds:
            _save(job, progress, best=best or (ends and job.validate is None))
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
    """Take one step on one batch."""
    engine, step = job.engine, progress.step
    seed_global(derive(job.seed, "step", step, engine.rank), engine.device)  # dropout's masks depend on the step alone
    factor = job.schedule(step)
    for group, lr in zip(job.optimizer.param_groups, job.base_lrs, strict=True):
        group["lr"] = lr * factor
    images = batch.images.to(engine.device, non_blocking=True)
    labels = batch.labels.to(engine.device, non_blocking=True)
    mixed = None
    if job.mix is not None:
        keys = batch.keys.to(engine.device, non_blocking=True)
        mixed = job.mix(images, labels, keys, seed=derive(job.seed, "data"), epoch=epoch)
        images = mixed.images
    if step < job.early_steps:
        images = seewhy_data.shrink(images, job.early_side)
    targets = labels if mixed is None else mixed.targets(job.classes)
    seen = job.take(job, step, images, labels, targets, batch)
    job.optimizer.zero_grad(set_to_none=True)
    if job.average is not None:
        job.average.update(job.model, step)
    progress.step += 1
    size = batch.global_size
    former = progress.sums or [0.0] * (len(seen) + 2)
    progress.sums = [old + new for old, new in zip(former, (*seen, float(size), 0.0), strict=True)]
    means = {name: value / size for name, value in zip(job.task.columns, seen, strict=True)}
    job.emit(StepEnded(progress.step, epoch, means, job.base_lrs[0] * factor, size))


def _end_epoch(job: Job, progress: Progress, epoch: int) -> bool:
    """Evaluate, write the epoch's row, and say whether it is the best so far."""
    *sums, images, seconds = progress.sums
    row: dict[str, float] = {
        "epoch": epoch + 1,
        "step": progress.step,
        **{f"train_{name}": value / images for name, value in zip(job.task.columns, sums, strict=True)},
        "lr": job.optimizer.param_groups[0]["lr"],
        "images_per_second": images / seconds if seconds else 0.0,
        "seconds": progress.seconds,
    }
    score: list[float] = []
    if job.validate is not None:
        with predicting(job):
            row |= {f"val_{name}": value for name, value in job.validate(job.model).items()}
        job.wrapped.train()
        score = job.task.score(row)
    best = score > progress.best
    progress.best = max(score, progress.best)
    progress.epochs_without_gain = 0 if best else progress.epochs_without_gain + 1
    progress.rows.append(row)
    progress.sums = []
    return best


def _predicting(job: Job) -> Mapping[str, Tensor]:
    """Return the weights that would predict: averaged ones if kept."""
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
    )
    job.emit(Saved(progress.step, job.checkpoints.save(checkpoint, best=best)))
