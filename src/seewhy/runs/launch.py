"""Many runs as processes: as many at a time as there are cores to share, each going on where it stopped.

A run that was killed goes on from its last checkpoint; one that has ended is left alone; one whose launcher has ended saves and stops.
The images are decoded once, into the cache that all share. Ensembles train their members this way, and studies their runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seewhy.core.errors import InputError, RunError
from seewhy.core.files import naming
from seewhy.core.trust import trusted
from seewhy.runs.server import Process, start_process, warm
from seewhy.runs.stopping import Stop
from seewhy.spec import Request
from seewhy.spec.initial import SPEC

POLL = 0.1
"""Seconds between looks at the processes."""

SAID = "seewhy train: "
"""How the last line of a run begins that could not go on and says why."""


@dataclass(frozen=True)
class Job:
    """One run to train.

    Attributes:
        request: the TOML file of what is wanted.
        folder: where the run goes.
        log: where its process writes what it prints; appended to.
        watch: whether it looks for what is wrong with its training.
    """

    request: Path
    folder: Path
    log: Path
    watch: bool = True

    @property
    def ended(self) -> bool:
        """Whether the run has its results, whole."""
        try:
            return isinstance(json.loads((self.folder / "results.json").read_text(encoding="utf-8")), dict)
        except (OSError, ValueError):
            return False


def ask(request: Request, job: Job) -> None:
    """Write what is asked of a run, or refuse to go on where something else was asked of it.

    Raises:
        InputError: the file is there already and asks for something else; another number of threads is nothing else.
    """
    with naming(job.request.parent):
        job.request.parent.mkdir(parents=True, exist_ok=True)
    if not job.request.exists():
        request.save(job.request)
        return
    threads = request.get("train.threads")
    if Request.from_toml(job.request).with_changes({"train.threads": threads}) != request:
        raise InputError(
            f"{job.request}: asks for something else than would be asked now, as another version may have; "
            f"move {job.request.parent.parent} away to start anew"
        )


def launch(
    jobs: Sequence[Job],
    *,
    at_once: int,
    stop: Stop = lambda: False,
    ended: Callable[[Job], None] = lambda _: None,
    failed: Callable[[Job, RunError], None] | None = None,
) -> None:
    """Train runs as processes until all have ended, one fails, or a stop is asked for.

    Args:
        jobs: those that have ended already are left alone.
        at_once: processes at the same time, at most.
        stop: asked between looks; True lets the running ones save and ends.
        ended: called with each run that ends.
        failed: called with each run that says that it cannot go on, such as one whose loss is not finite, and why; None raises, else the
            others go on.

    Raises:
        InputError: a run refuses its request; names it and says why, in its own words.
        RunError: a run failed; the others have saved and can go on.
    """
    with warm():
        _launch(jobs, at_once, stop, ended, failed)


def _launch(
    jobs: Sequence[Job],
    at_once: int,
    stop: Stop,
    ended: Callable[[Job], None],
    failed: Callable[[Job, RunError], None] | None,
) -> None:
    waiting = deque(job for job in jobs if not job.ended)
    running: list[tuple[Job, Process]] = []
    try:
        while (waiting or running) and not stop():
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                running.append((job, _start(job)))
            _pause([process for _, process in running])
            for pair in [pair for pair in running if pair[1].poll() is not None]:
                running.remove(pair)
                job, code = pair[0], pair[1].wait()
                told = last_words(job) if code == 1 else ""
                if failed is not None and told.startswith(SAID):  # a crash is nobody's result
                    failed(job, RunError(told.removeprefix(SAID)))
                elif code:
                    raise _failure(job, code)
                else:
                    ended(job)
    finally:
        for _, process in running:  # asked to stop, or another run failed: they save, and can go on
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for _, process in running:
            process.wait()


def _pause(running: Sequence[Process]) -> None:
    """Wait a moment, or until a single process ends."""
    if len(running) != 1:
        time.sleep(POLL)
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        running[0].wait(POLL)


def _start(job: Job) -> Process:
    """Start a run's process, or let it go on; a session of its own keeps Ctrl-C to the parent, which hands it on once."""
    begun = (job.folder / SPEC).is_file()
    if not begun and job.folder.exists():  # killed while its folder was made, before its specification was there
        shutil.rmtree(job.folder)
    what = ["--resume", str(job.folder)] if begun else ["--spec", str(job.request), "--out", str(job.folder)]
    switches = [] if job.watch else ["--no-watch"]
    with contextlib.suppress(
        InputError
    ):  # a request that cannot be read is refused by the run itself, in its own words
        if trusted() and Request.from_toml(job.request).get("model.factory") in trusted():
            switches.append("--trust")
    return start_process(["train", *what, *switches], job.log)


def _failure(job: Job, code: int) -> RunError | InputError:
    """Say why a run failed."""
    message = f"run {job.folder.name} failed: {last_words(job)}; see {job.log}; the others are kept"
    return InputError(message) if code == 2 else RunError(message)


def last_words(job: Job) -> str:
    """Return the last line that a run has written."""
    return last_line(job.log)


def last_line(log: Path) -> str:
    """Return the last line of what a process has written."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except FileNotFoundError:
        lines = []
    return lines[-1] if lines else "it said nothing"
