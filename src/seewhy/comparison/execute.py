"""Working on a study: slots that train one run after another until none is left.

A slot takes the first open run whose lock nobody holds, trains it as a process of its own (`seewhy train`, which goes on where it stopped), and
looks again. All that slots share is the folder, so that any number of them, in one process or on several machines, do no run twice and lose
none: a lock ends with the process that holds it, and whoever comes next goes on from the run's checkpoint. joblib spreads the slots: threads
here, tasks on a Dask or Ray cluster, which start anew elsewhere when a worker is lost.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from seewhy.comparison.asked import validate_jobs
from seewhy.comparison.folder import Cell, StudyFolder
from seewhy.comparison.progress import ATTEMPTS, Progress
from seewhy.comparison.quality import Sampling, read_figures
from seewhy.core.errors import InputError, RunError, unknown_name
from seewhy.core.files import naming, write_json
from seewhy.runs.launch import POLL, ask, last_line, launch
from seewhy.runs.server import start_process, warm
from seewhy.runs.stopping import STOPPED, Stop, forget_stop, stop_requests

Engine = Literal["local", "dask", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "dask", "ray")

IDLE_SECONDS = 0.5
"""Between looks of a slot that has nothing to do while others train."""

LOOK_SECONDS = 1.0
"""Between looks of whoever shows how far a study is."""

FRUITLESS = 3
"""Times that slots are spread again after an engine has failed without a run having ended in between."""


def work(
    study: StudyFolder,
    *,
    at_once: int,
    engine: Engine = "local",
    address: str | None = None,
    stop: Stop | None = None,
    told: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Train what has not ended, until nothing is left; others may be at the same study.

    Args:
        study: to work on.
        at_once: slots, on a cluster at most as many as it has workers.
        engine: "local" for processes of this machine, "dask" or "ray" for a cluster.
        address: of the cluster; None for what the engine finds or starts by itself.
        stop: asked between looks; True lets the running ones save and ends.
        told: called every second with how far the study is.

    Raises:
        InputError: a run refuses its request, the images have changed, or the engine is not installed.
        RunError: the engine has failed again and again.
        KeyboardInterrupt: Ctrl-C; the runs have saved, and the same command goes on.
    """
    validate_jobs(at_once)
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    token = study.folder / f".stop-{uuid.uuid4().hex}"
    failures: list[BaseException] = []

    def spread() -> None:
        try:
            _spread(study.folder.resolve(), token.name, at_once, engine, address)
        except BaseException as error:  # noqa: BLE001  told in the caller's thread
            failures.append(error)

    progress = Progress(study)
    thread = threading.Thread(target=spread, name="seewhy-study", daemon=True)
    try:
        forget_stop(study.folder)
        with stop_requests(stop, study.folder) as asked:
            thread.start()
            while thread.is_alive():
                thread.join(LOOK_SECONDS)
                if asked() and not token.exists():
                    token.touch()
                told(progress)
            stopped = asked() and not progress.complete
    finally:
        with suppress(OSError):
            if thread.is_alive():
                token.touch()
                thread.join()
            token.unlink(missing_ok=True)
    if failures:
        raise failures[0]
    if stopped:
        message = f"stopped; go on with: seewhy compare --resume {study.folder}"
        raise KeyboardInterrupt(message) if asked.signal is not None else RunError(message)


def _spread(folder: Path, token: str, at_once: int, engine: Engine, address: str | None) -> None:
    """Spread slots until the study is complete or stopped; again where the engine has lost some for good."""
    from joblib import Parallel, delayed, parallel_config

    fruitless, progress = 0, Progress(StudyFolder(folder))
    with _connected(engine, address, at_once), parallel_config(backend={"local": "threading"}.get(engine, engine)):
        while True:
            before = len(progress.waiting())
            try:
                ends = Parallel(n_jobs=at_once)(delayed(work_slot)(str(folder), token) for _ in range(at_once))
            except Exception as error:
                left = len(progress.waiting())
                fruitless = fruitless + 1 if left == before else 0
                if fruitless == FRUITLESS:
                    raise RunError(
                        f"{engine} has failed {FRUITLESS} times ({type(error).__name__}: {error})"
                    ) from error
                continue
            for end in ends:
                if isinstance(end, Exception):
                    raise end
            if (folder / token).exists() or progress.complete:
                return


@contextmanager
def _connected(engine: Engine, address: str | None, at_once: int) -> Iterator[None]:
    """Be connected with a cluster: the one at an address, one that the engine finds, or one of its own on this machine, which ends with this."""
    try:
        if engine == "dask":
            import dask
            from distributed import Client

            own = address is None and not dask.config.get("scheduler-address", None)
            local = {"n_workers": at_once, "threads_per_worker": 1, "dashboard_address": None} if own else {}
            with Client(address, **local):  # type: ignore[no-untyped-call]
                yield
        elif engine == "ray":
            import ray
            from ray.util.joblib import register_ray

            register_ray()  # type: ignore[no-untyped-call]
            own = not ray.is_initialized()
            if own:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
            try:
                yield
            finally:
                if own:
                    ray.shutdown()
        else:
            yield
    except ImportError as error:
        raise InputError(f"engine: {engine} is not installed ({error}); pip install 'seewhy[{engine}]'") from None


def work_slot(folder: str, token: str) -> int | Exception:
    """Train one open run after another until none is left or a stop is asked for.

    Returns:
        how many; or the error that ended it, for which the other slots are asked to stop too, and waited for.
    """
    try:
        with warm():
            return _work_slot(StudyFolder(folder), token)
    except Exception as error:  # noqa: BLE001  raised once all slots have stopped
        with suppress(OSError):
            (Path(folder) / token).touch()
        return error


def _work_slot(study: StudyFolder, token: str) -> int:
    progress, trained, stop = Progress(study), 0, study.folder / token
    while not stop.exists():
        waiting = progress.waiting()
        if not waiting:
            if not study.changed():
                return trained
            continue
        for cell in waiting:
            with _held(study, cell) as mine:
                if mine and progress.ended(cell) is None:
                    train_cell(study, cell, progress, stop.exists)
                    trained += progress.ended(cell) is not None
                    break
        else:
            time.sleep(IDLE_SECONDS)
    return trained


@contextmanager
def _held(study: StudyFolder, cell: Cell) -> Iterator[bool]:
    """Hold a run for this slot; yields False where another has it."""
    path = study.lock(cell)
    with naming(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    with naming(path), suppress(Timeout):  # which is an OSError too
        lock.acquire(timeout=0)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def train_cell(study: StudyFolder, cell: Cell, progress: Progress, stop: Stop) -> None:
    """Train one run, or let it go on; a failure is written down with its reason and tried again, `ATTEMPTS` times in all.

    Raises:
        InputError: the run refuses its request time and again, as where its images have changed; it does not count as failed.
    """
    job = study.job(cell)
    ask(progress.request(cell), job)
    failure = study.failure(cell)

    def failed(reason: str) -> None:
        if not reason.startswith(STOPPED):  # by somebody else's signal; it has saved
            write_json(failure, {"attempts": progress.attempts(cell) + 1, "reason": reason})

    try:
        launch([job], at_once=1, stop=stop, failed=lambda _, error: failed(str(error)))
        if job.ended and study.design.sampling is not None and cell.kind == "runs":
            _measure(study, cell, study.design.sampling, stop)
    except InputError as error:
        # Once may be by chance: whoever was killed while he trained it, has left it in another state than it seemed to be in.
        if progress.attempts(cell) + 1 >= ATTEMPTS:
            raise
        failed(str(error))
    except RunError as error:
        if not stop():
            failed(str(error))


def _measure(study: StudyFolder, cell: Cell, sampling: Sampling, stop: Stop) -> None:
    """Judge the samples of a run that has ended, in a process of its own; raises RunError if that fails."""
    file, run = study.quality(cell), study.job(cell).folder
    if file.is_file():
        return
    log = file.with_suffix(".log")
    log.unlink(missing_ok=True)
    with warm():
        process = start_process(sampling.command(run), log)
        while process.poll() is None:
            if stop():
                process.send_signal(signal.SIGTERM)
                process.wait()
                return
            time.sleep(POLL)
    if process.wait():
        raise RunError(f"the samples of {run} could not be judged: {last_line(log)}; see {log}")
    write_json(file, read_figures(log))
