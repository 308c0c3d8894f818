"""What a generator draws while it trains: the same noise after chosen epochs, a sheet each, for the report to leaf through."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from seewhy.core.files import naming
from seewhy.core.seeding import generator
from seewhy.training.loop.events import EpochEnded, Event
from seewhy.training.loop.fit import predicting
from seewhy.training.loop.job import Job
from seewhy.training.results.pictures import pixels_of, save_picture

FOLDER = "frames"
FRAMES = 12
"""Sheets of a run, at most about."""

SHOWN = 36


def moments(epochs: int) -> tuple[int, ...]:
    """Return the epochs (from 1) after which a sheet is drawn: the first, the last, and between them ever further apart, as learning slows."""
    if epochs <= FRAMES:
        return tuple(range(1, epochs + 1))
    return tuple(sorted({round(epochs ** (place / (FRAMES - 1))) for place in range(FRAMES)}))


class Frames:
    """Writes frames/epoch-0001.png, ...: an observer of the training's events, in the main process."""

    def __init__(self, folder: Path, job: Job, classes: int | None, seed: int) -> None:
        """Take the run's folder, its job, the number of classes that the generator is told (None: it is not), and the run's seed."""
        self.folder, self.job, self.classes, self.seed = folder / FOLDER, job, classes, seed
        self.epochs = set(moments(math.ceil(job.total_steps / job.steps_per_epoch)))

    def __call__(self, event: Event) -> None:
        """Draw after a chosen epoch."""
        if not isinstance(event, EpochEnded) or event.epoch + 1 not in self.epochs:
            return
        from seewhy.reporting import grid

        with naming(self.folder):
            self.folder.mkdir(exist_ok=True)
        model: Any = self.job.model
        labels = None if self.classes is None else torch.arange(SHOWN, device=self.job.engine.device) % self.classes
        with predicting(self.job), torch.no_grad():
            model.eval()
            drawn = model.sample(SHOWN, labels, generator=generator(self.seed, "frames", device=self.job.engine.device))
            model.train()
        save_picture(grid(pixels_of(drawn)), self.folder / f"epoch-{event.epoch + 1:04d}.png")
