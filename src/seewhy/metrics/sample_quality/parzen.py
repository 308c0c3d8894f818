"""The Parzen window: the likelihood of test images under Gaussians around generated ones (Goodfellow et al. 2014, 1406.2661, section 5).

    log p(x) = log (1 / M) sum over j of N(x; y_j, s^2 I)

Letters: y_j generated images (M), pixels from 0 to 1, D of them; s the bandwidth, the best of a grid on validation images. It is rough: it
has a large variance, is dominated by the bandwidth, and can be higher for worse images (Theis et al. 2016, 1511.01844). It stands here
because the first results on GANs are given in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.sample_quality.distances import point_pair, squared_distances

BANDWIDTHS = tuple(10.0 ** (index / 9.0 - 1.0) for index in range(10))
"""From 0.1 to 1, evenly in the logarithm: the grid of the authors' code."""


@dataclass(frozen=True)
class ParzenLikelihood:
    """The Parzen-window log-likelihood.

    Attributes:
        nats: mean of log p(x) over test images; higher is better.
        standard_error: of the mean over test images.
        bandwidth: s.
        at_edge: whether s is the first or last of its grid, so that a wider grid might do better.
        n_generated: M.
        n_validation: images that s was chosen on.
        n_test: test images.
        dimensions: D.
        extractor: what the numbers are of; pixels from 0 to 1.
    """

    nats: float
    standard_error: float
    bandwidth: float
    at_edge: bool
    n_generated: int
    n_validation: int
    n_test: int
    dimensions: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def parzen_likelihood(
    generated: Tensor,
    validation: Tensor,
    test: Tensor,
    *,
    bandwidths: Sequence[float] = BANDWIDTHS,
    extractor: str = "pixels from 0 to 1",
) -> ParzenLikelihood:
    """Choose the bandwidth on validation images and measure test images.

    Args:
        generated: M images, uint8 (from 0 to 1 after division by 255) or floating; the paper has 10,000.
        validation: likewise, real ones; the paper's code takes the first 1,000.
        test: likewise, real ones, all of them.
        bandwidths: the grid of s, each above 0.
        extractor: what the numbers are of.

    Raises:
        InputError: a bandwidth is out of range, or the images do not fit.
    """
    if not bandwidths or not all(0 < bandwidth < math.inf for bandwidth in bandwidths):
        raise bad_value("bandwidths", tuple(bandwidths), "at least one, each above 0 and finite")
    means = log_densities(validation, generated, bandwidths, "validation").mean(1)
    best = int(means.argmax())
    densities = log_densities(test, generated, [bandwidths[best]], "test")[0]
    error = float(densities.std()) / math.sqrt(len(densities)) if len(densities) > 1 else math.nan
    edge = len(bandwidths) > 1 and best in (0, len(bandwidths) - 1)
    return ParzenLikelihood(
        nats=float(densities.mean()),
        standard_error=error,
        bandwidth=bandwidths[best],
        at_edge=edge,
        n_generated=len(generated),
        n_validation=len(validation),
        n_test=len(test),
        dimensions=generated[0].numel(),
        extractor=extractor,
    )


def log_densities(images: Tensor, generated: Tensor, bandwidths: Sequence[float], name: str = "images") -> Tensor:
    """Return log p(x) in nats for each bandwidth and image, float64 (B, N).

    Distances are computed once for all bandwidths, in float32: their error is some 1e-3 nats, and they take half the time.

    Args:
        images: (N, ...).
        generated: images (M, ...) that the Gaussians are centred on.
        bandwidths: s.
        name: of the images, for messages.
    """
    x, y = point_pair((name, "generated"), images, generated)
    densities = torch.empty(len(bandwidths), len(x), dtype=torch.float64, device=x.device)
    for rows, distances in squared_distances(x.float(), y.float()):
        for index, bandwidth in enumerate(bandwidths):
            densities[index, rows] = torch.logsumexp(distances * (-0.5 / bandwidth**2), 1).double()
    constants = [0.5 * x.shape[1] * math.log(2.0 * math.pi * s**2) + math.log(len(y)) for s in bandwidths]
    return densities - densities.new_tensor(constants)[:, None]
