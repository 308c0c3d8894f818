"""What may change when a run goes on: where its data lie, and how long it trains."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import naming, write_text
from seewhy.runs.run import Run
from seewhy.spec import Resolution, reasons_in
from seewhy.spec.initial import REQUEST, SPEC
from seewhy.spec.tree import leaves
from seewhy.training.build import absolute_labels, absolute_source
from seewhy.training.checkpoint import Checkpoint
from seewhy.training.job import Progress
from seewhy.training.plan import format_epochs

MAY_CHANGE = ("train.epochs", "train.patience")


def resolution_of(run: Run, source: str | None = None, options: Mapping[str, Any] | None = None) -> Resolution:
    """Return how a run goes on: as it was resolved but for where its data lie now, a larger budget and another patience.

    The first steps stay at the initial resolution if they were; a learning-rate schedule ends with the new budget.

    Args:
        run: to go on with.
        source: where its data lie now; None for where they lay.
        options: in the forms of `Request.make`; only those of `MAY_CHANGE`.

    Raises:
        InputError: another option is given, or the budget would not grow.
    """
    changes = leaves(options or {})
    _validate(run, changes)
    spec, request = run.spec, run.request
    reasons = reasons_in((run.folder / SPEC).read_text(encoding="utf-8"), spec)
    asked, found = dict(changes), dict(changes)
    if source is not None:
        asked["source"] = found["source"] = absolute_source(source)
        if spec.data.labels is not None and not Path(spec.data.labels).is_file():  # moved with the images
            labels = absolute_labels(found["source"], Path(spec.data.labels).name)
            asked["data.labels"] = found["data.labels"] = labels
    if "train.epochs" in changes:
        found["train.minutes"] = None
        fraction = getattr(spec.train, "initial_fraction", 0.0)
        if fraction and getattr(spec.train, "initial_resolution", run.facts.side) < run.facts.side:
            found["train.initial_fraction"] = fraction * spec.train.epochs / float(changes["train.epochs"])
            if request.get("train.initial_fraction") is not None:
                asked["train.initial_fraction"] = found["train.initial_fraction"]
    resolution = Resolution(request, spec, reasons)
    return replace(resolution, request=request.with_changes(asked), spec=spec.replace(found)) if found else resolution


def _validate(run: Run, changes: Mapping[str, Any]) -> None:
    for path in changes:
        if path not in MAY_CHANGE:
            raise InputError(
                f"--resume: goes on with the run's own specification, of which --epochs and --patience may change, not {path}; "
                f"--spec {run.folder} starts a new run that differs, --from {run.folder} one from its weights"
            )
    if "train.epochs" not in changes:
        return
    epochs, former = changes["train.epochs"], run.spec.train.epochs
    if not isinstance(epochs, (int, float)) or isinstance(epochs, bool) or epochs <= former:
        raise InputError(
            f"train.epochs: with --resume is the new total, which must be more than the run's {format_epochs(former)}, got {epochs!r}"
        )
    if run.spec.networks > 1 and run.spec.ensemble.members == 1:
        raise InputError(
            f"train.epochs: {run.folder} keeps a network at the end of each of {run.spec.networks} cycles, which a longer budget would move; "
            f"start a new run with --spec {run.folder} --epochs {epochs:g}"
        )


def validate_patience(run: Run, resolution: Resolution, checkpoint: Checkpoint | None) -> None:
    """Refuse a larger budget that would not be used, because training stopped early for want of patience."""
    patience = resolution.spec.train.patience
    longer = resolution.spec.train.epochs > run.spec.train.epochs
    without = 0 if checkpoint is None else Progress.from_json(checkpoint.step, checkpoint.state).epochs_without_gain
    if longer and patience is not None and without >= patience:
        raise InputError(
            f"train.epochs: training stopped early, after {without} epochs without gain; give --patience too, above {without}"
        )


def announcement(run: Run, resolution: Resolution) -> list[tuple[str, str]]:
    """Say what changes as a run goes on."""
    former, now = run.spec, resolution.spec
    lines = [("moved", f"the data lay in {former.source}")] if now.source != former.source else []
    if now.train.epochs != former.train.epochs:
        text = f"from {format_epochs(former.train.epochs)} to {format_epochs(now.train.epochs)}"
        if now.optim.schedule != "constant":
            text += f"; the learning rate follows the {now.optim.schedule} schedule of the new budget from here on, so it rises again"
        lines.append(("extended", text))
    return lines


def keep(run: Run, resolution: Resolution) -> None:
    """Write how a run goes on. Call it while the folder is held.

    One that had ended and goes on to a larger budget has not ended any more; what it had reached stays as results-EPOCHS-epochs.json.
    """
    folder, former = run.folder, run.spec.train.epochs
    if resolution.spec.train.epochs != former:
        with naming(folder):
            (folder / "record.json").unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                os.replace(folder / "results.json", folder / f"results-{former:g}-epochs.json")
    resolution.request.save(folder / REQUEST)
    write_text(folder / SPEC, resolution.to_toml())
