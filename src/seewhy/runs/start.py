"""What starting a run needs, whether it is one network or several: the plan, the folder's name, what is said beforehand."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from seewhy.core.errors import InputError
from seewhy.core.files import free_path, refuse_taken
from seewhy.runs.initial import carry_over, read_initial
from seewhy.runs.run import Run
from seewhy.runs.stopping import Stop
from seewhy.spec import Request
from seewhy.spec.initial import FIELD
from seewhy.training.build import Prepared, prepare
from seewhy.training.event_log import EventLog
from seewhy.training.events import Emit
from seewhy.training.plan import plan as plan_lines


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a request is to be trained.

    Attributes:
        request: what is wanted; of a resumed run, what was asked for.
        folder: where the run goes; None makes a name under `runs/`.
        emit: hands events to observers and to the log.
        log: writes events.jsonl once the folder is known.
        stop: asked after every step; None for Ctrl-C and SIGTERM alone.
        dry_run: stop after the plan, with nothing written.
        watch: look for what is wrong with the training.
    """

    request: Request
    folder: Path | None
    emit: Emit
    log: EventLog
    stop: Stop | None = None
    dry_run: bool = False
    watch: bool = True


def validate_place(folder: Path | None) -> None:
    """Refuse a run folder that exists or cannot be made, before the work of reading the data."""
    if folder is not None:
        refuse_taken(folder)
    wanted = (folder or Path("runs", "run")).absolute()
    home = next(parent for parent in wanted.parents if os.path.lexists(parent))
    if not home.is_dir():
        raise InputError(f"--out: {wanted} cannot be made, since {home} is no folder; choose another --out")
    if not os.access(home, os.W_OK | os.X_OK):
        raise InputError(f"--out: {wanted} cannot be made, since {home} cannot be written; choose another --out")


def prepare_run(request: Request, emit: Emit) -> Prepared:
    """Do what `training.build.prepare` does, and let the network start from another run's weights where that is asked for.

    Raises:
        InputError: the request or the data are wrong, or the weights do not fit.
    """
    initial = read_initial(request.get(FIELD))  # before the work of reading the data
    prepared = prepare(request, emit)
    return prepared if initial is None else carry_over(initial, prepared)


def validate_data(run: Run, prepared: Prepared) -> None:
    """Refuse to go on with a run whose images are others now."""
    if prepared.dataset.fingerprint != run.data.get("fingerprint"):
        raise InputError(
            f"{prepared.spec.source}: the images have changed since {run.folder} was started, so it cannot go on exactly; "
            f"restore them, or start a new run with --spec {run.folder}"
        )


def announcement(prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """Return what is said before training: the plan, then what is wrong with the data."""
    issues = [(issue.severity, issue.message) for issue in prepared.dataset.audit.issues]
    return (*plan_lines(prepared), *issues)


def free_name(prepared: Prepared) -> Path:
    """Return `runs/<data>-<model>-<time>`, with a number if two runs start within a second."""
    name = f"{prepared.dataset.name}-{prepared.spec.model.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return free_path(Path("runs") / name)
