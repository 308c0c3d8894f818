"""A latent variable that is drawn as mean + deviation x noise, seen by the functions that make it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seewhy.diagnosis.records import LatentRecord

ACTIVE = 0.01
"""Variance over the rows above which a latent dimension's mean is active (Burda et al. 2016, 1509.00519)."""


class Latent:
    """What was seen of noise, of what scales it, and of what it is added to.

    Attributes:
        record: of the first latent variable; None where none was drawn.
    """

    def __init__(self) -> None:
        self.record: LatentRecord | None = None
        self.forget()

    def forget(self) -> None:
        """Keep no tensor of the pass."""
        self._noise: list[Tensor] = []
        self._scaled: list[tuple[Tensor, Tensor]] = []

    def see_noise(self, result: Any) -> None:
        """See what a function has drawn."""
        if isinstance(result, Tensor) and result.dim() > 1:
            self._noise.append(result)

    def see_product(self, args: tuple[Any, ...], result: Any) -> None:
        """See a product, of noise perhaps."""
        if not self._noise or len(args) < 2:
            return
        for noise, other in (args[:2], args[1::-1]):
            if isinstance(other, Tensor) and any(noise is one for one in self._noise):
                self._scaled.append((result, other))

    def see_addcmul(self, args: tuple[Any, ...], result: Any) -> None:
        """See a product and a sum in one."""
        if self._noise and len(args) > 2:
            self.see_product(args[1:3], result)
            self.see_sum((result, args[0]))

    @torch.no_grad()
    def see_sum(self, args: tuple[Any, ...]) -> None:
        """See a sum, of scaled noise and its mean perhaps."""
        if not self._scaled or len(args) < 2 or self.record is not None:
            return
        for product, mean in (args[:2], args[1::-1]):
            std = next((std for made, std in self._scaled if made is product), None)
            if std is None or not isinstance(mean, Tensor) or mean.shape != std.shape or mean.dim() < 2:
                continue
            m, s = (part.detach().flatten(1).float() for part in (mean, std))
            kl = 0.5 * (m.square() + s.square() - 1) - s.clamp_min(1e-12).log()
            active = int((m.var(0) > ACTIVE).sum()) if len(m) > 1 else m.shape[1]
            self.record = LatentRecord(tuple(kl.mean(0).tolist()), active)
