"""Starting a run, and going on with one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from seewhy.core.errors import InputError, RunError
from seewhy.core.files import remove_leftovers
from seewhy.training.assemble import Prepared, count_steps, cycle_ends, make_job, prepare
from seewhy.training.ensemble.evaluate import finish as finish_ensemble
from seewhy.training.generators.finish import finish as finish_generator
from seewhy.training.generators.frames import Frames
from seewhy.training.loop.checkpoint import Checkpoint
from seewhy.training.loop.events import Emit, EpochEnded, Event, Observer, Planned, RunStarted, emitter
from seewhy.training.loop.fit import fit
from seewhy.training.loop.job import Job, Progress
from seewhy.training.loop.loggers import TensorBoard, require_tensorboard
from seewhy.training.plan import plan
from seewhy.training.results.augmented import write_augmented
from seewhy.training.results.finish import finish
from seewhy.training.results.folder import RunFolder, create, only_writer, write_metrics
from seewhy.training.spec import RunSpec
from seewhy.training.spec.sections import GENERATORS, SECOND_ORDER


def start(
    spec: RunSpec, folder: Path | None, observers: Sequence[Observer] = (), *, dry_run: bool = False
) -> RunFolder | None:
    """Train a new run.

    Args:
        spec: what is wanted.
        folder: where the run goes; it must not exist. None makes a name under `runs/`.
        observers: callables that are given every event.
        dry_run: stop after the plan, with nothing written.

    Returns:
        the run, or None after a dry run.

    Raises:
        InputError: the specification or the data are wrong, or the folder exists.
        RunError: the loss is not finite, or the disk cannot be written.
    """
    refuse_place(folder)
    if spec.train.tensorboard:
        require_tensorboard()
    emit = emitter(tuple(observers))
    prepared = prepare(spec, emit)
    _refuse_misfits(prepared)
    emit(Planned(prepared.spec, announcement(prepared)))
    if dry_run:
        return None
    folder = Path(prepared.engine.agreed(str(folder or free_name(prepared))))
    if prepared.engine.is_main:
        create(folder, prepared)
        write_augmented(folder, prepared)
    prepared.engine.barrier()
    return _train(prepared, folder, emit, None)


def resume(folder: Path, observers: Sequence[Observer] = ()) -> RunFolder:
    """Go on with an interrupted run exactly where its last checkpoint stands.

    Raises:
        InputError: the folder is no run, its data have changed, or another process is training it.
    """
    run = RunFolder(folder)
    if run.spec.train.tensorboard:
        require_tensorboard()
    emit = emitter(tuple(observers))
    checkpoint = run.checkpoints.load("last") if run.checkpoints.has("last") else None
    prepared = prepare(run.spec, emit, measure=False)
    refuse_changed_data(run, prepared)
    _refuse_misfits(prepared)
    emit(Planned(prepared.spec, announcement(prepared)))
    return _train(prepared, folder, emit, checkpoint)


def refuse_changed_data(run: RunFolder, prepared: Prepared) -> None:
    """Refuse to go on with a run whose pictures are others now."""
    if prepared.dataset.fingerprint != run.data.get("fingerprint"):
        raise InputError(
            f"{run.spec.source}: the pictures have changed since {run.folder} was started, so it cannot go on exactly; "
            f"restore them, or start a new run with --spec {run.folder / 'spec.toml'}"
        )


def announcement(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """Return what is said before training: the plan, then what is wrong with the data."""
    found = [(issue.severity, issue.message) for issue in prepared.dataset.audit.issues]
    return (*plan(prepared), *found)


def refuse_place(folder: Path | None) -> None:
    """Refuse a run folder that exists or cannot be made, before the work of reading the data."""
    if folder is not None and os.path.lexists(folder):
        raise InputError(
            f"{folder}: exists already and is not overwritten; choose another --out, or go on with --resume {folder}"
        )
    wanted = (folder or Path("runs", "run")).absolute()
    home = next(parent for parent in wanted.parents if os.path.lexists(parent))
    if not home.is_dir():
        raise InputError(f"--out: {wanted} cannot be made, since {home} is no folder; choose another --out")
    if not os.access(home, os.W_OK | os.X_OK):
        raise InputError(f"--out: {wanted} cannot be made, since {home} cannot be written; choose another --out")


def _refuse_misfits(prepared: Prepared) -> None:
    """Refuse a batch of which some process would have nothing, methods that several processes cannot share, cycles without a step."""
    cycle_ends(count_steps(prepared)[1], prepared.spec.train.snapshots)
    size, world = prepared.spec.train.batch_size, prepared.engine.world
    if prepared.spec.optim.name in SECOND_ORDER and world > 1:
        raise InputError(
            f"optim.name: {prepared.spec.optim.name} searches along a line in one process, but there are {world}; "
            "start one process, or choose a first-order optimiser"
        )
    if size is not None and size < world:
        raise InputError(f"train.batch_size: must be at least the number of processes ({world}), got {size}")


def _train(prepared: Prepared, folder: Path, emit: Emit, checkpoint: Checkpoint | None) -> RunFolder:
    """Run the loop from a checkpoint (or the start) to its end, then write the results."""
    progress = Progress.from_json(checkpoint.step, checkpoint.state) if checkpoint is not None else Progress()
    main = prepared.engine.is_main
    board = TensorBoard(folder) if main and prepared.spec.train.tensorboard else None

    drawn: list[Observer] = []

    def record(event: Event) -> None:
        if main and isinstance(event, EpochEnded):
            write_metrics(folder, progress.rows)
        if board is not None:
            board(event)
        for draw in drawn:
            draw(event)
        emit(event)

    job = make_job(prepared, folder, record, checkpoint)
    if main and prepared.spec.model.name in GENERATORS:
        told = prepared.facts.classes if prepared.spec.generator.conditional else None
        drawn.append(Frames(folder, job, told, prepared.spec.train.seed))
    with only_writer(folder) if main else nullcontext():
        if main:
            remove_leftovers(folder)
            remove_leftovers(job.checkpoints.folder)
            write_metrics(folder, progress.rows)
        reason = _loop(job, progress, folder, checkpoint)
    if reason == "interrupted":
        raise InterruptedRunError(folder, progress.step, job.total_steps)
    if not job.snapshots:
        return (finish_generator if prepared.spec.model.name in GENERATORS else finish)(prepared, job, folder)
    prepared.engine.barrier()
    if main:
        finish_ensemble(RunFolder(folder))
    prepared.engine.barrier()
    return RunFolder(folder)


def _loop(job: Job, progress: Progress, folder: Path, checkpoint: Checkpoint | None) -> str:
    started = RunStarted(folder, job.model, job.optimizer, progress.step, job.total_steps, job.steps_per_epoch)
    job.emit(started)
    ended = checkpoint is not None and job.patience is not None and progress.epochs_without_gain >= job.patience
    with stop_requests() as asked:
        return "early stop" if ended else fit(job, progress, asked.is_set)


class InterruptedRunError(RunError):
    """The run was asked to stop (Ctrl-C, SIGTERM) and has saved a checkpoint."""

    def __init__(self, folder: Path, step: int, total_steps: int) -> None:
        self.folder, self.step, self.total_steps = folder, step, total_steps
        super().__init__(f"stopped at step {step:,} of {total_steps:,}; go on with: seewhy train --resume {folder}")


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into a flag that the loop asks for; a second Ctrl-C stops at once.

    Signals reach only a program's main thread; elsewhere the flag is never set.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    former: Mapping[signal.Signals, object] = {
        which: signal.signal(which, handler) for which in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for which, action in former.items():
            signal.signal(which, action)  # type: ignore[arg-type]


def free_name(prepared: Prepared) -> Path:
    """Return `runs/<data>-<model>-<time>`, with a number if two runs start within a second."""
    import time

    base = f"{prepared.dataset.name}-{prepared.spec.model.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = Path("runs") / base, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{base}-{number}"
    return folder
