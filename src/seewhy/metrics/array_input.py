"""What the statistics of seeds take: anything array-like of finite numbers, checked before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seewhy.core.errors import bad_value

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def finite_vector(name: str, values: ArrayLike, least: int) -> NDArray[Any]:
    """Return values as a float64 vector (n).

    Raises:
        InputError: naming the argument: values are not (n), or there are fewer than `least`, or one is not finite.
    """
    import numpy as np

    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < least:
        raise bad_value(name, array.shape, f"(n), n at least {least}")
    if not np.isfinite(array).all():
        raise bad_value(name, float(array[~np.isfinite(array)][0]), "finite numbers")
    return array


def boolean_array(name: str, values: ArrayLike, dimensions: int) -> NDArray[Any]:
    """Return values as a boolean array with the given number of dimensions, none of them empty.

    Raises:
        InputError: naming the argument: values are not boolean, or have another shape.
    """
    import numpy as np

    array = np.asarray(values)
    if array.dtype != np.bool_:
        raise bad_value(name, str(array.dtype), "boolean")
    if array.ndim != dimensions or not array.size:
        raise bad_value(name, array.shape, "(I), I at least 1" if dimensions == 1 else "(S, I), both at least 1")
    return array


def without_spread(values: NDArray[Any]) -> bool:
    """Return whether all values are equal but for rounding: differences of 1e-4 between shares near 1 are known to 1e-12 of themselves."""
    return not values.max() - values.min() > 1e-9 * max(abs(values.max()), abs(values.min()))
