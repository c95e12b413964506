"""Transconductors (OTAs): tolerance, intrinsic gain and linear range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws, matching_sigma, relative_deviations, with_deviations
from tngd_hw.hardware.elements import Component, Elements, PartKind, Role
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive

__all__ = ["Transconductors"]


class Transconductors(Part):
    """Operational transconductance amplifiers, i = g_m v; the largest entry of a matrix has g_m = 1/resistance_ohm.

    Attributes:
        intrinsic_gain: g_m r_out of one transconductor: each adds g_m/intrinsic_gain to the conductance of its output
            node; None for infinite output resistance.
        linear_range_volt: Largest input voltage of either sign that is taken for linear; None for no limit.  An OTA of
            i = g_m V tanh(v/V) is within 1 % of linear up to 0.17 V.
        tolerance_dtod: Relative standard deviation of each transconductance, Gaussian, drawn once a chip.
        matching_um: Pelgrom coefficient of g_m; adds A/sqrt(area) to the tolerance in quadrature.
        area_um2: Area W L of the matched pair of one transconductor.
    """

    intrinsic_gain: Positive | None = None
    linear_range_volt: Positive | None = None
    tolerance_dtod: Fraction = 0.0
    matching_um: Physical = 0.0
    area_um2: Positive = 1.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "output_conductance": {"intrinsic_gain": None},
        "range": {"linear_range_volt": None},
        "tolerance": {"tolerance_dtod": 0.0, "matching_um": 0.0},
    }

    def draw(self, die: Die) -> Draws:
        """``tolerance``: relative deviations of every transconductor of one die."""
        sigma = matching_sigma(self.tolerance_dtod, self.matching_um, self.area_um2)
        return relative_deviations("transconductors", sigma, PartKind.TRANSCONDUCTOR, die)

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """Transconductances g_m (1 + deviation), and the output conductance that they add to every node."""
        elements = with_deviations(elements, draws, inverse=False)
        if self.intrinsic_gain is None or Role.TRANSCONDUCTOR not in elements.components:
            return elements
        load: Tensor = torch.zeros((), dtype=torch.float64)
        for role in (Role.TRANSCONDUCTOR, Role.INPUT_TRANSCONDUCTOR):
            component = elements.components[role]
            load = load + replace(component, value=component.value.abs(), sign=torch.ones_like(component.sign)).dense(
                1
            ).sum(-1)
        node = Component.per_node(0.0, elements.n)
        return elements.with_component(Role.OUTPUT_CONDUCTANCE, replace(node, value=load / self.intrinsic_gain))
