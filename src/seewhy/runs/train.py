"""Starting a run, and going on with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.core.errors import RunError
from seewhy.core.files import remove_leftovers
from seewhy.models.family import Trained, implementation_of
from seewhy.runs import ensemble, extend
from seewhy.runs.augmented import write_augmented
from seewhy.runs.folder import create, only_writer, write_finished, write_metrics
from seewhy.runs.initial import carry_over, read_initial
from seewhy.runs.near import write_near
from seewhy.runs.run import Run
from seewhy.runs.start import Plan, announcement, free_name, prepare_run, validate_data, validate_place
from seewhy.runs.stopping import Stop, orphaned, stop_requests
from seewhy.runs.watching import Watching, cut_records
from seewhy.spec import Request, Resolution
from seewhy.training import state
from seewhy.training.build import Prepared, make_job, prepare_again, validate_steps
from seewhy.training.checkpoint import Checkpoint
from seewhy.training.event_log import EventLog
from seewhy.training.events import (
    Emit,
    EpochEnded,
    Evaluated,
    Event,
    Observer,
    Planned,
    RunEnded,
    RunStarted,
    Saved,
    emitter,
)
from seewhy.training.fabric import unwrapped
from seewhy.training.job import Job, Progress
from seewhy.training.loggers import require_loggers, trackings
from seewhy.training.loop import fit, predicting


def start(
    request: Request,
    folder: Path | None = None,
    observers: Sequence[Observer] = (),
    *,
    stop: Stop | None = None,
    dry_run: bool = False,
    watch: bool = True,
) -> Run | None:
    """Train a new run.

    Args:
        request: what is wanted.
        folder: where the run goes; it must not exist. None makes a name under `runs/`.
        observers: callables that are given every event.
        stop: asked after every step; True ends the run with a checkpoint, as Ctrl-C does.
        dry_run: stop after the plan, with nothing written.
        watch: look for what is wrong with the training; findings.json says what was found.

    Returns:
        the run, or None after a dry run.

    Raises:
        InputError: the request or the data are wrong, or the folder exists.
        RunError: the loss is not finite, or the disk cannot be written.
        InterruptedRun: by Ctrl-C (a KeyboardInterrupt); InterruptedRunError: the run was asked to stop otherwise.
    """
    log = EventLog()
    emit = emitter((*observers, log))
    plan = Plan(request=request, folder=folder, emit=emit, log=log, stop=stop, dry_run=dry_run, watch=watch)
    require_loggers(request.get)
    with state.training():
        try:
            return ensemble.start(plan) if request.view()["ensemble.members"] not in (None, 1) else _start(plan)
        finally:
            log.close()


def resume(
    folder: Path,
    observers: Sequence[Observer] = (),
    *,
    stop: Stop | None = None,
    previous: bool = False,
    source: str | None = None,
    options: Mapping[str, Any] | None = None,
    watch: bool = True,
) -> Run:
    """Go on with a run exactly where its last checkpoint stands or, where that is damaged, the `previous` one.

    Args:
        folder: of the run.
        observers: callables that are given every event.
        stop: as `start`.
        previous: go on from the checkpoint before the last one.
        source: where its data lie now; None for where they lay.
        options: a larger budget (`{"epochs": 20}`) and another patience.
        watch: as `start`; from where the run goes on.

    Raises:
        InputError: the folder is no run, its data have changed, another process is training it, or an option is another or wrong.
        InterruptedRun, InterruptedRunError: as `start`.
    """
    run, log = Run(folder), EventLog()
    require_loggers(run.spec.flat().get)
    resolution = extend.resolution_of(run, source, options)
    emit = emitter((*observers, log))
    plan = Plan(request=resolution.request, folder=folder, emit=emit, log=log, stop=stop, watch=watch)
    with state.training():
        try:
            if run.spec.ensemble.members > 1:
                return ensemble.resume(run, resolution, plan)
            return _resume(run, resolution, plan, previous=previous)
        finally:
            log.close()


def _start(plan: Plan) -> Run | None:
    validate_place(plan.folder)
    prepared = prepare_run(plan.request, plan.emit)
    validate_steps(prepared)
    plan.emit(Planned(prepared.spec, announcement(prepared)))
    if plan.dry_run:
        return None
    folder = Path(prepared.engine.broadcast(str(plan.folder or free_name(prepared))))
    if orphaned():  # whoever comes next may be starting the same run already
        raise RunError(f"{folder}: is not started, for the process that launched it has ended")
    if prepared.engine.is_main:
        create(folder, prepared, write_augmented, write_near)
    prepared.engine.barrier()
    with only_writer(folder) if prepared.engine.is_main else nullcontext():
        return _train(prepared, folder, plan, None)


def _resume(run: Run, resolution: Resolution, plan: Plan, *, previous: bool = False) -> Run:
    prepared = prepare_again(resolution, plan.emit, begun=run.checkpoints.has("last"))
    validate_data(run, prepared)
    validate_steps(prepared)
    main = prepared.engine.is_main
    with only_writer(run.folder) if main else nullcontext():
        if previous and main:
            run.checkpoints.rewind()
        prepared.engine.barrier()
        checkpoint = run.checkpoints.load("last") if run.checkpoints.has("last") else None
        if checkpoint is None and (initial := read_initial(resolution.spec.train.initial_weights)) is not None:
            prepared = carry_over(initial, prepared)
        changed = resolution.spec != run.spec
        if changed:
            extend.validate_patience(run, resolution, checkpoint)
        plan.emit(Planned(prepared.spec, (*announcement(prepared), *extend.announcement(run, resolution))))
        if changed and main:
            extend.keep(run, resolution)
        return _train(prepared, run.folder, plan, checkpoint)


def _train(prepared: Prepared, folder: Path, plan: Plan, checkpoint: Checkpoint | None) -> Run:
    """Train to the end and write the results; trackers are told of all of it, after whoever else is told."""
    with ExitStack() as open_trackers:
        trackers = trackings(folder, prepared.spec) if prepared.engine.is_main else []
        emit = emitter((plan.emit, *map(open_trackers.enter_context, trackers)))
        return _fit(prepared, folder, replace(plan, emit=emit), checkpoint)


def _fit(prepared: Prepared, folder: Path, plan: Plan, checkpoint: Checkpoint | None) -> Run:
    """Run the loop from a checkpoint (or the start) to its end, then write the results."""
    main = prepared.engine.is_main
    progress = Progress.from_json(checkpoint.step, checkpoint.state) if checkpoint is not None else Progress()
    observers: list[Observer] = []
    watching = Watching(folder, plan.emit, checkpoint.watch if checkpoint is not None else {})
    job = make_job(prepared, folder, emitter_of(observers), checkpoint, plan.emit)
    job = replace(job, watch=watching.state)
    if main:
        remove_leftovers(folder)
        told = _at_checkpoint(progress, job) if checkpoint is not None else ()
        plan.log.open(folder, progress.step, told)
        cut_records(folder, progress.step)
        observers.append(_metrics_writer(folder, progress))
        family = _family_observer(prepared, job, folder)
        for event in told:  # a process that was killed in between may not have come to it
            for observer in family:
                observer(event)
        observers.extend(family)
        write_metrics(folder, progress.rows)
    if main and plan.watch:
        observers.append(watching)
    observers.append(plan.emit)
    try:
        _loop(prepared, job, progress, folder, checkpoint, plan.stop)
    finally:
        watching.close()
    _finish(prepared, job, folder, plan.emit)
    return Run(folder)


def _at_checkpoint(progress: Progress, job: Job) -> tuple[Event, ...]:
    """Return what was told when the checkpoint was saved that a run goes on from."""
    step = progress.step
    saved = Saved(step, job.checkpoints.folder / f"step-{step:08d}")
    if not progress.rows or progress.rows[-1]["step"] != step:
        return (saved,)
    row = progress.rows[-1]
    return (saved, EpochEnded(int(row["epoch"]) - 1, row, progress.epochs_without_gain == 0))


def emitter_of(observers: list[Observer]) -> Emit:
    """Return an emitter over a list of observers that may still grow."""

    def emit(event: Event) -> None:
        for observer in observers:
            observer(event)

    return emit


def _metrics_writer(folder: Path, progress: Progress) -> Observer:
    def observe(event: Event) -> None:
        if isinstance(event, EpochEnded):
            write_metrics(folder, progress.rows)

    return observe


def _family_observer(prepared: Prepared, job: Job, folder: Path) -> list[Observer]:
    """Return what the family does after an epoch, with the weights that would predict."""
    observe = implementation_of(prepared.spec).observe
    if observe is None:
        return []
    epochs = -(-job.total_steps // job.steps_per_epoch)
    after = observe(trained(prepared, job, folder), folder, epochs)

    def observer(event: Event) -> None:
        if isinstance(event, EpochEnded):
            with predicting(job):
                after(event.epoch + 1)
            job.wrapped.train()

    return [observer]


def trained(prepared: Prepared, job: Job, folder: Path) -> Trained:
    """Return a job's network as it is now, with what evaluation needs."""
    return Trained(
        spec=prepared.spec,
        model=job.model,
        facts=prepared.facts,
        classes=prepared.dataset.classes,
        engine=prepared.engine,
        folder=folder,
    )


def _loop(
    prepared: Prepared, job: Job, progress: Progress, folder: Path, checkpoint: Checkpoint | None, stop: Stop | None
) -> None:
    networks = implementation_of(prepared.spec).networks(job.model)
    optimizer, steps = unwrapped(job.optimizer), (progress.step, job.total_steps, job.steps_per_epoch)
    job.emit(RunStarted(folder, job.model, optimizer, *steps, networks=networks))
    ended = checkpoint is not None and job.patience is not None and progress.epochs_without_gain >= job.patience
    if ended:
        job.emit(RunEnded(progress.step, "early stop"))
        return
    with stop_requests(stop, folder) as asked:
        reason = fit(job, progress, asked)
    if reason == "interrupted":
        raise asked.interruption(folder, progress.step, job.total_steps)


def _finish(prepared: Prepared, job: Job, folder: Path, emit: Emit) -> None:
    """Measure the best weights and write the results. The test split is looked at here, once, after every choice has been made."""
    prepared.engine.barrier()
    main = prepared.engine.is_main
    if job.snapshots:
        if main:
            ensemble.finish(Run(folder), emit)
        prepared.engine.barrier()
        return
    job.model.load_state_dict(job.checkpoints.weights("best" if job.checkpoints.has("best") else "last"))
    job.model.eval()
    finished = implementation_of(prepared.spec).finish(trained(prepared, job, folder), prepared.dataset, folder)
    if main:
        splits = {name: split.names for name, split in prepared.dataset.splits.items()}
        write_finished(folder, finished, splits)
        for name in splits:
            if name in finished.results:
                emit(Evaluated(job.total_steps, name, finished.results[name]))
    prepared.engine.barrier()
