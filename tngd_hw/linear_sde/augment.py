"""Systems with more states, inputs or outputs than the one they come from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tngd_hw.linear_sde.dense import broadcast, identity
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.outcome import MisuseError

__all__ = ["append_output_integrals", "blocks", "noise_as_input", "noise_as_output"]


def append_output_integrals(sde: LinearSDE, *, per_second: float = 1.0) -> LinearSDE:
    """Append states z with dz = per_second * y dt, the time integral of every output.

    With z(0) = 0 and per_second = 1/T, z(T) is the time average of y over T.  White noise on an output (D_w) becomes an
    ordinary noise of z.  The outputs stay the same; z are the last p states, named ``integral(<output>)``.

    Args:
        sde: The system, n states and p outputs.
        per_second: Factor in front of the integral, in 1/s (1 leaves output times seconds).

    Returns:
        A system of n + p states.  Cost: copies, O((n + p)^2).

    Raises:
        MisuseError: per_second is not positive.

    Source: C. Van Loan, IEEE Trans. Autom. Control 23 (1978) 395, for integrals by augmentation.
    """
    if not 0.0 < per_second < math.inf:
        raise MisuseError(f"per_second = {per_second}: a factor in 1/s has to be positive and finite")
    C, D, D_w = (per_second * matrix for matrix in (sde.C, sde.D, sde.D_w))
    n, p = sde.n_states, sde.n_outputs
    return LinearSDE(
        blocks(((sde.F, (n, p)), (C, (p, p)))),
        blocks(((sde.E,), (D,))),
        blocks(((sde.B,), (D_w,))),
        blocks(((sde.C, (p, p)),)),
        D=sde.D,
        D_w=sde.D_w,
        state_names=(*sde.state_names, *(f"integral({name})" for name in sde.output_names)),
        input_names=sde.input_names,
        output_names=sde.output_names,
    )


def noise_as_input(sde: LinearSDE) -> LinearSDE:
    """The same system driven by a known noise: inputs (u, xi) with E' = [E B], D' = [D D_w], and no noise left.

    Feed the samples that also drove another simulator: xi_i = dW_i / dt, held or joined by straight lines.

    Args:
        sde: The system, m inputs and q noises.

    Returns:
        A system of m + q inputs, the last q in 1/sqrt(s), named ``noise0`` and so on.  Cost: copies.
    """
    return LinearSDE(
        sde.F,
        blocks(((sde.E, sde.B),)),
        None,
        sde.C,
        D=blocks(((sde.D, sde.D_w),)),
        state_names=sde.state_names,
        input_names=(*sde.input_names, *(f"noise{i}" for i in range(sde.n_noises))),
        output_names=sde.output_names,
    )


def noise_as_output(sde: LinearSDE) -> LinearSDE:
    """The same states with the white noise itself as outputs, y = xi: its time average over a step is dW / dt.

    ``sample_averages`` of this system draws exact states together with the Brownian increments that led to them.

    Args:
        sde: The system, q noises.

    Returns:
        A system with C = 0, D = 0 and D_w = I: q outputs in 1/sqrt(s), named ``noise0`` and so on.  Cost: copies.
    """
    q = sde.n_noises
    return LinearSDE(
        sde.F,
        sde.E,
        sde.B,
        torch.zeros((q, sde.n_states), dtype=torch.float64, device=sde.device),
        D_w=identity(q, sde.device),
        state_names=sde.state_names,
        input_names=sde.input_names,
        output_names=tuple(f"noise{i}" for i in range(q)),
    )


def blocks(rows: tuple[tuple[Tensor | tuple[int, int], ...], ...]) -> Tensor:
    """A block matrix; a pair of sizes stands for a block of zeros, batch dimensions broadcast."""
    tensors = [entry for row in rows for entry in row if isinstance(entry, Tensor)]
    batch = broadcast(*(tensor.shape[:-2] for tensor in tensors))
    device = tensors[0].device

    def filled(entry: Tensor | tuple[int, int]) -> Tensor:
        if isinstance(entry, Tensor):
            return entry.expand(*batch, *entry.shape[-2:])
        return torch.zeros((*batch, *entry), dtype=torch.float64, device=device)

    return torch.cat([torch.cat([filled(entry) for entry in row], dim=-1) for row in rows], dim=-2)
