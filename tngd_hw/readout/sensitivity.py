"""How much every component of a chip moves its settled answer, by automatic differentiation.

With F x + E u = 0 for the settled states, every value v_c of every component c enters through F and E alone; the
gradients of x = D C x_s/v0 with respect to ln v_c, to offsets and to bias currents follow from one solution and one
adjoint solution an unknown.  To first order, independent deviations of standard deviation s_c give

    Cov(x) = sum_c s_c^2 (dx/dln v_c) (dx/dln v_c)^T.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from tngd_hw.engines.equations import with_constant
from tngd_hw.hardware import AmplifierBank, Component, Elements, HardwareSpec, PartKind, Role
from tngd_hw.hardware.draws import matching_sigma
from tngd_hw.linear_sde.dense import solve
from tngd_hw.outcome import MisuseError
from tngd_hw.readout.budget import exact_answer
from tngd_hw.readout.variants import with_hardware
from tngd_hw.topologies import LoadedChip

__all__ = ["Sensitivity", "predicted_covariance", "sensitivity"]

_SHARED = ("mismatch.global", "mismatch.gradient", "mismatch.correlated")


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Derivatives of the settled answer of one chip.

    Attributes:
        x: The settled answer, shape (n,).
        exact: A^-1 b, shape (n,).
        components: By role, dx/d(ln value) of its m components, shape (n, m), in units of x.
        gain: By role, dx/d(ln A0) of its amplifiers, shape (n, count).
        offset: By role, dx/dV_os, shape (n, count), in units of x per volt.
        bias: By role, dx/dI_b, shape (n, count), in units of x per ampere.
        elements: Where the components stand.
    """

    x: Tensor
    exact: Tensor
    components: Mapping[Role, Tensor]
    gain: Mapping[Role, Tensor]
    offset: Mapping[Role, Tensor]
    bias: Mapping[Role, Tensor]
    elements: Elements

    def of_error(self) -> dict[Role, Tensor]:
        """d(|x - exact|/|exact|)/d(ln value) of every component, by role, each (m,); NaN where x = exact."""
        error = self.x - self.exact
        direction = error / (_norm(error) * _norm(self.exact))
        return {role: direction @ derivative for role, derivative in self.components.items()}

    def by_role(self) -> dict[Role, float]:
        """|dx|/|x| a relative deviation, for independent deviations of all components of a role: times s, the rms."""
        return {role: float(J.square().sum().sqrt() / _norm(self.x)) for role, J in self.components.items()}

    def array(self, role: Role) -> Tensor:
        """|dx/d(ln value)|/|x| of every component of a role where it stands, shape (rows, columns); NaN: none there."""
        component, J = self.elements.components[role], self.components[role]
        size = J.square().sum(0)
        squares = replace(component, value=size, sign=torch.ones_like(component.sign)).dense(1)
        there = replace(component, value=torch.ones_like(size), sign=torch.ones_like(component.sign)).dense(1) > 0
        return torch.where(there, squares.sqrt() / _norm(self.x), torch.nan)


def sensitivity(loaded: LoadedChip) -> Sensitivity:
    """Derivatives of the settled answer of one chip with respect to every component that it has.

    Args:
        loaded: One chip, programmed with A and one b.

    Returns:
        A :class:`Sensitivity`.  Cost: the equations and their adjoint, n backward passes.

    Raises:
        MisuseError: A batch, or no A^-1 b to compare with.
        OutcomeError: The matrix does not fit, or the circuit does not settle.
    """
    if loaded.chip.chips is not None:
        raise MisuseError(f"chips = {loaded.chip.chips}: sensitivities are of one chip; pass loaded.select(k)")
    exact, drive = exact_answer(loaded), loaded.drive()
    loaded.circuit_status.require_ok()
    elements, moved = _with_handles(loaded.elements)
    sde = replace(loaded, programmed=elements).linear_sde()
    volt = -(sde.C @ solve(sde.F, sde.E @ with_constant(drive).unsqueeze(-1))).squeeze(-1)
    x = loaded.unknowns(volt)
    handles = [handle for group in moved.values() for handle in group.values()]
    rows = [torch.autograd.grad(value, handles, retain_graph=True, allow_unused=True) for value in x]
    found = iter(zip(*rows, strict=True))
    derivatives: dict[str, dict[Role, Tensor]] = {}
    for name, group in moved.items():
        derivatives[name] = {role: _stacked(next(found), handle) for role, handle in group.items()}
    return Sensitivity(x.detach(), exact, elements=loaded.elements, **derivatives)


def _with_handles(elements: Elements) -> tuple[Elements, dict[str, dict[Role, Tensor]]]:
    """The elements with a logarithm (of components and gains) or an addition to every value, all zero, to be moved."""
    names = ("components", "gain", "offset", "bias")
    moved: dict[str, dict[Role, Tensor]] = {name: {} for name in names}

    def handle(name: str, role: Role, value: Tensor) -> Tensor:
        moved[name][role] = torch.zeros_like(value, requires_grad=True)
        return moved[name][role]

    for role, component in elements.components.items():
        if role.part is not PartKind.NOISE:
            factor = torch.exp(handle("components", role, component.value))
            elements = elements.with_component(role, _times(component, factor))
    for role, bank in elements.amplifiers.items():
        real: AmplifierBank = replace(
            bank,
            open_loop_gain=bank.open_loop_gain * torch.exp(handle("gain", role, bank.open_loop_gain)),
            offset_volt=bank.offset_volt + handle("offset", role, bank.offset_volt),
            bias_ampere=bank.bias_ampere + handle("bias", role, bank.bias_ampere),
        )
        elements = elements.with_amplifiers(role, real)
    return elements, moved


def _times(component: Component, factor: Tensor) -> Component:
    return replace(component, value=component.value * factor)


def _stacked(gradients: tuple[Tensor | None, ...], handle: Tensor) -> Tensor:
    """(n, m); zero where the answer does not depend on it at all."""
    return torch.stack([torch.zeros_like(handle) if one is None else one for one in gradients]).detach()


def predicted_covariance(loaded: LoadedChip) -> dict[str, Tensor]:
    """First-order covariance of the settled answer over dies, by the tolerance that it comes from.

    The derivatives are those of a die without deviations.  Taken are the independent tolerances of components and the
    amplifiers' offset, gain and bias; what the components of a die share (``mismatch``) and what is drawn at every
    programming are not.

    Args:
        loaded: A chip or a batch, programmed with A and one b.

    Returns:
        By effect, such as ``"resistors.tolerance"``, each (n, n) in units of x^2; effects that are absent are left out.

    Raises:
        MisuseError: As :func:`sensitivity`.
        OutcomeError: Likewise.
    """
    spec = loaded.chip.hardware
    plain = with_hardware(loaded, _without_deviations(spec))
    found = sensitivity(plain if plain.chip.chips is None else plain.select(0))
    terms: dict[str, list[Tensor]] = {}
    for part, kind, sigma in _tolerances(spec):
        terms[f"{part}.tolerance"] = [sigma * J for role, J in found.components.items() if role.part is kind]
    amplifiers = spec.amplifiers
    if amplifiers is not None:
        terms["amplifiers.offset"] = [amplifiers.offset_volt_dtod * J for J in found.offset.values()]
        terms["amplifiers.gain"] = [amplifiers.gain_dtod * J for J in found.gain.values()]
        terms["amplifiers.bias"] = [amplifiers.bias_ampere_dtod * J for J in found.bias.values()]
    joined = {name: torch.cat(columns, -1) for name, columns in terms.items() if columns}
    return {name: J @ J.mT for name, J in joined.items() if bool((J != 0).any())}


def _tolerances(spec: HardwareSpec) -> tuple[tuple[str, PartKind, float], ...]:
    """Relative standard deviation of the independent tolerance of every kind of component."""
    R, C, G = spec.resistors, spec.capacitors, spec.transconductors
    return (
        ("resistors", PartKind.RESISTOR, matching_sigma(R.tolerance_dtod, R.matching_um, R.area_um2)),
        ("capacitors", PartKind.CAPACITOR, matching_sigma(C.tolerance_dtod, C.matching_um, C.area_um2)),
        ("inductors", PartKind.INDUCTOR, spec.inductors.tolerance_dtod),
        ("transconductors", PartKind.TRANSCONDUCTOR, matching_sigma(G.tolerance_dtod, G.matching_um, G.area_um2)),
    )


def _without_deviations(spec: HardwareSpec) -> HardwareSpec:
    tolerances = tuple(f"{part}.tolerance" for part, _, _ in _tolerances(spec))
    spec = spec.without(*tolerances, *_SHARED)
    if spec.amplifiers is None:
        return spec
    drawn: dict[str, object] = dict.fromkeys(
        ("offset_volt_dtod", "gain_dtod", "bandwidth_dtod", "bias_ampere_dtod"), 0.0
    )
    return spec.changed({"amplifiers": spec.amplifiers.changed(drawn)})


def _norm(value: Tensor) -> Tensor:
    return cast("Tensor", torch.linalg.vector_norm(value))
