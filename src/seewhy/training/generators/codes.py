"""The codes of an autoencoder's training pictures: a Gaussian is fitted to them, from which it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.fabric import Engine
from seewhy.training.generators.task import CHUNK
from seewhy.training.loop.checkpoint import load_tensors, save_tensors

FILE = "codes.safetensors"
FITTED = 10_000
"""Training pictures whose codes are fitted, at most."""


@torch.no_grad()
def fit_codes(engine: Engine, model: Any, part: Part, folder: Path, *, conditional: bool) -> None:
    """Fit the Gaussian and keep it in the run's folder."""
    rows = torch.linspace(0, len(part) - 1, min(FITTED, len(part))).long()
    found = []
    for start in range(0, len(rows), CHUNK):
        chosen = rows[start : start + CHUNK]
        labels = part.labels[chosen].to(engine.device) if conditional else None
        noise = generator(0, "codes", start, device=engine.device)
        found.append(model.encode(part.images(chosen).to(engine.device), labels, noise))
    model.fit_codes(torch.cat(found))
    if engine.is_main:
        save_tensors({"mean": model.mean, "covariance": model.covariance}, folder / FILE)


def load_codes(model: Any, folder: Path) -> None:
    """Give an autoencoder the Gaussian of its run, if that has ended."""
    if (folder / FILE).is_file():
        kept = load_tensors(folder / FILE)
        model.mean.copy_(kept["mean"])
        model.covariance.copy_(kept["covariance"])
        model.fitted.fill_(True)
