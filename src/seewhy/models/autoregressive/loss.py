"""The likelihood: log p(x) = sum over positions i in raster order, and colours c within them, of log p(x_ic | all before).

A network gives all the factors of whole rasters at once, which is what training needs.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from seewhy.models.autoregressive.raster import Autoregressive


def log_likelihood(net: Autoregressive, values: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return log p(x) of each raster in nats, float32 (N): the sum over all its values.

    Args:
        net: the network.
        values: int64 or uint8 (N, C, *axes) within 0 ... L - 1.
        labels: int64 (N) where the network is conditioned on classes.
    """
    return -F.cross_entropy(net(values, labels).float(), values.long(), reduction="none").flatten(1).sum(1)
