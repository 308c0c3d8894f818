"""Training an ensemble: a process a member, as many at a time as there are cores to share.

RUN/spec.toml          the ensemble's specification
RUN/members/01.toml    a member's specification; RUN/members/01/ its run; RUN/members/01.log what it said
RUN/results.json       the ensemble's figures; RUN/ensemble.json those of the members beside them

A member is an ordinary run, so one that was killed goes on where it stopped, and the pictures are decoded once, into the cache that all share.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from seewhy.core.errors import InputError, RunError
from seewhy.training.assemble import Prepared, empty_model, prepare
from seewhy.training.ensemble.evaluate import finish
from seewhy.training.ensemble.members import alone, jobs, member_specs, member_threads
from seewhy.training.fabric import world
from seewhy.training.loop.events import Emit, MemberEnded, MembersStarted, Observer, Planned, emitter
from seewhy.training.results.folder import RunFolder, create, only_writer
from seewhy.training.spec import RunSpec
from seewhy.training.spec.defaults import resolve
from seewhy.training.train import announcement, free_name, refuse_changed_data, refuse_place, stop_requests

POLL = 0.1
"""Seconds between looks at the members' processes."""


def start(
    spec: RunSpec, folder: Path | None, observers: Sequence[Observer] = (), *, dry_run: bool = False
) -> RunFolder | None:
    """Train a new ensemble.

    Args:
        spec: what is wanted; a budget in minutes is that of the whole ensemble.
        folder: where the run goes; it must not exist. None makes a name under `runs/`.
        observers: callables that are given every event.
        dry_run: stop after the plan, with nothing written.

    Returns:
        the run, or None after a dry run.

    Raises:
        InputError: the specification or the data are wrong, or the folder exists.
        RunError: a member failed; the others are kept, and the run can go on.
    """
    refuse_place(folder)
    if world() != (1, 1):
        raise InputError(
            "ensemble.members: the members are processes of their own; start an ensemble without torchrun or srun"
        )
    emit = emitter(tuple(observers))
    if spec.train.minutes is not None:
        rounds = -(-spec.ensemble.members // jobs(spec))
        spec = spec.with_changes({"train.minutes": spec.train.minutes / rounds})
    member_specs(spec)  # edits that are wrong in themselves are refused here, before the data are read
    prepared = prepare(alone(spec), emit)
    spec = _settled(spec, prepared)
    _refuse_misfits(spec, prepared)
    emit(Planned(spec, (*announcement(prepared), ("ensemble", _plan(spec)))))
    if dry_run:
        return None
    folder = folder or free_name(prepared)
    create(folder, replace(prepared, spec=spec))
    return _train(RunFolder(folder), emit)


def resume(folder: Path, observers: Sequence[Observer] = ()) -> RunFolder:
    """Go on with an ensemble: members that have ended are kept, the others go on or begin.

    Raises:
        InputError: the data have changed, or another process is training the run.
        RunError: a member failed.
    """
    run, emit = RunFolder(folder), emitter(tuple(observers))
    refuse_changed_data(run, prepare(alone(run.spec), emit, measure=False))
    return _train(run, emit)


def _refuse_misfits(spec: RunSpec, prepared: Prepared) -> None:
    """Refuse edits that do not fit the data, or whose networks cannot be built, before anything is written."""
    for place, member in enumerate(member_specs(spec)[: len(spec.ensemble.edits)], start=1):
        try:
            fitted = resolve(member, prepared.facts)
            empty_model(fitted, prepared.facts, mean=prepared.dataset.mean, std=prepared.dataset.std)
        except InputError as error:
            raise InputError(f"ensemble.edits: edit {place}: {error}") from None


def _settled(spec: RunSpec, prepared: Prepared) -> RunSpec:
    """Write into an ensemble's specification what depends on the machine, so that it repeats the run."""
    found = prepared.spec.train
    return spec.with_changes(
        {
            "source": prepared.spec.source,
            "train.epochs": found.epochs,
            "train.minutes": None,
            "train.device": found.device,
            "train.precision": found.precision,
            "train.threads": member_threads(spec),
            "ensemble.jobs": jobs(spec),
        }
    )


def _plan(spec: RunSpec) -> str:
    chosen = spec.ensemble
    different = [f"seeds {spec.train.seed} to {spec.train.seed + chosen.members - 1}"]
    different += ["bootstrap samples"] if spec.train.bootstrap else []
    different += [f"{len(chosen.edits)} edits in turn"] if chosen.edits else []
    return f"{chosen.members} members ({', '.join(different)}), {jobs(spec)} at a time with {member_threads(spec)} threads each"


def _train(run: RunFolder, emit: Emit) -> RunFolder:
    """Train what is left to train, then evaluate."""
    with only_writer(run.folder):
        home = run.folder / "members"
        home.mkdir(exist_ok=True)
        for index, member in enumerate(member_specs(run.spec), start=1):
            path = home / f"{index:02d}.toml"
            if not path.exists():
                member.save(path)
        names = [f"{index:02d}" for index in range(1, run.spec.ensemble.members + 1)]
        waiting = deque(name for name in names if not (home / name / "results.json").is_file())
        emit(MembersStarted(run.folder, len(names), len(names) - len(waiting)))
        with stop_requests() as asked:
            _processes(home, waiting, jobs(run.spec), lambda name: _say_end(home, name, len(names), emit), asked.is_set)
        if asked.is_set():
            raise RunError(f"stopped; go on with: seewhy train --resume {run.folder}")
        torch.set_num_threads(jobs(run.spec) * member_threads(run.spec))
        return finish(run)


def _say_end(home: Path, name: str, count: int, emit: Emit) -> None:
    results = json.loads((home / name / "results.json").read_text(encoding="utf-8"))
    part = next((part for part in ("val", "test") if part in results), None)
    emit(MemberEnded(int(name), count, part, None if part is None else results[part]["accuracy"]))


def _processes(
    home: Path, waiting: deque[str], most: int, ended: Callable[[str], None], stop: Callable[[], bool]
) -> None:
    """Run a process for each waiting member, at most so many at once, until all have ended or a stop is asked for."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while (waiting or running) and not stop():
            while waiting and len(running) < most:
                name = waiting.popleft()
                running[name] = _launch(home, name)
            time.sleep(POLL)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                process = running.pop(name)
                if process.returncode:
                    raise _failure(home, name, process.returncode)
                ended(name)
    finally:
        for process in running.values():  # asked to stop, or another member failed: they save, and can go on
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in running.values():
            process.wait()


def _launch(home: Path, name: str) -> subprocess.Popen[bytes]:
    """Start a member's process, or let it go on; a session of its own keeps Ctrl-C to the parent, which hands it on once."""
    begun = (home / name / "spec.toml").is_file()
    if not begun and (home / name).exists():  # killed while its folder was made, before its specification was there
        shutil.rmtree(home / name)
    what = (
        ["--resume", str(home / name)] if begun else ["--spec", str(home / f"{name}.toml"), "--out", str(home / name)]
    )
    with open(home / f"{name}.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "seewhy", "train", *what], stdout=log, stderr=log, start_new_session=True
        )


def _failure(home: Path, name: str, code: int) -> RunError | InputError:
    """Say why a member failed, in its own last words."""
    lines = (home / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it said nothing"
    message = f"member {name} failed: {said}; see {home / f'{name}.log'}; the others are kept: seewhy train --resume {home.parent}"
    return InputError(message) if code == 2 else RunError(message)
