"""What the values of an array of pixels mean: one rule for data sets and for single images.

uint8 is taken as it is, booleans become 0 and 255, floating point must lie in [0, 1] and is scaled by 255, other integers must lie in 0..255.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import InputError

Array = npt.NDArray[Any]


def to_uint8(field: str, array: Array) -> Array:
    """Return pixels as uint8; uint16 stays, for the scale of the whole data set.

    Raises:
        InputError: another dtype, or values out of range; names the field.
    """
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return np.asarray(array, np.uint8) * np.uint8(255)
    if kind not in "fiu":
        raise InputError(f"{field}: must be uint8, or floating point between 0 and 1, got {array.dtype}")
    low, high = array.min(), array.max()
    if kind == "f":
        if not (low >= 0 and high <= 1):  # also where a value is not a number
            raise InputError(
                f"{field}: must be uint8, or floating point between 0 and 1, got {array.dtype} between {low:.4g} and {high:.4g}; "
                "undo the normalisation, or save uint8"
            )
        return np.asarray(array * array.dtype.type(255) + array.dtype.type(0.5), np.uint8)
    if array.dtype == np.uint16:
        return array
    if low < 0 or high > 255:
        raise InputError(
            f"{field}: integers must lie in 0..255 (uint16 in 0..65535), got {array.dtype} between {low} and {high}"
        )
    return array.astype(np.uint8)
