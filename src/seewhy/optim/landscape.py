"""The loss surface of a network on the plane that its trajectory lies in best.

Letters: w_0 .. w_T weights along the trajectory (n numbers each), w_T the last. The plane goes through w_T along the first two principal
components of w_t - w_T (Li et al. 2018, 1712.09913, who also show that random directions hide the trajectory: most of its variation lies in a
few dimensions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.core.errors import bad_value

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in weight space, and the trajectory projected on it.

    Attributes:
        origin: w_T, (n).
        axes: two orthonormal vectors, (2, n).
        path: [T + 1, 2], the positions of the weights on the plane.
        explained: shares of the trajectory's variation about w_T along the two axes, in [0, 1].
    """

    origin: Tensor
    axes: Tensor
    path: Floats
    explained: tuple[float, float]

    def weights(self, x: float, y: float) -> Tensor:
        """Return the weights at a position of the plane, (n)."""
        return self.origin + x * self.axes[0] + y * self.axes[1]


@dataclass(frozen=True, eq=False)
class Surface:
    """Losses on a grid of a plane.

    Attributes:
        x: positions along the first axis, ascending, [W].
        y: along the second, [H].
        values: the loss there, [H, W].
    """

    x: Floats
    y: Floats
    values: Floats


def plane(weights: Sequence[Tensor]) -> Plane:
    """Return the plane of the first two principal components of a trajectory.

    They come from the (T, T) products of the differences, so that the cost is T^2 n, whatever n is.

    Args:
        weights: at least three vectors (n), n at least 2, in the order of training; the last is the plane's origin.

    Raises:
        InputError: fewer than three vectors, of different lengths, or they lie on one line.
    """
    if len(weights) < 3 or len({tuple(w.shape) for w in weights}) > 1:
        shapes = sorted({tuple(w.shape) for w in weights})
        raise bad_value("weights", f"{len(weights)} of shapes {shapes}", "at least three vectors of one length")
    origin = weights[-1].detach()
    differences = torch.stack([w.detach().reshape(-1) - origin.reshape(-1) for w in weights]).double()
    values, vectors = torch.linalg.eigh(differences @ differences.T)
    total, largest = float(values.clamp(min=0).sum()), values[-2:].flip(0)
    if not float(largest[1]) > 1e-12 * total:
        raise bad_value("weights", "points on one line", "points that span a plane", "record more of the trajectory")
    axes = (vectors[:, -2:].T.flip(0) @ differences) / largest.sqrt()[:, None]
    path = (differences @ axes.T).cpu().numpy()
    shares = (largest / total).tolist()
    return Plane(origin.reshape(-1), axes.to(origin.dtype), path, (shares[0], shares[1]))


def surface(
    loss: Callable[[Tensor], float | Tensor], plane: Plane, *, resolution: int = 31, margin: float = 0.25
) -> Surface:
    """Evaluate a loss on a grid that holds the trajectory.

    Args:
        loss: weights (n) -> the loss; called without gradients.
        plane: from `plane`.
        resolution: positions along either axis.
        margin: how far the grid reaches beyond the trajectory, as a share of its extent.

    Raises:
        InputError: the resolution is below 2.
    """
    if resolution < 2:
        raise bad_value("resolution", resolution, "at least 2")
    low, high = plane.path.min(axis=0), plane.path.max(axis=0)
    reach = margin * (high - low)
    x, y = (np.linspace(low[k] - reach[k], high[k] + reach[k], resolution) for k in (0, 1))
    with torch.no_grad():
        values = [[float(loss(plane.weights(float(a), float(b)))) for a in x] for b in y]
    return Surface(x, y, np.array(values))
