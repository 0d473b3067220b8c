"""What parameters and arrays of the conversion must be; numpy alone."""

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def check_at_least(name: str, value: Any, low: int) -> int:
    """Return ``value`` as an int of at least ``low``, or say what is wrong with it.

    Raises
    ------
    TypeError
        If it is not an integer (a bool is not one).
    ValueError
        If it is less than ``low``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, not {value}")
    return int(value)


def check_real(name: str, value: Any) -> float:
    """Return ``value`` as a float; TypeError if it is not a real number (a bool is not one)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    return float(value)


def real_array(name: str, values: Any, kinds: str = "fiub") -> FloatArray:
    """Copy ``values`` to a float64 array; TypeError unless they are an array of real numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers: {error}") from error
    if array.dtype.kind not in kinds:
        found = type(values).__name__ if array.dtype.kind == "O" else array.dtype
        raise TypeError(f"{name} must be an array of real numbers, not {found}")
    return array.astype(np.float64)


def unit_array(name: str, values: Any) -> FloatArray:
    """Copy ``values`` to a float64 array, all in [0, 1]; TypeError or ValueError if they aren't."""
    array = real_array(name, values)
    refuse(name, array, ~((array >= 0) & (array <= 1)), "in [0, 1]")
    return array


def refuse(name: str, array: FloatArray, wrong: npt.NDArray[np.bool_], rule: str) -> None:
    """Raise ValueError about the first value that is wrong, if there is one."""
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), array.shape)
        index = f"[{', '.join(str(i) for i in place)}]" if place else ""
        raise ValueError(f"{name}{index} must be {rule}, not {array[place]}")
