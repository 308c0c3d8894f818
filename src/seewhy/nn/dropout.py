"""Dropout, inverted and classic: units are dropped at random while a network trains.

Letters: p the probability with which a unit is dropped, m_i its mask, 0 with probability p and else 1.

    inverted   training y = m x / (1 - p), evaluation y = x
    classic    training y = m x, evaluation y = (1 - p) x (Srivastava et al. 2014, section 4; Hinton et al. 2012, 1207.0580)

Both have the same mean in training as they give in evaluation. They differ in what the layers behind them learn: behind classic ones inputs are
smaller in training, so that weights come out larger by 1 / (1 - p), and a penalty or a limit of norms holds them harder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.core.seeding import random_bits16

RARE = 2.0**-10
"""Probabilities closer to 0 or 1 than this are left to torch's own dropout: 2^-16 is too coarse for them."""


class Dropout(nn.Module):
    """Drop elements, or whole channels, by masks of their own for every example: any shape -> the same.

    Args:
        p: probability with which an element is dropped.
        kind: "inverted" or "classic".
        channels: drop whole channels of maps (N, C, H, W) instead (Tompson et al. 2015, 1411.4280).

    Raises:
        InputError: p is out of range, or the kind is not known.
    """

    def __init__(self, p: float = 0.5, *, kind: str = "inverted", channels: bool = False) -> None:
        super().__init__()
        DROPOUTS[kind]
        if not 0 <= p < 1:
            raise bad_value("p", p, "at least 0 and less than 1")
        self.p, self.kind, self.channels = p, kind, channels

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.p}, kind={self.kind!r}" + (", channels=True" if self.channels else "")

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        if self.p == 0.0:
            return x
        keep = 1.0 - self.p
        if not self.training:
            return x * keep if self.kind == "classic" else x
        scale = 1.0 if self.kind == "classic" else 1.0 / keep
        if x.device.type == "cpu" and RARE <= self.p <= 1.0 - RARE:
            shape = (*x.shape[:2], *[1] * (x.ndim - 2)) if self.channels else x.shape
            return x * (stays(shape, self.p) * scale).to(x.dtype)
        y = F.dropout2d(x, self.p) if self.channels else F.dropout(x, self.p)
        return y * keep if self.kind == "classic" else y


def stays(shape: Sequence[int], p: float) -> Tensor:
    """Return which elements stay, bool: each with probability 1 - p to 2^-16, from torch's global source of random numbers on the CPU."""
    return random_bits16(shape) >= round(p * 2**16) - 2**15


def inverted(*, p: float) -> Dropout:
    """Make a dropout that scales in training."""
    return Dropout(p, kind="inverted")


def classic(*, p: float) -> Dropout:
    """Make a dropout that scales in evaluation."""
    return Dropout(p, kind="classic")


DROPOUTS: Registry[Callable[..., Dropout]] = Registry("dropouts", "kind")
DROPOUTS.add(
    Technique(
        name="inverted",
        factory=inverted,
        summary="units dropped in training, the others scaled up; nothing to do in evaluation",
        formula="training y = m x / (1 - p), m ~ Bernoulli(1 - p); evaluation y = x",
        source="Srivastava et al. 2014, section 10; Hinton et al. 2012, 1207.0580",
        good_for="large dense layers that overfit; Monte-Carlo prediction",
        bad_for="short runs; before batch normalisation, whose statistics it spoils",
        claims=("C21",),
        hyperparameters=("p",),
    )
)
DROPOUTS.add(
    Technique(
        name="classic",
        factory=classic,
        summary="units dropped in training, all scaled down in evaluation",
        formula="training y = m x, m ~ Bernoulli(1 - p); evaluation y = (1 - p) x",
        source="Hinton et al. 2012, 1207.0580; Srivastava et al. 2014",
        good_for="repeating the papers, whose norm limits belong to it",
        bad_for="changing p later: the weights are made for one p",
        claims=("C21",),
        example="--reg.dropout_kind classic --reg.dropout 0.5",
        hyperparameters=("p",),
    )
)
