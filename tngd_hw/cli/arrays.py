"""Arrays from files that a user names: ``.npy``, or numbers as text."""

from __future__ import annotations

import tokenize
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tngd_hw.outcome import MisuseError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_matrix", "read_right_hand_side"]

_DELIMITERS = {".csv": ",", ".txt": None}


def read_matrix(path: Path) -> NDArray[Any]:
    """The matrix A; a text file with a single row or number stays a matrix.

    Real numbers come back as float64; what is no real number comes back as it is, for LinearProblem to refuse by name.

    Raises:
        MisuseError: The file cannot be read as an array, with the reason.
    """
    return _read(path, "A", ndim=2)


def read_right_hand_side(path: Path) -> NDArray[Any]:
    """The right-hand side b, (n,) or (n, k); a single column is a vector.  Otherwise as :func:`read_matrix`."""
    array = _read(path, "b", ndim=1)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _read(path: Path, field: str, ndim: int) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix not in (".npy", *_DELIMITERS):
        raise MisuseError(
            f"{field} = {path}: expected a file that ends in .npy, .csv or .txt; write one with numpy.save(file, array)"
        )
    try:
        array = _read_npy(path) if suffix == ".npy" else _read_text(path, suffix, ndim)
    except OSError as error:
        raise MisuseError(f"{field} = {path}: cannot be read ({error.strerror or error}); check the path") from None
    except MemoryError:
        raise MisuseError(f"{field} = {path}: announces more numbers than the memory holds; write it anew") from None
    except (ValueError, TypeError, SyntaxError, OverflowError, EOFError, tokenize.TokenError) as error:
        advice = "save a plain array with numpy.save" if suffix == ".npy" else "write one row a line, numbers alone"
        raise MisuseError(f"{field} = {path}: not an array of numbers ({error}); {advice}") from None
    return _as_native(array)


def _read_npy(path: Path) -> NDArray[Any]:
    """An array file and nothing else: no archive, no pickle, so that no file can run code."""
    from numpy.lib.format import read_array

    with path.open("rb") as file:
        return read_array(file, allow_pickle=False)


def _read_text(path: Path, suffix: str, ndim: int) -> NDArray[Any]:
    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty file: refused by its shape, in our words
        return np.loadtxt(path, delimiter=_DELIMITERS[suffix], ndmin=1 if ndim == 1 else 2, encoding="utf-8")


def _as_native(array: NDArray[Any]) -> NDArray[Any]:
    """Half and long double, foreign byte order and integers as float64 (or complex128), which torch can take."""
    import numpy as np

    with np.errstate(over="ignore"):  # too large a long double becomes infinite and is refused as that
        if array.dtype.kind in "biuf":
            return np.asarray(array, dtype=np.float64, order="C")
        return array.astype(np.complex128) if array.dtype.kind == "c" else array
