"""The Parzen window: the likelihood of test pictures under Gaussians around drawn ones (Goodfellow et al. 2014, 1406.2661, section 5).

    log p(x) = log (1 / M) sum over j of N(x; y_j, s^2 I)

Letters: y_j drawn pictures (M), pixels from 0 to 1, D of them; s the width, the best of a grid on validation pictures. It is a rough measure: it
has a large variance, is dominated by the width, and can be higher for worse pictures (Theis et al. 2016, 1511.01844). It stands here because
the first results on GANs are given in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.training.fidelity.samples import pair, squared_distances

WIDTHS = tuple(10.0 ** (place / 9.0 - 1.0) for place in range(10))
"""From 0.1 to 1, evenly in the logarithm: the grid of the authors' code."""


@dataclass(frozen=True)
class Parzen:
    """The Parzen-window log-likelihood.

    Attributes:
        nats: mean of log p(x) over test pictures; higher is better.
        standard_error: of the mean over test pictures.
        width: s.
        at_edge: whether s is the first or last of its grid, so that a wider grid might do better.
        n_drawn: M.
        n_validation: pictures that s was chosen on.
        n_test: test pictures.
        dimensions: D.
        extractor: what the numbers are of; pixels from 0 to 1.
    """

    nats: float
    standard_error: float
    width: float
    at_edge: bool
    n_drawn: int
    n_validation: int
    n_test: int
    dimensions: int
    extractor: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def parzen(
    drawn: Tensor,
    validation: Tensor,
    test: Tensor,
    *,
    widths: Sequence[float] = WIDTHS,
    extractor: str = "pixels from 0 to 1",
) -> Parzen:
    """Choose the width on validation pictures and measure test pictures.

    Args:
        drawn: M pictures, uint8 (from 0 to 1 after division by 255) or floating; the paper has 10,000.
        validation: likewise, real ones; the paper's code takes the first 1,000.
        test: likewise, real ones, all of them.
        widths: the grid of s, each above 0.
        extractor: what the numbers are of.

    Raises:
        InputError: a width is out of range, or the pictures do not fit.
    """
    if not widths or not all(0 < width < math.inf for width in widths):
        raise bad_value("widths", tuple(widths), "at least one, each above 0 and finite")
    means = log_densities(validation, drawn, widths, "validation").mean(1)
    best = int(means.argmax())
    found = log_densities(test, drawn, [widths[best]], "test")[0]
    error = float(found.std()) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    edge = len(widths) > 1 and best in (0, len(widths) - 1)
    return Parzen(
        nats=float(found.mean()),
        standard_error=error,
        width=widths[best],
        at_edge=edge,
        n_drawn=len(drawn),
        n_validation=len(validation),
        n_test=len(test),
        dimensions=drawn[0].numel(),
        extractor=extractor,
    )


def log_densities(images: Tensor, drawn: Tensor, widths: Sequence[float], name: str = "images") -> Tensor:
    """Return log p(x) in nats for each width and picture, float64 (W, N).

    Distances are computed once for all widths, in float32: their error is some 1e-3 nats, and they take half the time.

    Args:
        images: pictures (N, ...).
        drawn: pictures (M, ...) that the Gaussians stand on.
        widths: s.
        name: of the images, for messages.
    """
    x, y = pair((name, "drawn"), images, drawn)
    found = torch.empty(len(widths), len(x), dtype=torch.float64, device=x.device)
    for rows, distances in squared_distances(x.float(), y.float()):
        for place, width in enumerate(widths):
            found[place, rows] = torch.logsumexp(distances * (-0.5 / width**2), 1).double()
    constants = [0.5 * x.shape[1] * math.log(2.0 * math.pi * width**2) + math.log(len(y)) for width in widths]
    return found - found.new_tensor(constants)[:, None]
