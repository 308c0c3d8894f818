"""What a model generates while it trains: the same noise after selected epochs, a sheet each, for the report to leaf through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from seewhy.core.files import naming
from seewhy.core.seeding import rng
from seewhy.data.image_files import save_image, to_pixels
from seewhy.models.family import Trained
from seewhy.models.generative.conditioning import labels_in_turn
from seewhy.reporting import image_grid

FOLDER = "frames"
FRAMES = 12
"""Sheets of a run, at most about."""

FRAME_IMAGES = 36


def frame_epochs(epochs: int) -> tuple[int, ...]:
    """Return the epochs (from 1) after which a sheet is made: the first, the last, and between them ever further apart, as learning slows."""
    if epochs <= FRAMES:
        return tuple(range(1, epochs + 1))
    return tuple(sorted({round(epochs ** (index / (FRAMES - 1))) for index in range(FRAMES)}))


def observe(trained: Trained, folder: Path, epochs: int) -> Callable[[int], None]:
    """Return what writes frames/epoch-0001.png, ... into a run's folder after selected epochs, called with each (from 1).

    Args:
        trained: the network in training; when called, with the weights that would predict.
        folder: of the run.
        epochs: of the whole run.
    """
    selected, device = set(frame_epochs(epochs)), trained.engine.device

    @torch.no_grad()
    def after_epoch(epoch: int) -> None:
        if epoch not in selected:
            return
        with naming(folder / FOLDER):
            (folder / FOLDER).mkdir(exist_ok=True)
        training = trained.model.training
        trained.model.eval()
        noise = rng(trained.spec.train.seed, "frames", device=device)
        images = trained.model.sample(FRAME_IMAGES, labels_in_turn(trained, FRAME_IMAGES), rng=noise)
        trained.model.train(training)
        save_image(image_grid(to_pixels(images)), folder / FOLDER / f"epoch-{epoch:04d}.png")

    return after_epoch
