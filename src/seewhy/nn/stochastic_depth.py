"""Stochastic depth: residual branches are skipped at random while a network trains (Huang et al. 2016, 1603.09382).

Letters: F a residual branch, s its shortcut, p_l the probability with which branch l of L survives, b its coin, 0 or 1.

    training     y = s(x) + b F(x), b ~ Bernoulli(p_l)
    evaluation   y = s(x) + p_l F(x)
    p_l          1 - (l / L) (1 - p_L): the last branch survives least often

A skipped branch is not computed, forward or backward: with p_L = 1/2 a quarter of all branches costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, distributed, nn

from seewhy.core.errors import bad_value, unknown_name

Mode = Literal["batch", "row"]
MODES: tuple[Mode, ...] = ("batch", "row")


def survival_rates(count: int, last: float) -> list[float]:
    """Return p_1 ... p_L of the linear decay.

    Args:
        count: L.
        last: p_L, in (0, 1].

    Raises:
        InputError: a number is out of range.
    """
    if count < 1:
        raise bad_value("count", count, "at least 1")
    if not 0 < last <= 1:
        raise bad_value("last", last, "more than 0 and at most 1")
    return [1.0 - index / count * (1.0 - last) for index in range(1, count + 1)]


class StochasticDepth(nn.Module):
    """Add a residual branch to its shortcut, or skip it.

        self.depth = StochasticDepth(0.8)
        y = self.depth(x, self.branch, self.shortcut(x))

    Args:
        survival: p_l, in (0, 1].
        mode: "batch": one coin per batch, as in the paper; "row": one per image, and the branch is given the surviving images alone.

    Where several processes train together, a skipped branch is computed and multiplied by 0 instead, for all of them wait for all gradients;
    so it is where torch compiles or exports a module in training, since a graph does not branch on values.

    Raises:
        InputError: `survival` is out of range, or the mode is not known.
    """

    def __init__(self, survival: float = 1.0, *, mode: Mode = "batch") -> None:
        super().__init__()
        if not 0 < survival <= 1:
            raise bad_value("survival", survival, "more than 0 and at most 1")
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        self.survival, self.mode = survival, mode

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.survival:g}, mode={self.mode!r}"

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor], shortcut: Tensor) -> Tensor:
        """Return y of the module's text.

        Args:
            x: (N, ...), what the branch is called with.
            branch: F, a module or function that treats the images of a batch alike.
            shortcut: s(x), of the shape of F(x).
        """
        if self.survival == 1.0:
            return shortcut + branch(x)
        if not self.training:
            return shortcut + self.survival * branch(x)
        rows = 1 if self.mode == "batch" else len(x)
        survives = torch.rand(rows) < self.survival
        if torch.compiler.is_compiling() or (distributed.is_initialized() and distributed.get_world_size() > 1):
            coins = survives.to(device=x.device, dtype=shortcut.dtype).view(-1, *[1] * (shortcut.dim() - 1))
            return shortcut + coins * branch(x)
        if bool(survives.all()):
            return shortcut + branch(x)
        if not bool(survives.any()):
            return shortcut
        survivors = survives.nonzero().flatten().to(x.device)
        branched = branch(x.index_select(0, survivors))
        # In place, which keeps the memory format.
        return shortcut.clone().index_add_(0, survivors, branched.to(shortcut.dtype))
