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

from seewhy.models.autoregressive.lstm_cursor import LSTMCursor
from seewhy.models.autoregressive.lstm_net import LSTMNet, Way
from seewhy.models.autoregressive.raster import check_raster
from seewhy.models.autoregressive.skew import rows


class RowLSTM(nn.Module):
    """Values (N, C, *axes) -> logits (N, L, C, *axes), float32: each value's distribution given values before it, in a triangle above.

    Args:
        shape: (C, *axes): channels, which are predicted in order, and the sides of 1 to 3 axes.
        levels: L, from 2 to 256.
        classes: K, for a network that is conditioned on a class, by a bias of the gates.
        width: h units; between layers there are 2h features.
        depth: layers.
        kernel: side of the first convolution, odd, at least 3.

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
        kernel: int = 7,
    ) -> None:
        super().__init__()
        check_raster(shape, levels, classes)
        plane = len(shape) - 2
        seen = [place for place in itertools.product((-1, 0, 1), repeat=plane) if place <= (0,) * plane]
        way = Way(rows, tuple((0, *place) for place in seen))
        self.net = LSTMNet(shape, levels, way, classes=classes, width=width, depth=depth, kernel=kernel)
        self.shape, self.levels, self.classes = self.net.shape, levels, classes

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        found: Tensor = self.net(values, labels)
        return found

    def cursor(self, values: Tensor, labels: Tensor | None = None) -> LSTMCursor:
        """Return a cursor over values that are filled behind it, with the states of the positions before kept."""
        return self.net.cursor(values, labels)
