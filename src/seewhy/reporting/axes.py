"""The axes of drawings: where values are, and which are marked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.reporting.formatting import format_number

LOG_FROM = 30.0
"""What spans more than this factor is drawn on a logarithmic axis."""


def whole_ticks(low: float, high: float) -> list[int]:
    """Return at most eight round whole numbers from low to high."""
    step = next(s * 10**k for k in range(18) for s in (1, 2, 5) if (high - low) / (s * 10**k) <= 7)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from low to high; the powers alone where they are many."""
    factors = (1, 2, 5) if high / low < 300 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / 8))
    return [tick for k in powers[::step] for f in factors if low <= (tick := float(f"{f}e{k}")) <= high]


@dataclass(frozen=True)
class PlotAxis:
    """Values to positions in a drawing, linear or logarithmic (of 1 + value where `shifted`)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    shifted: bool = False

    def _transform(self, values: Any) -> Any:
        if self.shifted:
            return np.log1p(values)
        return np.log(np.maximum(values, self.low)) if self.log else np.asarray(values)

    def __call__(self, values: Any) -> Any:
        """Return where values are drawn."""
        low, high = self._transform(self.low), self._transform(self.high)
        fraction = (self._transform(values) - low) / max(high - low, 1e-300)
        # Trajectories that leave the figure are cut there by the drawing; numbers beyond its precision would not be drawn at all.
        return self.start + (self.end - self.start) * np.clip(fraction, -20.0, 20.0)

    def ticks(self) -> list[tuple[float, float, str]]:
        """Return the positions of a few round values, the values and their labels."""
        if self.log and not self.shifted:
            values = log_ticks(self.low, self.high)
        elif self.shifted:
            values = [0.0, *(float(f"1e{k}") for k in range(8) if 10**k <= self.high)]
        else:
            span = self.high - self.low
            k = max(-9, math.floor(math.log10(span / 6)))
            step = next(s * 10.0**k for s in (1, 2, 5, 10) if span <= 6 * s * 10.0**k)
            first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            values = [step * k for k in range(first, last + 1)]
        return [(round(float(self(value)), 1), value, _label(value)) for value in values]


def _label(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        head, _, power = f"{value:.0e}".partition("e")
        return f"{head}e{int(power)}"
    return format_number(round(value, 9))
