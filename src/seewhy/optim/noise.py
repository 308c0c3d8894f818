"""What two evaluations at the same parameters say of a closure: one function, one with noise, or none at all.

Threads and atomic additions change the order of sums, and with it the last digits: torch's convolutions differ by 1e-15 to 4e-10 of their value
between two calls, in float64. Such a closure can be minimised down to its noise. One that draws a batch or dropout's masks anew cannot.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["same", "noisy", "random"]

FACTOR = 4.0
"""The noise is taken to be so many times the difference of two evaluations, which is small by chance as often as not."""


@dataclass
class Noise:
    """The error of a function's values, as far as it was seen.

    Attributes:
        level: the error beyond rounding, in the units of the value; 0 until two evaluations differ.
        scale: the size of the first value.
        warned: whether the noise was reported.
    """

    level: float = 0.0
    scale: float = 0.0
    warned: bool = False

    def compare(self, value: float, again: float, *, eps: float, sign: float = 1.0) -> Verdict:
        """Compare two values at the same parameters, and warn of what they show.

        Args:
            value: the first.
            again: the second.
            eps: relative rounding of the loss; differences up to its root, times the value, are noise.
            sign: of the values, as the user knows them.
        """
        difference = abs(again - value)
        if again == value or difference <= max(10.0 * eps * abs(value), self.level):
            return "same"
        values = f"closure: gave {sign * value:.9g} and then {sign * again:.9g} at the same parameters"
        if difference <= math.sqrt(eps) * max(abs(value), self.scale):
            self.level = FACTOR * difference
            if not self.warned:
                warnings.warn(
                    f"{values}; the difference, {difference:.1g}, is more than rounding and is taken as the noise of the loss: "
                    "the search ends where the values can fall no further than that",
                    RuntimeWarning,
                    stacklevel=6,
                )
            self.warned = True
            return "noisy"
        warnings.warn(
            f"{values}; a line search needs one function: hold the batch and dropout fixed during a step, "
            "or use line_search='none' with an overlap",
            RuntimeWarning,
            stacklevel=6,
        )
        return "random"

    def state(self) -> dict[str, float]:
        """Return all that is needed to go on."""
        return asdict(self)
