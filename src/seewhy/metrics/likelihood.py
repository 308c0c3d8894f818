"""How probable a generative model finds images: log p(x) in nats per image, exact or bounded, with its interval."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.intervals import mean_interval


@dataclass(frozen=True)
class LikelihoodMetrics:
    """The mean negative log-likelihood of a split.

    Attributes:
        split: "val" or "test".
        n: images.
        nats: mean of -log p(x), nats per image; lower is better.
        interval: 95% interval of the mean over images.
        bits_per_dimension: nats / (values of an image x log 2).
        estimator: "exact", or which bound.
        levels: intensity levels whose probabilities these are; None where pixels have a density.
    """

    split: str
    n: int
    nats: float
    interval: tuple[float, float]
    bits_per_dimension: float
    estimator: str
    levels: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "interval": list(self.interval)}


def likelihood_metrics(
    split: str, log_likelihoods: Tensor, dimensions: int, *, estimator: str = "exact", levels: int | None = None
) -> LikelihoodMetrics:
    """Compute the figures of a split.

    Args:
        split: "val" or "test".
        log_likelihoods: log p(x) in nats, (N), N at least 1.
        dimensions: values of an image, C H W.
        estimator: "exact", or which bound.
        levels: intensity levels whose probabilities these are; None where pixels have a density.

    Raises:
        InputError: log_likelihoods are not (N), or there are none; dimensions is below 1.
    """
    if log_likelihoods.dim() != 1 or not len(log_likelihoods):
        raise bad_value("log_likelihoods", tuple(log_likelihoods.shape), "(N), N at least 1")
    if dimensions < 1:
        raise bad_value("dimensions", dimensions, "at least 1")
    losses = -log_likelihoods.double()
    nats = losses.mean().item()
    bits = nats / (dimensions * math.log(2))
    return LikelihoodMetrics(split, len(losses), nats, mean_interval(losses), bits, estimator, levels)
