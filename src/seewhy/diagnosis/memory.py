"""Which units have been silent, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

WINDOW = 1000
"""Examples and positions over which a unit must have been silent."""


class UnitMemory:
    """How long each unit of an activation has been silent: one count of examples and positions for each."""

    def __init__(self) -> None:
        self._silent: dict[str, Tensor] = {}
        self._samples: dict[str, int] = {}

    def update(self, layer: str, active: Tensor, samples: int) -> tuple[float, int]:
        """Note which units (D) were active.

        Returns:
            the share that was silent in the last `WINDOW` examples, or in all where there were fewer, and how many these are.
        """
        silent = self._silent.get(layer)
        if silent is None or len(silent) != len(active):
            silent, self._samples[layer] = torch.zeros(len(active), dtype=torch.int64, device="cpu"), 0
        self._silent[layer] = silent = torch.where(active, 0, silent + samples)
        self._samples[layer] += samples
        seen = min(WINDOW, self._samples[layer])
        return float((silent >= seen).float().mean()), self._samples[layer]

    def state(self) -> dict[str, Any]:
        """Return the counts, by layer."""
        return {"silent": dict(self._silent), "samples": dict(self._samples)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with counts that `state` gave."""
        self._silent, self._samples = dict(state["silent"]), dict(state["samples"])
