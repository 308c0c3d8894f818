"""What an optimiser's updates are like: how equal over the coordinates, how long for the gradient, how persistent in direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TINY = 1e-30


class UpdateWatch:
    """Watches every step of a training: give its `observe` to `fit`, with `every=1`.

    Letters: w weights, u = the change of w in a step, g the gradient that led to it.

    Attributes:
        rates: median over the weights of |u| / |g|, by step: what is left of the learning rate.
        cosines: of u and the u before it, by step.
    """

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.cosines: list[float] = []
        self._total: Tensor | None = None
        self._alive: Tensor | None = None
        self._before: Tensor | None = None
        self._update: Tensor | None = None

    @torch.no_grad()
    def observe(self, net: nn.Module, step: int) -> None:
        """Compare the weights with those of the step before, whose gradients the network still holds."""
        weights = [parameter for parameter in net.parameters() if parameter.dim() >= 2]
        now = torch.cat([weight.flatten() for weight in weights])
        if step and self._before is not None:
            gradient = torch.cat([weight.grad.flatten() for weight in weights if weight.grad is not None])
            update = now - self._before
            self.rates.append(float((update.abs() / gradient.abs().clamp_min(TINY))[gradient != 0].median()))
            self._total = update.abs() if self._total is None else self._total + update.abs()
            alive = (gradient != 0).float()
            self._alive = alive if self._alive is None else self._alive + alive
            if self._update is not None:
                self.cosines.append(float(torch.cosine_similarity(update, self._update, 0)))
            self._update = update
        self._before = now.clone()

    @property
    def decades(self) -> float:
        """How unequal the weights' paths are: log10 of the 90% quantile of their lengths over the 10% quantile.

        Weights that had a gradient in fewer than half of the steps, those of dead units, are left out.
        """
        assert self._total is not None
        assert self._alive is not None
        lengths = self._total[self._alive >= len(self.rates) / 2]
        low, high = torch.quantile(lengths[:: max(1, len(lengths) // 100_000)], torch.tensor([0.1, 0.9])).tolist()
        return float(torch.log10(torch.tensor(max(high, TINY) / max(low, TINY))))

    @property
    def persistence(self) -> float:
        """The mean cosine of successive updates."""
        return sum(self.cosines) / len(self.cosines)

    def kept(self, share: float = 0.1) -> float:
        """Return the mean rate of the last steps over that of the first, without the very first ten."""
        count = max(1, int(len(self.rates) * share))
        first = self.rates[10 : 10 + count] or self.rates[:count]
        return max(sum(self.rates[-count:]) / count, TINY) / max(sum(first) / len(first), TINY)
