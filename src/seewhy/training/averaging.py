"""The exponential moving average of a network's weights (Polyak & Juditsky 1992; Izmailov et al. 2018, 1803.05407)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """a <- decay_t a + (1 - decay_t) w after every step t, with decay_t = min(decay, (1 + t) / (10 + t)).

    The rising decay keeps the random start out of the average. Floating-point buffers (running statistics) are averaged like
    weights; integer buffers are copied. A weight of `sparse` that is exactly 0 in the model is 0 in the average too: L1 has chosen it,
    and the mean of its past would keep it in the network.
    """

    def __init__(self, model: nn.Module, decay: float, sparse: Sequence[str] = ()) -> None:
        """Start the average at the model's present state; `decay` within (0, 1), per step; `sparse` names weights whose zeros are kept."""
        self.decay, self.sparse = decay, sparse
        self.state: dict[str, Tensor] = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the model after step `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current = model.state_dict()
        floating = [name for name, value in current.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in floating], [current[name] for name in floating], 1 - decay)
        for name in self.sparse:
            self.state[name].mul_(current[name] != 0)
        for name in current.keys() - set(floating):
            self.state[name].copy_(current[name])

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """Put the average into the model for a while."""
        own = {name: value.clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.state)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved average."""
        for name, value in state.items():
            self.state[name].copy_(value)
