"""Memory: what a written value has become when it is read: spread, drift, fluctuation, stuck devices.

In order, of a value x that was written (see :mod:`~tngd_hw.hardware.programming`), t = ``age_s`` after writing:

    device      the fitted law of a device, in siemens: see :mod:`~tngd_hw.hardware.memory_models`
    drift       x ((t + t0)/t0)^-nu, nu = max(drift_nu + drift_nu_dtod z, 0) drawn once a chip
    reading     x (1 + read_std z)
    telegraph   x (1 - telegraph_amplitude) with probability telegraph_probability
    stuck       x_min with probability stuck_low, x_max with probability stuck_high, drawn once a chip

Read noise and telegraph noise are slow: they are drawn at every programming and then frozen, so one run sees one state.
That is right while 1/f noise changes little and dwell times of the two states are far above the length of the run; for
noise within a run use the noise part.  A fitted device fixes conductances in siemens: resistors.resistance_ohm is
1/G_max of the device.  A value of 0 is no component and stays 0: devices that hold no entry are disconnected (as by the
transistor of a 1T1R cell), so they cannot be stuck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from tngd_hw.hardware.draws import Die, Draws
from tngd_hw.hardware.elements import Component, Elements, PartKind, Role
from tngd_hw.hardware.fields import Fraction, Part, Physical, Positive, Probability
from tngd_hw.hardware.memory_models import Device, MemoryModel, model_of
from tngd_hw.hardware.programming import MATRIX_KINDS, drawn_at, least_value
from tngd_hw.outcome import MisuseError

__all__ = ["Memory"]


class Memory(Part):
    """The devices that are programmed, as :class:`~tngd_hw.hardware.programming.Programming` says; no fixed component.

    Attributes:
        device: A fitted device, or None for one that keeps what is written.
        age_s: Time since writing.
        drift_nu: Drift exponent of a device that is not fitted, mean.
        drift_nu_dtod: Its standard deviation, drawn once a chip.
        drift_start_s: t0 of the drift (20 s: phase change, aihwkit).
        read_std: Relative standard deviation of read noise, drawn at every programming.
        telegraph_amplitude: Part of the value that is missing in the second state of random telegraph noise.
        telegraph_probability: Share of devices in their second state, drawn at every programming.
        stuck_low: Share of devices that are stuck at the smallest value (absent where there is none).
        stuck_high: Share of devices that are stuck at the largest value.
    """

    device: Annotated[Device | None, Field(strict=False)] = None
    age_s: Physical = 0.0
    drift_nu: Physical = 0.0
    drift_nu_dtod: Physical = 0.0
    drift_start_s: Positive = 20.0
    read_std: Fraction = 0.0
    telegraph_amplitude: Fraction = 0.0
    telegraph_probability: Probability = 0.0
    stuck_low: Probability = 0.0
    stuck_high: Probability = 0.0

    EFFECTS: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "device": {"device": None},
        "drift": {"drift_nu": 0.0, "drift_nu_dtod": 0.0},
        "reading": {"read_std": 0.0},
        "telegraph": {"telegraph_amplitude": 0.0},
        "stuck": {"stuck_low": 0.0, "stuck_high": 0.0},
    }

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.stuck_low + self.stuck_high > 1:
            raise ValueError(
                f"stuck_low + stuck_high = {self.stuck_low + self.stuck_high:g}: shares add up to 1 at most"
            )
        if self.device is None:
            return self
        name, oldest_s = self.device.value, model_of(self.device).oldest_s
        if self.drift_nu > 0 or self.drift_nu_dtod > 0:
            raise ValueError(
                f"drift_nu = {self.drift_nu:g}: device {name} has its own change with time; leave "
                "drift_nu and drift_nu_dtod out"
            )
        if self.age_s > oldest_s:
            raise ValueError(f"age_s = {self.age_s:g}: device {name} was measured up to {oldest_s:g} s after writing")
        return self

    @property
    def model(self) -> MemoryModel | None:
        """The fit of the device."""
        return None if self.device is None else model_of(self.device)

    def draw(self, die: Die) -> Draws:
        """``nu``, standard normal, and ``stuck``, uniform in [0, 1), of every component of one die."""
        roles, model = die.roles(*MATRIX_KINDS), self.model
        draws: dict[str, dict[Role, Tensor]] = {}
        if self.drift_nu_dtod > 0 or (model is not None and model.drift is not None):
            draws["nu"] = {role: die.normal("memory.nu", role) for role in roles}
        if self.stuck_low > 0 or self.stuck_high > 0:
            draws["stuck"] = {role: die.uniform("memory.stuck", role) for role in roles}
        return draws

    def draw_write(self, die: Die) -> Draws:
        """``write``, ``relaxation``, ``read``, standard normal, and ``telegraph``, uniform in [0, 1)."""
        roles, model = die.roles(*MATRIX_KINDS), self.model
        wanted = {
            "write": model is not None,
            "relaxation": model is not None and model.relaxation is not None,
            "device_read": model is not None and model.read is not None,
            "read": self.read_std > 0,
        }
        draws = {
            quantity: {role: die.normal(f"memory.{quantity}", role) for role in roles}
            for quantity, drawn in wanted.items()
            if drawn
        }
        if self.telegraph_amplitude > 0 and self.telegraph_probability > 0:
            draws["telegraph"] = {role: die.uniform("memory.telegraph", role) for role in roles}
        return draws

    def apply(self, elements: Elements, draws: Draws) -> Elements:
        """The values as they are read; without draws the mean law: drift of the mean exponent, nothing stuck.

        Raises:
            MisuseError: A fitted device in a circuit that holds its matrix in something else than resistors.
        """
        if not self.effects():
            return elements
        for role, limits in elements.programmable.items():
            if role in elements.components:
                component = elements.components[role]
                value = self._read(component, role, limits, draws)
                elements = elements.with_component(role, replace(component, value=value))
        return elements

    def _read(self, component: Component, role: Role, limits: tuple[float, float], draws: Draws) -> Tensor:
        def normal(quantity: str) -> Tensor:
            drawn = drawn_at(draws, quantity, role, component)
            return torch.zeros_like(component.value) if drawn is None else drawn

        value = component.value
        if self.device is not None:
            if role.part is not PartKind.RESISTOR:
                raise MisuseError(
                    f"memory.device = {self.device.value}: a device is a resistor, and this circuit holds its matrix "
                    f"in the {role.label}s; leave device out or use a topology of resistors"
                )
            value = _fitted(model_of(self.device), value * 1e6, normal, self.age_s) / 1e6
        nu = (self.drift_nu + self.drift_nu_dtod * normal("nu")).clamp_min(0.0)
        if self.drift_nu > 0 or self.drift_nu_dtod > 0:
            value = value * ((self.age_s + self.drift_start_s) / self.drift_start_s) ** -nu
        value = value * (1 + self.read_std * normal("read"))
        second = drawn_at(draws, "telegraph", role, component)
        if second is not None:
            value = torch.where(second < self.telegraph_probability, (1 - self.telegraph_amplitude) * value, value)
        stuck = drawn_at(draws, "stuck", role, component)
        if stuck is not None:
            value = torch.where(stuck < self.stuck_low, limits[0], value)
            value = torch.where(stuck >= 1 - self.stuck_high, limits[1], value)
        return torch.where(component.value > 0, value.clamp_min(least_value(role, limits)), 0.0)


def _fitted(model: MemoryModel, wanted_us: Tensor, normal: Callable[[str], Tensor], age_s: float) -> Tensor:
    """What a fitted device makes of wanted conductances, in uS."""
    written = (wanted_us + model.write.std(wanted_us, age_s) * normal("write")).clamp_min(0.0)
    value = written
    if model.drift is not None:
        value = value * model.drift.factor(wanted_us / model.largest_us, normal("nu"), age_s)
    if model.relaxation is not None:
        value = value + model.relaxation.shift(normal("relaxation"), age_s)
    if model.read is not None:
        value = value + model.read.std(written, value, age_s) * normal("device_read")
    return value.clamp_min(0.0)
