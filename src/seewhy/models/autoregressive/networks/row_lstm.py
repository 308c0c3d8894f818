"""Row LSTM: the state goes down the rows of an image, with a convolution along the row (van den Oord et al. 2016, 1601.06759, section 3.1).

    (i, f, g, o) of row r = K_is * f_r + K_ss * h_(r - 1)

The input-to-state convolution K_is is masked; the state-to-state convolution K_ss, of 3 positions along the row, need not be, since the row
above is all before. A pixel sees of its own row what K_is shows, and of the row k above as far as k columns further to either side: a
triangle, and so not all that comes before. The first convolution and every further layer make it wider.

Over one axis it is a causal LSTM along a sequence; over three, an LSTM along the first axis whose states are planes, with 3 x 3 convolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from seewhy.models.autoregressive.networks.lstm import LSTMNet, ScanPattern
from seewhy.models.autoregressive.networks.skew import rows
from seewhy.models.autoregressive.raster import validate_raster


class RowLSTM(nn.Module):
    """Values (N, C, *axes) -> logits (N, L, C, *axes), float32: each value's distribution given values before it, in a triangle above.

    Args:
        shape: (C, *axes): channels, which are predicted in order, and the sides of 1 to 3 axes.
        levels: L, from 2 to 256.
        classes: K, for a network that is conditioned on a class, by a bias of the gates.
        width: h units; between layers there are 2h features.
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
        plane = len(shape) - 2
        visible = [step for step in itertools.product((-1, 0, 1), repeat=plane) if step <= (0,) * plane]
        pattern = ScanPattern(rows, tuple((0, *step) for step in visible))
        self.net = LSTMNet(
            shape, levels, pattern, classes=classes, width=width, depth=depth, first_kernel_size=first_kernel_size
        )
        self.shape, self.levels, self.classes = self.net.shape, levels, classes

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        logits: Tensor = self.net(values, labels)
        return logits
