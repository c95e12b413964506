"""Amplifiers with virtual grounds: the closed-form equations that op-amp topologies share.

M amplifiers with grounded + inputs.  Amplifier k has a summing node s_k at its - input, which collects currents through
conductances P_kj from every output V_j and Q_kl from every source u_l.  The first K amplifiers are integrators
(capacitor C_k from output to summing node, P_kk a resistor across it), the others resistive stages, whose feedback
resistor is P_kk.  T_k is the sum of row k of both and of the conductance of the input, i_b its bias current, n_k a
noise current into the node.  With one pole a(s) = A0/(1 + s/w0), w_u = A0 w0 = 2 pi GBW, input offset V_os and input
noise voltage e:

    current         I = P V + Q u - T s + n - i_b
    integrators     C dv/dt = -I,    s = V - v                (v: capacitor voltages)
    stages          I = 0
    amplifiers      dV/dt = -w0 V - w_u (s - V_os - e)

Ideal amplifiers hold s = 0, and their bias and noise do nothing: stages are solved for,
V_r = -P_rr^-1 (P_ri V_i + Q_r u + n_r), and C dV_i/dt = -I_i.  Inputs with a capacitance, and output resistances, add
poles: :mod:`tngd_hw.topologies.summing_poles`.
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
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies.linear_forms import Space

__all__ = ["SummingNetwork", "one_batch"]


@dataclass(frozen=True, eq=False)
class SummingNetwork:
    """See the module; batch dimensions of chips lead.

    Attributes:
        conductance: P, shape (..., M, M), siemens.
        inputs: Q, shape (..., M, m), siemens.
        capacitance: Shape (..., K), farad, of the first K amplifiers.
        noise_psd: Injected white noise into the summing nodes of the integrators, (..., K), A^2/Hz one-sided; or None.
        bank: The M real amplifiers, or None for ideal ones.
        thermal_psd: 4 k T_kj P_kj, shape (..., M, M): noise of every resistor from an output, A^2/Hz; None: silent.
        thermal_input_psd: The same of Q, shape (..., M, m).
    """

    conductance: Tensor
    inputs: Tensor
    capacitance: Tensor
    noise_psd: Tensor | None
    bank: AmplifierBank | None
    thermal_psd: Tensor | None = None
    thermal_input_psd: Tensor | None = None

    @property
    def integrators(self) -> int:
        """K."""
        return self.capacitance.shape[-1]

    @property
    def amplifiers(self) -> int:
        """M."""
        return self.conductance.shape[-1]

    @property
    def total(self) -> Tensor:
        """T, shape (..., M): the conductance at every summing node."""
        total = self.conductance.sum(-1) + self.inputs.sum(-1)
        return total if self.bank is None else total + self.bank.input_siemens

    @property
    def stage_gains(self) -> Tensor:
        """S = -P_rr^-1 P_rn, shape (..., M - n, n): ideal stages behind n nodes settle to S V_n without input."""
        n, P = self.inputs.shape[-1], self.conductance
        return -solve(P[..., n:, n:], P[..., n:, :n])

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
        """Capacitors and integrators at ``integrator_volt`` (K,) or (K, k), stages settled to it, inputs at 0 V."""
        if self.bank is None:
            return integrator_volt
        stages = self.stage_voltages(integrator_volt)
        axis = -1 if integrator_volt.ndim == 1 else -2
        held = integrator_volt.expand(*stages.shape[: stages.ndim - integrator_volt.ndim], *integrator_volt.shape)
        return self.state_at(held, torch.cat([held, stages], dim=axis), axis)

    def state_at(self, capacitor_volt: Tensor, output_volt: Tensor, axis: int) -> Tensor:
        """The state with these voltages and every input at 0 V."""
        parts = [capacitor_volt, output_volt]
        if self.bank is not None and self.bank.loads_its_input:
            first = 0 if self.has_output_resistance else self.integrators
            held = output_volt.narrow(axis, first, self.amplifiers - first)
            parts.insert(1, torch.zeros_like(held))
        return torch.cat(parts, dim=axis)

    @property
    def has_output_resistance(self) -> bool:
        """Whether the outputs are behind resistances."""
        return self.bank is not None and bool((self.bank.output_ohm > 0).any())

    @property
    def _stages(self) -> int:
        return self.amplifiers - self.integrators

    def linear_sde(self, input_names: Sequence[str], output_names: Sequence[str]) -> LinearSDE:
        """The equations; inputs: the sources, then the constant 1; outputs: as many amplifiers as there are names.

        States: integrator outputs (ideal), or capacitor voltages, then summing nodes that have a capacitance, then all
        amplifier outputs (real).  The injected noise stands first in B.

        Raises:
            MisuseError: Ideal amplifiers and no integrator: such a circuit has no time in it.
        """
        if self.bank is None:
            space, change, output = self._ideal()
        elif self.bank.loads_its_input:
            from tngd_hw.topologies.summing_poles import equations_with_input_poles

            space, change, output = equations_with_input_poles(self)
        else:
            space, change, output = self._real(self.bank)
        return space.linear_sde(change, output[..., : len(output_names), :], input_names, output_names)

    def _ideal(self) -> tuple[Space, Tensor, Tensor]:
        """States: the outputs of the integrators."""
        k = self.integrators
        if k == 0:
            raise MisuseError("a circuit of ideal amplifiers without capacitors has no dynamics: give real amplifiers")
        space = Space(k, self.inputs.shape[-1], self.noise_count)
        V = space.state(0, k)
        driven = self.inputs @ space.input() + self.node_noise(space)
        current = self.conductance[..., :k] @ V + driven
        if self._stages:
            stages = -solve(self.conductance[..., k:, k:], current[..., k:, :])
            current = current[..., :k, :] + self.conductance[..., :k, k:] @ stages
        return space, -current / self.capacitance[..., None], V

    def _real(self, bank: AmplifierBank) -> tuple[Space, Tensor, Tensor]:
        """States: capacitor voltages, then all outputs."""
        k, count = self.integrators, self.amplifiers
        space = Space(k + count, self.inputs.shape[-1], self.noise_count)
        v, V = space.state(0, k), space.state(k, count)
        s = V[:k] - v
        collected = self.collected(space, V)
        total = self.total[..., None]
        current = collected[..., :k, :] - total[..., :k, :] * s
        stages = collected[..., k:, :] / total[..., k:, :]
        s = torch.cat(one_batch(s, stages), -2)
        change = torch.cat(
            one_batch(-current / self.capacitance[..., None], self.amplifier_change(space, bank, V, s)), -2
        )
        return space, change, V

    def collected(self, space: Space, V: Tensor) -> Tensor:
        """P V + Q u + n - i_b: what flows into the summing nodes while they are at 0 V, (..., M, width)."""
        current = self.conductance @ V + self.inputs @ space.input() + self.node_noise(space)
        return current if self.bank is None else current - space.constant(self.bank.bias_ampere)

    def amplifier_change(self, space: Space, bank: AmplifierBank, V: Tensor, s: Tensor) -> Tensor:
        """dV/dt = -w0 V - w_u (s - V_os - e) of amplifiers with outputs V and inputs s."""
        fast = (2 * math.pi * bank.gain_bandwidth_hz)[..., None]
        error = s - space.constant(bank.offset_volt)
        if self._hears_voltage_noise:
            strength = torch.diag_embed(torch.sqrt(bank.voltage_noise_psd / 2))
            error = error - space.white(strength, self.noise_count - self.amplifiers)
        return -fast / bank.open_loop_gain[..., None] * V - fast * error

    @property
    def noise_count(self) -> int:
        """Independent noises: injected, then currents into the nodes, then amplifier voltages."""
        return self._injected + self._current_noises + self.amplifiers * int(self._hears_voltage_noise)

    @property
    def _injected(self) -> int:
        return 0 if self.noise_psd is None else self.integrators

    @property
    def _current_noises(self) -> int:
        if self.thermal_psd is None and not (self.bank is not None and bool((self.bank.current_noise_psd > 0).any())):
            return 0
        return 2 * self.amplifiers if self.has_output_resistance else self.amplifiers

    @property
    def _hears_voltage_noise(self) -> bool:
        return self.bank is not None and bool((self.bank.voltage_noise_psd > 0).any())

    def node_noise(self, space: Space) -> Tensor:
        """n, (..., M, width): what is injected, the resistors' thermal noise and the amplifiers' current noise."""
        rows = torch.zeros(self.amplifiers, space.width, dtype=torch.float64)
        if self.noise_psd is not None:
            strength = torch.diag_embed(torch.sqrt(self.noise_psd / 2))
            empty = strength.new_zeros(*strength.shape[:-2], self._stages, self.integrators)
            rows = rows + space.white(torch.cat([strength, empty], -2))
        if self._current_noises:
            rows = rows + space.white(self._current_strength()[..., : self.amplifiers, :], self._injected)
        return rows

    def output_noise(self, space: Space) -> Tensor:
        """m, (..., M, width): noise currents into the outputs, where these are behind resistances."""
        if not self._current_noises:
            return torch.zeros(self.amplifiers, space.width, dtype=torch.float64)
        return space.white(self._current_strength()[..., self.amplifiers :, :], self._injected)

    def _current_strength(self) -> Tensor:
        """Root of half the one-sided density of the noise currents into the nodes.

        Into the summing nodes they are independent, shape (..., M, M).  A resistor takes from the output what it gives
        to the summing node; with output resistances that is heard, and the root is (..., 2 M, 2 M), outputs last.
        """
        zero = torch.zeros(self.amplifiers, self.amplifiers, dtype=torch.float64)
        resistors = zero if self.thermal_psd is None else self.thermal_psd
        own = zero.sum(-1) if self.thermal_input_psd is None else self.thermal_input_psd.sum(-1)
        own = own if self.bank is None else own + self.bank.current_noise_psd
        into_nodes = resistors.sum(-1) + own
        if not self.has_output_resistance:
            return torch.diag_embed(torch.sqrt(into_nodes / 2))
        blocks = one_batch(torch.diag_embed(into_nodes), -resistors, -resistors.mT, torch.diag_embed(resistors.sum(-2)))
        joint = torch.cat([torch.cat(blocks[:2], -1), torch.cat(blocks[2:], -1)], -2)
        return square_root(joint / 2)


def one_batch(*matrices: Tensor) -> list[Tensor]:
    """The same matrices with a common batch shape."""
    batch = broadcast(*(matrix.shape[:-2] for matrix in matrices))
    return [matrix.expand(*batch, *matrix.shape[-2:]) for matrix in matrices]
