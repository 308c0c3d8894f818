"""Training an ensemble: a process a member, as many at a time as there are cores to share; and measuring it.

RUN/spec.toml          the ensemble's specification
RUN/members/01.toml    what is asked of a member; RUN/members/01/ its run; RUN/members/01.log what it said
RUN/results.json       the ensemble's figures; RUN/ensemble.json those of the members beside them
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import torch

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.core.files import remove_leftovers, write_json
from seewhy.core.launcher import launch as launch_of_process
from seewhy.metrics import apply_temperature, classification_metrics, ensemble_metrics, weight_sparsity
from seewhy.models.classifiers.family import calibrated
from seewhy.models.family import implementation_of
from seewhy.nn import penalised_weights
from seewhy.runs import extend
from seewhy.runs.evaluate import member_probabilities
from seewhy.runs.folder import create, only_writer, read_findings, write_finished
from seewhy.runs.launch import Job, launch
from seewhy.runs.members import jobs_at_once, member_requests, member_threads, single
from seewhy.runs.near import write_near
from seewhy.runs.run import Run
from seewhy.runs.start import Plan, announcement, free_name, prepare_run, validate_data, validate_place
from seewhy.runs.stopping import stop_requests
from seewhy.spec import Default, Request, Resolution, resolve
from seewhy.spec.classifiers import ClassifierReg
from seewhy.spec.initial import SPEC
from seewhy.training.build import Prepared, data_options, prepare_again
from seewhy.training.events import Emit, Evaluated, MemberEnded, MembersStarted, Planned, RunEnded
from seewhy.training.plan import format_threads

SETTLED = ("train.epochs", "train.device", "train.precision", "train.initial_weights", "data.labels")
"""What is settled once for all members."""


def start(plan: Plan) -> Run | None:
    """Train a new ensemble; a budget in minutes is that of the whole. Returns None after a dry run.

    Raises:
        InputError: the request or the data are wrong, or the folder exists.
        RunError: a member failed; the others are kept, and the run can go on.
    """
    request, folder = plan.request, plan.folder
    validate_place(folder)
    if not launch_of_process().alone:
        raise InputError(
            "ensemble.members: the members are processes of their own; start an ensemble without torchrun or srun"
        )
    member_requests(request, {})  # edits that are wrong in themselves are refused here, before the data are read
    alone = single(request)
    minutes = request.get("train.minutes")
    if minutes is not None:
        rounds = -(-request.view()["ensemble.members"] // jobs_at_once(request))
        alone = alone.with_changes({"train.minutes": minutes / rounds})
    prepared = _settled(prepare_run(alone, plan.emit), request)
    _validate_members(prepared)
    plan.emit(Planned(prepared.spec, (*announcement(prepared), ("ensemble", _format_members(prepared)))))
    if plan.dry_run:
        return None
    folder = folder or free_name(prepared)
    create(folder, prepared, write_near)
    plan.log.open(folder, 0)
    return _train(Run(folder), plan)


def resume(run: Run, resolution: Resolution, plan: Plan) -> Run:
    """Go on with an ensemble: members that have ended are kept, the others go on or begin; with a larger budget all go on.

    Raises:
        InputError: the data have changed, or another process is training the run.
        RunError: a member failed.
    """
    prepared = prepare_again(resolution, plan.emit)
    validate_data(run, prepared)
    if resolution.spec != run.spec:
        plan.emit(Planned(prepared.spec, (*announcement(prepared), *extend.announcement(run, resolution))))
        _extend(run, resolution)
    plan.log.open(run.folder, 0)
    return _train(Run(run.folder), plan)


def _extend(run: Run, resolution: Resolution) -> None:
    """Write into the ensemble and each of its members how they go on; the ensemble last, so that a kill in between can be repeated."""
    former, now = run.spec, resolution.spec
    options = {path: value for path in extend.MAY_CHANGE if (value := now.flat().get(path)) != former.flat().get(path)}
    with only_writer(run.folder):
        for request in sorted((run.folder / "members").glob("*.toml")):
            asked = Request.from_toml(request)
            asked.with_changes({**options, "source": now.source}).save(request)
            folder = request.with_suffix("")
            if (folder / SPEC).is_file() and (member := Run(folder)).spec.train.epochs <= former.train.epochs:
                extend.keep(member, extend.resolution_of(member, now.source, options))
        extend.keep(run, resolution)


def _settled(prepared: Prepared, request: Request) -> Prepared:
    """Return what was prepared for one member as the ensemble's: its own request, and what depends on the machine."""
    view = request.view()
    resolution = replace(prepared.resolution, request=request).settle(
        {
            "train.threads": Default(member_threads(request), "the cores shared out"),
            "ensemble.members": Default(view["ensemble.members"]),
            "ensemble.edits": Default(list(view["ensemble.edits"])),
            "ensemble.jobs": Default(jobs_at_once(request), "this machine"),
        }
    )
    return replace(prepared, resolution=resolution)


def _members_of(prepared_request: Request, values: dict[str, Any]) -> tuple[Request, ...]:
    return member_requests(prepared_request, {path: values[path] for path in SETTLED if path in values})


def _validate_members(prepared: Prepared) -> None:
    """Refuse edits that do not fit the data, or whose networks cannot be built, before anything is written."""
    request, facts, dataset = prepared.resolution.request, prepared.facts, prepared.dataset
    edits = request.view()["ensemble.edits"]
    for number, member in enumerate(_members_of(request, prepared.spec.flat())[: len(edits)], start=1):
        try:
            spec = resolve(member, facts).spec
            implementation_of(spec).build(spec, facts, dataset.mean, dataset.std)
        except InputError as error:
            raise InputError(f"ensemble.edits: edit {number}: {error}") from None


def _format_members(prepared: Prepared) -> str:
    spec = prepared.spec
    members = spec.ensemble.members
    seeds = sorted({member.get("train.seed") for member in _members_of(prepared.resolution.request, spec.flat())})
    running = seeds == list(range(seeds[0], seeds[0] + len(seeds)))
    different = [f"seeds {seeds[0]} to {seeds[-1]}" if running else f"seeds {', '.join(map(str, seeds))}"]
    different += ["bootstrap samples"] if spec.train.bootstrap else []
    different += (
        [f"{len(spec.ensemble.edits)} edit{'s in turn' if len(spec.ensemble.edits) > 1 else ''}"]
        if spec.ensemble.edits
        else []
    )
    return f"{members} members ({', '.join(different)}), {spec.ensemble.jobs} at a time with {format_threads(spec.train.threads)} each"


def _train(run: Run, plan: Plan) -> Run:
    """Train what is left to train, then evaluate."""
    emit = plan.emit
    with only_writer(run.folder):
        home = run.folder / "members"
        home.mkdir(exist_ok=True)
        remove_leftovers(run.folder)
        jobs = []
        for number, member in enumerate(_members_of(run.request, run.spec.flat()), start=1):
            job = Job(home / f"{number:02d}.toml", home / f"{number:02d}", home / f"{number:02d}.log", watch=plan.watch)
            if not job.request.exists():
                replace(member, source=run.spec.source).save(job.request)
            jobs.append(job)
        emit(MembersStarted(run.folder, len(jobs), sum(job.ended for job in jobs)))
        with stop_requests(plan.stop, run.folder) as asked:
            launch(
                jobs,
                at_once=run.spec.ensemble.jobs or 1,
                stop=asked,
                ended=lambda job: _emit_end(job, len(jobs), emit),
            )
            stopped = asked() and not all(job.ended for job in jobs)
        if stopped:
            raise asked.interruption(run.folder, sum(job.ended for job in jobs), len(jobs), "member")
        torch.set_num_threads((run.spec.ensemble.jobs or 1) * (run.spec.train.threads or 1))
        emit(RunEnded(0, "finished"))
        finish(run, emit)
    return run


def _emit_end(job: Job, count: int, emit: Emit) -> None:
    results = json.loads((job.folder / "results.json").read_text(encoding="utf-8"))
    split = next((split for split in ("val", "test") if split in results), None)
    accuracy = None if split is None else results[split]["accuracy"]
    found = tuple(map(str, read_findings(job.folder).findings))
    emit(MemberEnded(int(job.folder.name), count, split, accuracy, found))


def finish(run: Run, emit: Emit) -> None:
    """Evaluate an ensemble (of members or of snapshots) and each member on validation and test data; write its results.

    Its temperature is fitted on the averaged validation probabilities (Rahaman & Thiery 2021).
    """
    dataset = seewhy_data.load_dataset(run.spec.source, **data_options(dict(run.spec.data)))
    splits = {name: split for name, split in dataset.splits.items() if name != "train" and len(split)}
    members = {name: member_probabilities(run.members, split) for name, split in splits.items()}
    more: dict[str, Any] = {}
    reg = run.spec.reg
    assert isinstance(reg, ClassifierReg)
    if reg.l1 and run.spec.ensemble.members == 1:  # members that are runs have told it themselves
        more = {"weights": weight_sparsity(_weights(run, everything=reg.penalise_all))}
    means = {name: each.mean(0) for name, each in members.items()}
    finished = calibrated(means, splits, dataset.classes, run.folder, more)
    details = {}
    for name, split in splits.items():
        probabilities = apply_temperature(means[name], finished.record["temperature"])
        metrics = classification_metrics(name, dataset.classes, probabilities, split.labels)
        details[name] = ensemble_metrics(name, dataset.classes, members[name], split.labels, metrics)
        emit(Evaluated(0, name, finished.results[name]))
    write_json(run.folder / "ensemble.json", details)
    write_finished(run.folder, finished, {name: split.names for name, split in splits.items()})


def _weights(run: Run, *, everything: bool) -> Any:
    """Yield the penalised weights of every member; one network is in memory at a time."""
    for member in run.members:
        yield penalised_weights(member.model, everything=everything)
        member.release()
