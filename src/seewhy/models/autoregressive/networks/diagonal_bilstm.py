"""Diagonal BiLSTM: the state goes along the diagonals of an image, from both upper corners (van den Oord et al. 2016, 1601.06759, section 3.2).

    (i, f, g, o) of (r, j) = K_is f_rj + U_0 h_(r, j - 1) + U_1 h_(r - 1, j)

The second direction is the first one on the mirrored image, shifted down by a row so that it sees no future. All cells of a diagonal r + j
are one step.

Together the two see everything that comes before. For that the second reads, beside the features, the values themselves: features of type A
at a row's last pixel do not show that pixel, and from the row below only the first convolution reaches it, if it is near.

Over one axis it is a causal LSTM along a sequence. Over three, a step is a sum of coordinates t + r + j, a cell has three neighbours before
it, and there are four directions, mirrored along r, j or both; each is shifted along the axis before the first that it mirrors. Together
they see everything before.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seewhy.models.autoregressive.networks.lstm import LSTMNet, ScanPattern
from seewhy.models.autoregressive.networks.skew import diagonals
from seewhy.models.autoregressive.raster import validate_raster


class DiagonalBiLSTM(nn.Module):
    """Values (N, C, *axes) -> logits (N, L, C, *axes), float32: each value's distribution given all values before it.

    Args:
        shape: (C, *axes): channels, which are predicted in order, and the sides of 1 to 3 axes.
        levels: L, from 2 to 256.
        classes: K, for a network that is conditioned on a class, by a bias of the gates.
        width: h units of each direction; between layers there are 2h features.
        depth: layers.
        first_kernel_size: side of the first convolution, odd, at least 3.

    Raises:
        InputError: an argument is out of range, or (on a call) values or labels do not fit.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        *,
        classes: int | None = None,
        width: int = 32,
        depth: int = 1,
        first_kernel_size: int = 7,
    ) -> None:
        super().__init__()
        validate_raster(shape, levels, classes)
        pattern = ScanPattern(diagonals, ((0,) * (len(shape) - 1),))
        self.net = LSTMNet(
            shape, levels, pattern, classes=classes, width=width, depth=depth, first_kernel_size=first_kernel_size
        )
        self.shape, self.levels, self.classes = self.net.shape, levels, classes

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        logits: Tensor = self.net(values, labels)
        return logits
