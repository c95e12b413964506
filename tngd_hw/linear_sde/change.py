"""The same system in other units or in another basis."""

from __future__ import annotations

import math

from torch import Tensor

from tngd_hw.linear_sde.dense import inverse, ones
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, as_duration, real_tensor
from tngd_hw.outcome import MisuseError

__all__ = ["change_basis", "change_units"]


def change_basis(sde: LinearSDE, basis: ArrayLike) -> LinearSDE:
    """New states z with x = T z:  F' = T^-1 F T,  E' = T^-1 E,  B' = T^-1 B,  C' = C T; outputs are the same numbers.

    Args:
        sde: The system.
        basis: T, shape (..., n, n), regular; its columns are the new basis vectors.

    Returns:
        The system in z, states named ``z0`` and so on.  Cost O(n^3); the rounding is epsilon times the condition of T.

    Raises:
        MisuseError: T does not fit or is singular.
    """
    T, n = real_tensor(basis, "basis", sde.device), sde.n_states
    if T.ndim < 2 or tuple(T.shape[-2:]) != (n, n):
        raise MisuseError(f"basis has shape {tuple(T.shape)}: it has to be (..., {n}, {n})")
    T_inverse, regular = inverse(T)
    if not regular:
        raise MisuseError("basis is singular: its columns have to be independent")
    return LinearSDE(
        T_inverse @ sde.F @ T,
        T_inverse @ sde.E,
        T_inverse @ sde.B,
        sde.C @ T,
        D=sde.D,
        D_w=sde.D_w,
        state_names=tuple(f"z{i}" for i in range(n)),
        input_names=sde.input_names,
        output_names=sde.output_names,
    )


def change_units(
    sde: LinearSDE,
    *,
    time: float = 1.0,
    states: ArrayLike | None = None,
    inputs: ArrayLike | None = None,
    outputs: ArrayLike | None = None,
) -> LinearSDE:
    """The system for numbers counted in other units: t = time t', x = states x', u = inputs u', y = outputs y'.

    F' = time S^-1 F S,  E' = time S^-1 E U,  B' = sqrt(time) S^-1 B,  C' = Y^-1 C S,  D' = Y^-1 D U,
    D_w' = Y^-1 D_w / sqrt(time), with S, U, Y the diagonal matrices of the units.

    Args:
        sde: The system.
        time: The new unit of time, in the old one (seconds): 1e-6 counts microseconds.
        states: The new units of the states in the old ones, shape (..., n), positive; ones when left out.
        inputs: Likewise, shape (..., m).
        outputs: Likewise, shape (..., p).

    Returns:
        The system in the new units, names kept.  Cost O(n^2).

    Raises:
        MisuseError: A unit is not positive or does not fit.
    """
    unit_time = as_duration(time, "time")
    S = _units(sde, states, sde.n_states, "states")
    U = _units(sde, inputs, sde.n_inputs, "inputs")
    Y = _units(sde, outputs, sde.n_outputs, "outputs")
    return LinearSDE(
        unit_time * sde.F * (S.unsqueeze(-2) / S.unsqueeze(-1)),
        unit_time * sde.E * (U.unsqueeze(-2) / S.unsqueeze(-1)),
        math.sqrt(unit_time) * sde.B / S.unsqueeze(-1),
        sde.C * (S.unsqueeze(-2) / Y.unsqueeze(-1)),
        D=sde.D * (U.unsqueeze(-2) / Y.unsqueeze(-1)),
        D_w=sde.D_w / Y.unsqueeze(-1) / math.sqrt(unit_time),
        state_names=sde.state_names,
        input_names=sde.input_names,
        output_names=sde.output_names,
    )


def _units(sde: LinearSDE, value: ArrayLike | None, size: int, field: str) -> Tensor:
    if value is None:
        return ones(size, sde.device)
    units = real_tensor(value, field, sde.device)
    if units.ndim == 0 or units.shape[-1] != size:
        raise MisuseError(f"{field} has shape {tuple(units.shape)}: give {size} units")
    if bool((units <= 0).any()):
        raise MisuseError(f"{field} has the unit {float(units.detach().min())}: units have to be positive")
    return units
