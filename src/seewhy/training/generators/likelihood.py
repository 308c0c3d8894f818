"""How likely a generator finds pictures: log p(x) in nats an image, exact or bounded, with its interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.seeding import generator
from seewhy.data import Part
from seewhy.training.fabric import Engine
from seewhy.training.generators.task import CHUNK
from seewhy.training.spec import RunSpec

SAMPLES = 100
"""Codes a picture by which a run's own bound is estimated; `seewhy evaluate --samples` takes more."""


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of a part.

    Attributes:
        part: "val" or "test".
        n: images.
        nats: mean of -log p(x) an image; lower is better.
        interval: 95% interval of the mean over images.
        bits_per_dimension: nats / (values of a picture x log 2).
        estimator: "exact", or which bound.
        levels: of brightness, whose probabilities these are; None where pixels have a density.
    """

    part: str
    n: int
    nats: float
    interval: tuple[float, float]
    bits_per_dimension: float
    estimator: str
    levels: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


@torch.no_grad()
def log_likelihoods(
    engine: Engine,
    model: Any,
    part: Part,
    *,
    conditional: bool,
    samples: int,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Return log p(x) in nats of every image of a part, float32 (N) on the CPU, in its order; equal calls give equal values.

    Every process computes its share; all get the whole. What is drawn (black and white pixels, codes) depends on the image's place alone.
    """
    model.eval()
    found = torch.zeros(len(part), dtype=torch.float64, device=engine.device)
    for start in range(engine.rank * CHUNK, len(part), engine.world * CHUNK):
        rows = torch.arange(start, min(start + CHUNK, len(part)))
        images = part.images(rows).to(engine.device)
        labels = part.labels[rows].to(engine.device) if conditional else None
        with engine.autocast():
            drawn = generator(0, "likelihood", start, device=engine.device)
            found[rows] = model.log_likelihood(images, labels, samples=samples, generator=drawn).double()
        if progress is not None:
            progress(int(rows[-1]) + 1)
    return engine.total(found).float().cpu()


def summarise(part: str, found: Tensor, dimensions: int, *, estimator: str, levels: int | None) -> Likelihood:
    """Return the figures of log-likelihoods (N) of images with so many values each."""
    n, nats = len(found), -found.double().mean().item()
    half = 1.959964 * found.double().std(correction=1).item() / math.sqrt(n) if n > 1 else 0.0
    bits = nats / (dimensions * math.log(2))
    return Likelihood(part, n, nats, (nats - half, nats + half), bits, estimator, levels)


def estimator(spec: RunSpec, samples: int = SAMPLES) -> dict[str, Any]:
    """Return in words what the likelihood of a generator is, and of how many levels."""
    said = "exact"
    if spec.model.name == "autoencoder":
        said = "of a picture given its own code: an autoencoder has no likelihood"
    elif spec.model.name == "vae":
        said = f"importance-weighted bound, k = {samples:,}"
    return {
        "estimator": said,
        "levels": None if (spec.generator.output or "").startswith("gaussian") else spec.generator.levels,
    }
