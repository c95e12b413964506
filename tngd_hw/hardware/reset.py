"""Reset: what the switches that load x0 leave on the capacitors when they open.

Every node is joined to its wanted voltage V through a switch R for the time hold, from 0 V; when the switch opens it
leaves a charge Q on the node and freezes the noise of its resistance:

    v(0) = (1 - e^(-hold/(R C))) V + Q/C + sqrt(k_B T/C) z

with C of that node on that die, the stray capacitance included, and z standard normal.  Where capacitors join the
nodes, C is their Maxwell matrix: (1 - exp(-C^-1 hold/R)) V + C^-1 Q, and the noise has the covariance k_B T C^-1.  Q is
given as it arrives: about W L C_ox (V_DD - V_in - V_T)/2 of a transistor (8 fF/um^2, 1 um^2, 1 V: 4 fC, 4 mV on 1 pF).

On two rails the output is a difference; either rail has a switch, loaded to half of the voltage, and what is common to
both, which no output shows, is left out.  A circuit without capacitors has nothing to load.

:func:`tngd_hw.netlist.with_reset_switches` has the switches as elements of a deck and simulates the hold itself; this
part is their closed form (without what the free circuit moves during the hold), has charge and noise, which switches of
a simulator have not, and acts through the initial voltages, so in every engine alike.

Source: charge injection and k_B T/C, e.g. B. Razavi, Design of Analog CMOS Integrated Circuits, ch. 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, draws_of
from tngd_hw.hardware.elements import Elements, Role
from tngd_hw.hardware.fields import Part, Physical, Positive, Signed
from tngd_hw.linear_sde.dense import eigh
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

__all__ = ["Reset"]


class Reset(Part):
    """The switches that load x0.

    Attributes:
        switch_ohm: Resistance R of a closed switch.
        hold_s: How long it is closed; None until the nodes have settled.
        charge_coulomb: Mean charge that a switch leaves on its node, with its sign.
        charge_coulomb_dtod: Its standard deviation, Gaussian, drawn once a chip for every switch.
        noise_kelvin: Temperature T of the noise that is frozen, drawn at every start; 0 for none.
    """

    switch_ohm: Physical = 0.0
    hold_s: Positive | None = None
    charge_coulomb: Signed = 0.0
    charge_coulomb_dtod: Physical = 0.0
    noise_kelvin: Physical = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "settling": {"switch_ohm": 0.0, "hold_s": None},
        "charge": {"charge_coulomb": 0.0, "charge_coulomb_dtod": 0.0},
        "noise": {"noise_kelvin": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """``charge``, coulomb, of every switch of one die, shape (nodes, 2): a column a rail."""
        if self.charge_coulomb_dtod == 0:
            return {}
        return {"charge": {Role.RESET: self.charge_coulomb_dtod * die.normal("reset.charge", Role.RESET)}}

    def start(self, volt: Tensor, elements: Elements, draws: Draws, noise: Tensor | None) -> Tensor:
        """The voltages from which the outputs really start.

        Args:
            volt: Wanted, shape (chips, n, k), chips 1 where all are alike.
            elements: Of these dies.
            draws: From :meth:`draw`.
            noise: Standard normal variates, shape (chips, 2, n, k): of either rail; None for none.

        Returns:
            Shape (chips, n, k).  Cost: O(entries), where capacitors join the nodes O(n^3) a die.
        """
        farad = _farads(elements)
        if farad is None:
            return volt
        n = elements.n
        if Role.COUPLING_CAPACITOR in elements.components:  # in the modes of the matrix every one is a capacitor
            values, modes = eigh(_maxwell(elements, farad[..., 0]))
            noise = None if noise is None else modes.mT @ noise[:, 0]
            held = modes.mT @ volt, modes.mT @ self._charge(draws, 0, n)
            return modes @ self._left(values.unsqueeze(-1), *held, noise)
        rails = farad.shape[-1]
        found = torch.zeros_like(volt)
        for rail, sign in enumerate((1.0, -1.0)[:rails]):
            own, fresh = farad[..., rail].reshape(-1, n, 1), None if noise is None else sign * noise[:, rail]
            found = found + self._left(own, volt / rails, sign * self._charge(draws, rail, n), fresh)
        return found

    def _left(self, farad: Tensor, volt: Tensor, charge: Tensor, noise: Tensor | None) -> Tensor:
        """The voltage that is left on single capacitors, shape (chips, n, k)."""
        left = volt * self._loaded(farad) + charge / farad
        if noise is None:
            return left
        return left + (BOLTZMANN_JOULE_PER_KELVIN * self.noise_kelvin / farad).sqrt() * noise

    def _loaded(self, farad: Tensor) -> Tensor:
        """1 - e^(-hold/(R C))."""
        if self.switch_ohm == 0 or self.hold_s is None:
            return torch.ones_like(farad)
        return -torch.expm1(-self.hold_s / (self.switch_ohm * farad))

    def _charge(self, draws: Draws, rail: int, n: int) -> Tensor:
        """Q of every node on one rail, shape (chips, n, 1)."""
        found = draws_of(draws, "charge").get(Role.RESET)
        own = torch.zeros(1, n, 1, dtype=torch.float64) if found is None else found[..., :n, rail].reshape(-1, n, 1)
        return self.charge_coulomb + own


def _farads(elements: Elements) -> Tensor | None:
    """Capacitance to ground, or across the integrator, of every node: (..., n, rails); None without capacitors."""
    for role in (Role.INTEGRATION, Role.NODE_CAPACITOR):
        if role in elements.components:
            return elements.components[role].dense(1)
    return None


def _maxwell(elements: Elements, farad: Tensor) -> Tensor:
    """C_ii to ground and to all others, -C_ij off the diagonal, shape (chips, n, n)."""
    coupling = elements.components[Role.COUPLING_CAPACITOR]
    half = coupling.dense(1) + coupling.dense(-1)
    between = half + half.mT
    found = torch.diag_embed(farad + between.sum(-1)) - between
    return found.reshape(-1, elements.n, elements.n)
