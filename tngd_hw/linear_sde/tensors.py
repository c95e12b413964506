"""What users hand in, made into float64 tensors; what cannot be meant, refused with field, value and remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import broadcast
from tngd_hw.outcome import MisuseError

__all__ = [
    "ArrayLike",
    "as_duration",
    "as_times",
    "as_vectors",
    "check_device",
    "check_generator",
    "common_batch",
    "real_tensor",
]

ArrayLike = Tensor | npt.ArrayLike


def check_device(device: torch.device, field: str) -> torch.device:
    """Return ``device`` if it has float64, else raise."""
    if device.type == "mps":
        raise MisuseError(f"{field} is on device {device}, which has no float64: move it with .cpu()")
    return device


def real_tensor(value: ArrayLike, field: str, device: torch.device | None = None) -> Tensor:
    """``value`` as a finite float64 tensor; tensors keep their device and their gradient.

    Args:
        value: Tensor, numpy array, nested lists or a number; integers and float32 are widened.
        field: Name used in error messages.
        device: Where the result has to be; None takes what the value has.

    Returns:
        A float64 tensor (the same storage when the value already is one).

    Raises:
        MisuseError: Complex, boolean or non-numeric values, NaN, infinity, a device without float64 or another one.
    """
    if isinstance(value, Tensor):
        tensor = value
        check_device(tensor.device, field)
        if device is not None and tensor.device != device:
            raise MisuseError(f"{field} is on {tensor.device} but the system is on {device}: move it with .to()")
    else:
        array = _numeric_array(value, field)
        tensor = torch.from_numpy(array).to(device) if device is not None else torch.from_numpy(array)
    if tensor.is_complex() or tensor.dtype is torch.bool:
        raise MisuseError(f"{field} has dtype {tensor.dtype}: give real numbers")
    tensor = tensor.to(torch.float64)
    if not math.isfinite(float(tensor.detach().sum())):  # one pass; a sum that overflows is told apart there
        _refuse_not_finite(tensor.detach(), field)
    return tensor


def _refuse_not_finite(tensor: Tensor, field: str) -> None:
    finite = torch.isfinite(tensor)
    if bool(finite.all()):
        return
    where = tuple(int(i) for i in torch.nonzero(~finite)[0])
    place = f"[{', '.join(map(str, where))}]" if where else ""
    raise MisuseError(f"{field}{place} = {float(tensor[where])}: every entry has to be a finite number")


def _numeric_array(value: npt.ArrayLike, field: str) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise MisuseError(f"{field} is not a rectangular array ({error}): give rows of equal length") from error
    if array.dtype.kind not in "iuf":
        raise MisuseError(f"{field} has dtype {array.dtype}: give real numbers")
    return np.array(array, dtype=np.float64, order="C")


def check_generator(generator: np.random.Generator) -> np.random.Generator:
    """Return the generator if it draws as numpy's do (``standard_normal`` is all that is asked of it), else raise."""
    if not callable(getattr(generator, "standard_normal", None)):
        raise MisuseError(f"generator = {generator!r}: give a numpy Generator, for example numpy.random.default_rng(0)")
    return generator


def common_batch(shapes: dict[str, Sequence[int]]) -> torch.Size:
    """The common shape of batch dimensions by name; MisuseError with all of them when there is none."""
    try:
        return broadcast(*shapes.values())
    except RuntimeError as error:
        listed = ", ".join(f"{field} {tuple(shape)}" for field, shape in shapes.items() if len(shape))
        raise MisuseError(f"the batch dimensions do not broadcast ({listed}): make them equal or 1") from error


def as_times(times: ArrayLike, device: torch.device, *, strict: bool = False, field: str = "times") -> Tensor:
    """Sample times as a float64 vector of shape (T,), T >= 1, 0 <= t_1 <= t_2 <= ... (seconds).

    Raises:
        MisuseError: Wrong shape, negative or decreasing times (with ``strict`` also equal ones).
    """
    vector = real_tensor(times, field).to(device).detach()
    if vector.ndim != 1 or vector.numel() == 0:
        raise MisuseError(f"{field} has shape {tuple(vector.shape)}: give a vector of at least one time in seconds")
    if float(vector[0]) < 0.0:
        raise MisuseError(f"{field}[0] = {float(vector[0])}: {field} start at 0, where x0 holds")
    steps = torch.diff(vector)
    wrong = steps <= 0 if strict else steps < 0
    if bool(wrong.any()):
        i = int(torch.nonzero(wrong)[0]) + 1
        order = "increasing" if strict else "non-decreasing"
        pair = f"{field}[{i}] = {float(vector[i])} after {field}[{i - 1}] = {float(vector[i - 1])}"
        raise MisuseError(f"{pair}: sort them, {field} have to be {order}")
    return vector


def as_duration(dt: float, field: str = "dt") -> float:
    """Return a positive finite duration in seconds, else raise."""
    if isinstance(dt, bool) or not isinstance(dt, (int, float, np.floating, np.integer)):
        raise MisuseError(f"{field} = {dt!r}: give one number of seconds")
    seconds = float(dt)
    if not math.isfinite(seconds) or seconds <= 0.0:
        raise MisuseError(f"{field} = {dt}: a duration in seconds has to be positive and finite")
    return seconds


def as_vectors(value: ArrayLike, size: int, batch_ndim: int, field: str, device: torch.device) -> tuple[Tensor, bool]:
    """A vector (..., size), or several as columns (..., size, k), as (tensor of shape (..., size, k), had columns).

    The number of axes decides: more than ``batch_ndim + 1`` axes means that the last one counts columns.

    Raises:
        MisuseError: The axis of the vector does not have ``size`` entries.
    """
    tensor = real_tensor(value, field, device)
    columns = tensor.ndim > batch_ndim + 1
    axis = -2 if columns else -1
    if tensor.ndim == 0 or tensor.shape[axis] != size:
        meant = f"(..., {size}, k)" if columns else f"(..., {size})"
        raise MisuseError(
            f"{field} has shape {tuple(tensor.shape)}: with {batch_ndim} batch axes of the system it has to be {meant}"
        )
    return (tensor if columns else tensor.unsqueeze(-1)), columns
