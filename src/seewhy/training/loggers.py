"""Trackers beside metrics.csv: TensorBoard, Weights & Biases and MLflow, told of a run by one observer of its events.

A `Logger` says how one tracker takes numbers, texts and images; what of a run is logged, and when, is said once, in `Tracking`: metrics of every
step and epoch, findings, sample images, the specification, the final figures. A tracker serves the run and never the other way round: one that
fails is left out from there on, with one warning.

Where a tracker keeps what it is given is its own affair, said by its own environment variables (WANDB_MODE, WANDB_PROJECT, MLFLOW_TRACKING_URI,
MLFLOW_EXPERIMENT_NAME).
"""

from __future__ import annotations

import json
import os
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from seewhy.core.errors import InputError
from seewhy.core.files import write_json
from seewhy.spec import RunSpec
from seewhy.spec.initial import SPEC
from seewhy.training.events import EpochEnded, Evaluated, Event, Found, PassedAway, RunEnded, RunStarted, StepEnded

IMAGES = ("augmented", "frames", "generated", "samples")
"""Folders of a run whose images are logged as they appear."""

IDS = "trackers.json"
"""By which trackers know the run again when it goes on."""

PROJECT = "seewhy"
"""Project at W&B, experiment at MLflow, where the environment names no other."""

INTERRUPTED, FAILED = "interrupted", "failed"

STATUS = {INTERRUPTED: "KILLED", FAILED: "FAILED"}
"""At MLflow."""

BATCH = 500
"""Metrics that are sent to MLflow at a time; a server takes at most 1,000."""


class Logger(Protocol):
    """How a tracker is told of a run."""

    def start(self, folder: Path, spec: RunSpec, step: int) -> None:
        """Begin, or go on after `step` if that is not 0."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""

    def text(self, name: str, text: str, step: int) -> None:
        """Log a text."""

    def image(self, name: str, path: Path, step: int) -> None:
        """Log an image file."""

    def flush(self) -> None:
        """Hand over what waits."""

    def close(self, reason: str) -> None:
        """End: "finished", "early stop", "interrupted" or "failed"."""


class Tracking:
    """An observer that tells a logger of a run, from `with` to its end.

    Args:
        name: of the tracker, for the warning.
        logger: that is told.
        folder: of the run.
        spec: of the run.
    """

    def __init__(self, name: str, logger: Logger, folder: Path, spec: RunSpec) -> None:
        self._name, self._logger, self._folder, self._spec = name, logger, folder, spec
        self._started, self._failed = False, False
        self._step, self._reason = 0, FAILED
        self._images: set[Path] = set()

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        reason = self._reason if kind is None or self._reason == INTERRUPTED else FAILED
        if self._started:
            self._guarded(lambda: self._close(reason))

    def __call__(self, event: Event) -> None:
        """Log an event; one that the tracker cannot take ends the tracking, with a warning, and not the run."""
        self._guarded(lambda: self._log(event))

    def _guarded(self, act: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001  whatever a tracker raises: a server that is gone, a quota, a full disk
            self._failed = True
            warnings.warn(
                f"train.{self._name}: {type(error).__name__}: {error}; the run goes on without this tracker, "
                f"and {self._folder} holds all that it would have been told",
                RuntimeWarning,
                stacklevel=2,
            )

    def _log(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._step = event.step
                self._images = set(self._found()) if event.step else set()
                self._logger.start(self._folder, self._spec, event.step)
                self._started = True
            case StepEnded():
                self._step = event.step
                values = {f"step/{name}": value for name, value in event.metrics.items()}
                self._logger.scalars({**values, "step/lr": event.lr}, event.step)
            case EpochEnded():
                step = int(event.row["step"])
                values = {f"epoch/{name}": value for name, value in event.row.items() if name not in ("epoch", "step")}
                self._logger.scalars(values, step)
                self._log_images(step)
                self._logger.flush()
            case Found() | PassedAway():
                self._logger.text(f"findings/{event.finding['code']}", event.text, event.step)
            case RunEnded():
                self._reason = event.reason
            case Evaluated() if self._reason != FAILED:  # the run has ended: these are its final figures
                self._logger.scalars(_numbers(event), event.step)

    def _close(self, reason: str) -> None:
        if reason not in (INTERRUPTED, FAILED):
            self._log_images(self._step)
        self._logger.close(reason)

    def _log_images(self, step: int) -> None:
        for path in self._found():
            if path not in self._images:
                self._images.add(path)
                # Frames of one place make a series; the others have names of their own.
                name = path.parent.name if path.parent.name == "frames" else f"{path.parent.name}/{path.stem}"
                self._logger.image(name, path, step)

    def _found(self) -> list[Path]:
        return [path for folder in IMAGES for path in sorted((self._folder / folder).glob("*.png"))]


def _numbers(event: Evaluated) -> dict[str, float]:
    return {
        f"final/{event.split}_{name}": float(value)
        for name, value in event.metrics.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }


class TensorBoard:
    """Writes `tensorboard/` in the run folder. A resumed run goes on in the same place: what was logged after its checkpoint is purged."""

    def start(self, folder: Path, spec: RunSpec, step: int) -> None:
        """Open the writer."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and optional

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
        self.text("spec", _indented(spec.to_toml()), step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def text(self, name: str, text: str, step: int) -> None:
        """Log a text."""
        self._writer.add_text(name, text, step)

    def image(self, name: str, path: Path, step: int) -> None:
        """Log an image file."""
        self._writer.add_image(name, _pixels(path), step, dataformats="HWC")

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()

    def close(self, reason: str) -> None:
        """Close the writer."""
        del reason
        self._writer.close()


class WandB:
    """Logs to Weights & Biases, or with WANDB_MODE=offline to `wandb/` in the run folder, from where `wandb sync` takes it."""

    def start(self, folder: Path, spec: RunSpec, step: int) -> None:
        """Begin a run there, or go on with it. Another run of this process stays as it is."""
        wandb = import_module("wandb")
        self._image = wandb.Image
        ids = read_ids(folder)
        known = ids.setdefault("wandb", secrets.token_hex(4))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=known,
            name=folder.resolve().name,
            dir=str(folder),
            resume="allow" if step else None,
            config={"source": spec.source, **spec.flat()},
            allow_val_change=True,
            settings=wandb.Settings(console="off", reinit="create_new"),
        )
        write_json(folder / IDS, ids)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name; steps that it has already are left out by the tracker."""
        self._run.log(dict(values), step=step)

    def text(self, name: str, text: str, step: int) -> None:
        """Log a text: the last of each name stands in the run's summary."""
        self._run.summary[name] = f"{text} (step {step})"

    def image(self, name: str, path: Path, step: int) -> None:
        """Log an image file."""
        self._run.log({name: self._image(str(path))}, step=step)

    def flush(self) -> None:
        """Do nothing: it is sent as it comes."""

    def close(self, reason: str) -> None:
        """End the run there."""
        self._run.finish(exit_code=int(reason in (INTERRUPTED, FAILED)))


class MLflow:
    """Logs to the tracking server or store that MLFLOW_TRACKING_URI names (else MLflow's own default), in batches.

    A run that goes on does so under the same id; steps that are there already are not logged twice.
    """

    def start(self, folder: Path, spec: RunSpec, step: int) -> None:
        """Begin a run there, or go on with it."""
        del step
        mlflow = import_module("mlflow")
        self._metric = import_module("mlflow.entities").Metric
        self._client: Any = mlflow.MlflowClient()
        self._waiting: list[Any] = []
        self._texts: dict[str, str] = {}
        ids = read_ids(folder)
        self._id, self._last = ids.get("mlflow", ""), 0
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
            history = self._client.get_metric_history(self._id, "step/lr")
            self._last = max((metric.step for metric in history), default=0)
        else:
            run = self._client.create_run(self._experiment(), run_name=folder.resolve().name)
            self._id = ids["mlflow"] = run.info.run_id
            param = import_module("mlflow.entities").Param
            values = {"source": spec.source, **spec.flat()}
            self._client.log_batch(self._id, params=[param(name, str(value)[:500]) for name, value in values.items()])
            write_json(folder / IDS, ids)
        self._client.log_text(self._id, spec.to_toml(), SPEC)

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        with suppress(Exception):  # it is there, or another process is making it
            return str(self._client.create_experiment(name))
        return str(self._client.get_experiment_by_name(name).experiment_id)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers by name."""
        if step <= self._last and any(name.startswith("step/") for name in values):
            return
        now = round(1000 * time.time())
        self._waiting += [self._metric(name, value, now, step) for name, value in values.items()]
        if len(self._waiting) >= BATCH:
            self.flush()

    def text(self, name: str, text: str, step: int) -> None:
        """Log a text: a tag, which holds the last of each name."""
        self._client.set_tag(self._id, name, f"{text} (step {step})"[:5000])

    def image(self, name: str, path: Path, step: int) -> None:
        """Log an image file as an artifact."""
        del name, step
        self._client.log_artifact(self._id, str(path), path.parent.name)

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), BATCH):
            self._client.log_batch(self._id, metrics=waiting[start : start + BATCH])

    def close(self, reason: str) -> None:
        """Send what waits and end the run there."""
        self.flush()
        self._client.set_terminated(self._id, status=STATUS.get(reason, "FINISHED"))


LOGGERS: Mapping[str, Callable[[], Logger]] = {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow}
"""By the field of the section `train` that asks for each, which is the name of its package and of the extra that brings it."""


def require_loggers(asked: Callable[[str], Any]) -> None:
    """Raise InputError if a tracker is asked for and not installed.

    Args:
        asked: from a field, such as "train.wandb", to its value.
    """
    for name in LOGGERS:
        if asked(f"train.{name}") and find_spec(name) is None:
            raise InputError(
                f"train.{name}: needs the package {name}, which is not installed; pip install 'seewhy[{name}]'"
            )


def trackings(folder: Path, spec: RunSpec) -> list[Tracking]:
    """Return the observers of the trackers that a run asks for."""
    return [Tracking(name, make(), folder, spec) for name, make in LOGGERS.items() if getattr(spec.train, name)]


def read_ids(folder: Path) -> dict[str, str]:
    """Return by which ids trackers know a run, by the tracker's name."""
    with suppress(FileNotFoundError):
        return {str(name): str(value) for name, value in json.loads((folder / IDS).read_text(encoding="utf-8")).items()}
    return {}


def _indented(text: str) -> str:
    """Return a text as a block of code in Markdown."""
    return "".join(f"    {line}\n" for line in text.splitlines())


def _pixels(path: Path) -> Any:
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
