"""Arguments of verbs: whole numbers, temperatures. Every error names the argument."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from seewhy.core.errors import bad_value


def validate_integer(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number; raises InputError unless it is one from `least` to `most`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise bad_value(name, value, "a whole number")
    if least is not None and number < least:
        raise bad_value(name, number, f"at least {least}")
    if most is not None and number > most:
        raise bad_value(name, number, f"at most {most:,}")
    return number


def validate_temperature(value: Any) -> float:
    """Return a temperature; raises InputError unless it is a finite number, at least 0."""
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and 0 <= value < math.inf:
        return float(value)
    raise bad_value("temperature", value, "at least 0")
