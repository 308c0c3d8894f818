"""Loggers beside metrics.csv, as observers of the training's events."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.training.events import EpochEnded, Event, RunEnded, RunStarted, StepEnded


def require_tensorboard() -> None:
    """Raise InputError if TensorBoard is asked for and not installed."""
    if find_spec("tensorboard") is None:
        raise InputError(
            "train.tensorboard: needs the package tensorboard, which is not installed; pip install 'seewhy[tensorboard]'"
        )


class TensorBoard:
    """Writes `tensorboard/` in the run folder: loss and learning rate of every step, the row of every epoch.

    A resumed run goes on in the same place: what was logged after its checkpoint is purged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tensorboard"
        self._writer: Any = None

    def __call__(self, event: Event) -> None:
        """Log the event."""
        match event:
            case RunStarted():
                from torch.utils.tensorboard import SummaryWriter  # slow to import, and optional

                self._writer = SummaryWriter(str(self.folder), purge_step=event.step + 1)
            case StepEnded():
                for name, value in event.metrics.items():
                    self._writer.add_scalar(f"step/{name}", value, event.step)
                self._writer.add_scalar("step/lr", event.lr, event.step)
            case EpochEnded():
                for name, value in event.row.items():
                    if name not in ("epoch", "step"):
                        self._writer.add_scalar(f"epoch/{name}", value, int(event.row["step"]))
                self._writer.flush()
            case RunEnded():
                self._writer.close()
