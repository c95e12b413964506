"""Amplifiers with virtual grounds: the closed-form equations that op-amp topologies share.

M amplifiers with grounded + inputs.  Amplifier k has a summing node s_k at its - input, which collects currents through
conductances P_kj from every output V_j and Q_kl from every source u_l; T_k is the sum of row k of both.  The first K
amplifiers are integrators (capacitor C_k from output to summing node), the others resistive stages, whose feedback
resistor is P_kk.  With one pole a(s) = A0/(1 + s/w0), w_u = A0 w0 = 2 pi GBW and input offset V_os:

    integrators   C dv/dt = -(P V + Q u - T s) - i_n,    s = V - v                (v: capacitor voltages)
    stages        s = (P V + Q u)/T
    all           dV/dt = -w0 V - w_u (s - V_os)

Ideal amplifiers hold s = 0: stages are solved for, V_r = -P_rr^-1 (P_ri V_i + Q_r u), and
C dV_i/dt = -(P V + Q u) - i_n.
Source: Kirchhoff's current law at the summing nodes; C dV/dt = -(G V + g_in V_in) is Fig. 6 of arXiv 2405.13817 with
the sign that its Eq. 22 has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.hardware import AmplifierBank
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.linear_sde.dense import broadcast, solve
from tngd_hw.outcome import MisuseError

__all__ = ["SummingNetwork", "joined_banks", "one_batch"]


@dataclass(frozen=True, eq=False)
class SummingNetwork:
    """See the module; batch dimensions of chips lead.

    Attributes:
        conductance: P, shape (..., M, M), siemens.
        inputs: Q, shape (..., M, m), siemens.
        capacitance: Shape (..., K), farad, of the first K amplifiers.
        noise_psd: White current noise into the summing nodes of the integrators, (..., K), A^2/Hz one-sided; or None.
        bank: The M real amplifiers, or None for ideal ones.
    """

    conductance: Tensor
    inputs: Tensor
    capacitance: Tensor
    noise_psd: Tensor | None
    bank: AmplifierBank | None

    @property
    def integrators(self) -> int:
        """K."""
        return self.capacitance.shape[-1]

    @property
    def total(self) -> Tensor:
        """T, shape (..., M): the conductance at every summing node."""
        return self.conductance.sum(-1) + self.inputs.sum(-1)

    def stage_voltages(self, integrator_volt: Tensor) -> Tensor:
        """Outputs of the ideal stages for integrator outputs (K,) or (K, k) and no input: -P_rr^-1 P_ri V_i.

        Shape (..., M - K) or (..., M - K, k).
        """
        k = self.integrators
        columns = integrator_volt if integrator_volt.ndim > 1 else integrator_volt[:, None]
        current = self.conductance[..., k:, :k] @ columns
        voltage = -solve(self.conductance[..., k:, k:], current)
        return voltage if integrator_volt.ndim > 1 else voltage.squeeze(-1)

    def initial_state(self, integrator_volt: Tensor) -> Tensor:
        """Capacitors and integrators at ``integrator_volt`` (K,) or (K, k), stages settled to it."""
        if self.bank is None:
            return integrator_volt
        stages = self.stage_voltages(integrator_volt)
        axis = -1 if integrator_volt.ndim == 1 else -2
        batch = stages.shape[: stages.ndim - integrator_volt.ndim]
        held = integrator_volt.expand(*batch, *integrator_volt.shape)
        return torch.cat([held, held, stages], dim=axis)

    def linear_sde(self, output_count: int, input_names: Sequence[str], output_names: Sequence[str]) -> LinearSDE:
        """The equations; inputs: the sources, then the constant 1; outputs: the first ``output_count`` amplifiers.

        States: integrator outputs (ideal), or capacitor voltages, then all outputs (real).

        Raises:
            MisuseError: Ideal amplifiers and no integrator: such a circuit has no time in it.
        """
        F, E, B = self._ideal_matrices() if self.bank is None else self._real_matrices()
        first = 0 if self.bank is None else self.integrators
        C = torch.zeros(output_count, F.shape[-1], dtype=torch.float64)
        C[:, first : first + output_count] = torch.eye(output_count, dtype=torch.float64)
        return LinearSDE(F, E, B, C, input_names=(*input_names, "constant"), output_names=output_names)

    def _ideal_matrices(self) -> tuple[Tensor, Tensor, Tensor]:
        k = self.integrators
        if k == 0:
            raise MisuseError("a circuit of ideal amplifiers without capacitors has no dynamics: give real amplifiers")
        P, Q, C = self.conductance, self.inputs, self.capacitance[..., None]
        direct = torch.cat(one_batch(P[..., :k, :k], Q[..., :k, :]), -1)
        if P.shape[-1] > k:
            solved = solve(P[..., k:, k:], torch.cat(one_batch(P[..., k:, :k], Q[..., k:, :]), -1))
            direct = direct - P[..., :k, k:] @ solved
        response = -direct / C
        constant = torch.zeros_like(response[..., :1])
        return response[..., :k], torch.cat([response[..., k:], constant], dim=-1), self._noise()

    def _real_matrices(self) -> tuple[Tensor, Tensor, Tensor]:
        bank, k = self.bank, self.integrators
        assert bank is not None
        P, Q, C, total = self.conductance, self.inputs, self.capacitance[..., None], self.total[..., None]
        fast = (2 * math.pi * bank.gain_bandwidth_hz)[..., None]
        slow = fast / bank.open_loop_gain[..., None]
        share, drive = P[..., k:, :] / total[..., k:, :], Q[..., k:, :] / total[..., k:, :]
        direct = torch.diag_embed((total[..., :k, :] / C).squeeze(-1))
        from_outputs = -P[..., :k, :] / C
        from_outputs = torch.cat([from_outputs[..., :k] + direct, from_outputs[..., k:]], dim=-1)
        integrating = torch.diag_embed(fast[..., :k, 0])
        amplifiers = -torch.cat(one_batch(_padded(integrating, P.shape[-1]), fast[..., k:, :] * share), dim=-2)
        amplifiers = amplifiers - torch.diag_embed(slow.squeeze(-1))
        to_capacitors = torch.cat([integrating, torch.zeros_like(P[..., k:, :k])], dim=-2)
        F = torch.cat([torch.cat([-direct, from_outputs], -1), torch.cat(one_batch(to_capacitors, amplifiers), -1)], -2)
        nothing = torch.zeros_like(Q[..., :k, :])
        E = torch.cat(one_batch(-Q[..., :k, :] / C, nothing, -fast[..., k:, :] * drive), dim=-2)
        offset = fast * bank.offset_volt[..., None]
        constant = torch.cat([torch.zeros_like(offset[..., :k, :]), offset], dim=-2)
        noise = self._noise()
        empty = torch.zeros(*noise.shape[:-2], P.shape[-1], noise.shape[-1], dtype=torch.float64)
        return F, torch.cat(one_batch(E, constant), dim=-1), torch.cat([noise, empty], dim=-2)

    def _noise(self) -> Tensor:
        """Columns -sqrt(S/2)/C of the injected currents, (..., K, K); no columns without noise."""
        if self.noise_psd is None:
            return torch.zeros(*self.capacitance.shape, 0, dtype=torch.float64)
        return torch.diag_embed(-torch.sqrt(self.noise_psd / 2) / self.capacitance)


def joined_banks(banks: Sequence[AmplifierBank]) -> AmplifierBank:
    """Banks as one, in their order."""
    return AmplifierBank(
        torch.cat([bank.open_loop_gain for bank in banks], dim=-1),
        torch.cat([bank.gain_bandwidth_hz for bank in banks], dim=-1),
        torch.cat([bank.offset_volt for bank in banks], dim=-1),
    )


def _padded(matrix: Tensor, columns: int) -> Tensor:
    empty = torch.zeros(*matrix.shape[:-1], columns - matrix.shape[-1], dtype=torch.float64)
    return torch.cat([matrix, empty], dim=-1)


def one_batch(*matrices: Tensor) -> list[Tensor]:
    """The same matrices with a common batch shape."""
    batch = broadcast(*(matrix.shape[:-2] for matrix in matrices))
    return [matrix.expand(*batch, *matrix.shape[-2:]) for matrix in matrices]
