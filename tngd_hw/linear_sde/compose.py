"""Systems made of systems: one behind the other, side by side, and a loop closed around one."""

from __future__ import annotations

from tngd_hw.linear_sde.augment import blocks
from tngd_hw.linear_sde.dense import identity, solve
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.tensors import ArrayLike, real_tensor
from tngd_hw.outcome import MisuseError

__all__ = ["feedback", "series", "side_by_side"]


def series(first: LinearSDE, second: LinearSDE) -> LinearSDE:
    """The outputs of ``first`` are the inputs of ``second``; the noises of the two are independent.

    States are (x1, x2), inputs those of ``first``, outputs those of ``second``.  White noise on an output of ``first``
    becomes noise of the states of ``second``.  With F1 .. D_w1 and F2 .. D_w2 of the two:

        F = [F1 0; E2 C1 F2],  E = [E1; E2 D1],  B = [B1 0; E2 D_w1 B2],  C = [D2 C1 C2],  D = D2 D1

    Args:
        first: n1 states, p outputs.
        second: n2 states, p inputs.

    Returns:
        A system of n1 + n2 states and q1 + q2 noises.  Cost O(n1 n2 p).

    Raises:
        MisuseError: The numbers of outputs and inputs differ.
    """
    _same_device(first, second)
    if first.n_outputs != second.n_inputs:
        raise MisuseError(f"first has {first.n_outputs} outputs, second {second.n_inputs} inputs: they have to agree")
    n1, n2, q2 = first.n_states, second.n_states, second.n_noises
    return LinearSDE(
        blocks(((first.F, (n1, n2)), (second.E @ first.C, second.F))),
        blocks(((first.E,), (second.E @ first.D,))),
        blocks(((first.B, (n1, q2)), (second.E @ first.D_w, second.B))),
        blocks(((second.D @ first.C, second.C),)),
        D=second.D @ first.D,
        D_w=blocks(((second.D @ first.D_w, second.D_w),)),
        state_names=_joined(first.state_names, second.state_names),
        input_names=first.input_names,
        output_names=second.output_names,
    )


def side_by_side(first: LinearSDE, second: LinearSDE) -> LinearSDE:
    """Both systems at once, without contact: states, inputs, noises and outputs of ``first``, then of ``second``.

    Args:
        first: n1 states.
        second: n2 states.

    Returns:
        A system of n1 + n2 states with block-diagonal matrices.  Cost: copies.

    Raises:
        MisuseError: The two are on different devices, or their batch dimensions do not broadcast.
    """
    _same_device(first, second)
    (n1, m1, q1, p1), (n2, m2, q2, p2) = _sizes(first), _sizes(second)
    return LinearSDE(
        blocks(((first.F, (n1, n2)), ((n2, n1), second.F))),
        blocks(((first.E, (n1, m2)), ((n2, m1), second.E))),
        blocks(((first.B, (n1, q2)), ((n2, q1), second.B))),
        blocks(((first.C, (p1, n2)), ((p2, n1), second.C))),
        D=blocks(((first.D, (p1, m2)), ((p2, m1), second.D))),
        D_w=blocks(((first.D_w, (p1, q2)), ((p2, q1), second.D_w))),
        state_names=_joined(first.state_names, second.state_names),
        input_names=_joined(first.input_names, second.input_names),
        output_names=_joined(first.output_names, second.output_names),
    )


def feedback(sde: LinearSDE, gain: ArrayLike) -> LinearSDE:
    """Close the loop u = r + K y: the inputs are r, the outputs still y.

    With M = (I - D K)^-1:  y = M (C x + D r + D_w xi),  F' = F + E K M C,  E' = E (I + K M D),  B' = B + E K M D_w.

    Args:
        sde: The system.
        gain: K, shape (..., m, p), input per output, positive sign: K = -I is negative feedback.

    Returns:
        The closed system, names kept.  Cost O(p^3 + n^2 p).

    Raises:
        MisuseError: K does not fit, or I - D K is singular (an algebraic loop without a solution).
    """
    K = real_tensor(gain, "gain", sde.device)
    m, p = sde.n_inputs, sde.n_outputs
    if K.ndim < 2 or tuple(K.shape[-2:]) != (m, p):
        raise MisuseError(f"gain has shape {tuple(K.shape)}: for {m} inputs and {p} outputs give (..., {m}, {p})")
    loop = identity(p, sde.device) - sde.D @ K
    try:
        C, D, D_w = (solve(loop, matrix) for matrix in (sde.C, sde.D, sde.D_w))
    except RuntimeError as error:
        raise MisuseError("I - D K is singular: change the gain, D and K make a loop without a solution") from error
    back = sde.E @ K
    return LinearSDE(
        sde.F + back @ C,
        sde.E + back @ D,
        sde.B + back @ D_w,
        C,
        D=D,
        D_w=D_w,
        state_names=sde.state_names,
        input_names=sde.input_names,
        output_names=sde.output_names,
    )


def _sizes(sde: LinearSDE) -> tuple[int, int, int, int]:
    return sde.n_states, sde.n_inputs, sde.n_noises, sde.n_outputs


def _same_device(first: LinearSDE, second: LinearSDE) -> None:
    if first.device != second.device:
        raise MisuseError(f"first is on {first.device}, second on {second.device}: move one of them with .to()")


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    if set(first).isdisjoint(second):
        return (*first, *second)
    return (*(f"first.{name}" for name in first), *(f"second.{name}" for name in second))
