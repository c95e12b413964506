"""Circuits of PySpice 1.5 out of netlists and back.

PySpice is GPL-3 and comes with ``pip install 'tngd-hw[pyspice]'``; it is imported only when one of these functions is
called, and in the worker process of the engine ``pyspice``.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from tngd_hw.netlist.behavioral import parse_behavioral
from tngd_hw.netlist.cells import Cell, switch_names
from tngd_hw.netlist.element_cards import CellElement
from tngd_hw.netlist.netlist import ROOM_KELVIN, Netlist
from tngd_hw.netlist.reader import read_deck
from tngd_hw.netlist.tables import Kind, SwitchModel, Table
from tngd_hw.netlist.waveform import Shape, Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["PySpiceCircuit", "from_pyspice", "to_pyspice"]

_METHODS = {
    Kind.RESISTOR: "R", Kind.CAPACITOR: "C", Kind.INDUCTOR: "L", Kind.VOLTAGE_SOURCE: "V", Kind.CURRENT_SOURCE: "I",
    Kind.VCVS: "VCVS", Kind.VCCS: "VCCS", Kind.CCCS: "CCCS", Kind.CCVS: "CCVS", Kind.COUPLING: "CoupledInductor",
    Kind.SWITCH: "VoltageControlledSwitch", Kind.BEHAVIORAL: "BehavioralSource",
}  # fmt: skip
"""What makes an element of each kind in a PySpice netlist."""


class _Element(Protocol):
    raw_spice: str


class PySpiceCircuit(Protocol):
    """What we use of ``PySpice.Spice.Netlist.Circuit`` and ``SubCircuit``; elements are made by ``R``, ``C`` ..."""

    title: str

    def model(self, name: str, modele_type: str, **parameters: float) -> object:
        """Add a ``.model``."""
        ...

    def subcircuit(self, subcircuit: object) -> None:
        """Add a subcircuit's definition."""
        ...


class _Maker(Protocol):
    def __call__(self, name: str, *args: object, **kwargs: object) -> _Element: ...


class _Module(Protocol):
    def Circuit(self, title: str) -> PySpiceCircuit: ...  # noqa: N802 - PySpice's name

    def SubCircuit(self, name: str, *nodes: str, **parameters: str) -> PySpiceCircuit: ...  # noqa: N802 - PySpice's name


@contextmanager
def _quiet() -> Generator[None]:
    """PySpice 1.5 is older than today's Python and numpy: invalid escapes, deprecated names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def _pyspice() -> _Module:
    try:
        with _quiet():
            return cast("_Module", cast("object", importlib.import_module("PySpice.Spice.Netlist")))
    except ImportError:
        raise MisuseError("PySpice is not installed: pip install 'tngd-hw[pyspice]'") from None


def to_pyspice(netlist: Netlist) -> PySpiceCircuit:
    """A ``PySpice.Spice.Netlist.Circuit`` of the same elements, cells as its subcircuits.

    Cost: about 20 microseconds an element.

    Raises:
        MisuseError: PySpice is not installed, or has no way to say something: an injected noise density, a temperature
            of the circuit (it belongs to PySpice's simulator), a phase of SIN or of the AC amplitude of a SIN source.
    """
    module = _pyspice()
    if netlist.temperature_kelvin != ROOM_KELVIN:
        raise MisuseError(
            f"temperature_kelvin = {netlist.temperature_kelvin!r}: a PySpice circuit has none; replace it by "
            f"{ROOM_KELVIN} and give the temperature to circuit.simulator()"
        )
    with _quiet():
        circuit = module.Circuit(netlist.title)
        for cell in netlist.cells.values():
            circuit.subcircuit(_subcircuit(module, cell))
        models = _models(circuit, [switch for table in netlist.tables for switch in table.switches])
        for parts in _table_parts(netlist):
            _add(circuit, parts, models)
        for group in netlist.instances:
            for k, name in enumerate(group.names):
                ports = [netlist.node_names[i] for i in cast("list[int]", group.nodes[k].tolist())]
                values = {key: repr(float(column[k])) for key, column in group.parameters.items()}
                _maker(circuit, "X")(name, group.cell, *ports, **values)
    return circuit


def from_pyspice(circuit: object) -> Netlist:
    """The netlist of a PySpice circuit, read from the text that PySpice writes, by :func:`read_deck`.

    Raises:
        MisuseError: The text holds what the reader refuses (devices other than ours, ``.include``, raw SPICE ...).
    """
    with _quiet():
        text = str(circuit)
    return read_deck(f"{text}\n.end\n").netlist


def _maker(circuit: PySpiceCircuit, method: str) -> _Maker:
    return cast("_Maker", getattr(circuit, method))


def _models(circuit: PySpiceCircuit, switches: Sequence[SwitchModel]) -> dict[SwitchModel, str]:
    models = switch_names(switches)
    for model, name in models.items():
        circuit.model(
            name, "sw", ron=model.on_ohm, roff=model.off_ohm, vt=model.threshold_volt, vh=model.hysteresis_volt
        )
    return models


def _subcircuit(module: _Module, cell: Cell) -> PySpiceCircuit:
    subcircuit = module.SubCircuit(cell.name, *cell.ports, **dict(cell.parameters))
    models = _models(subcircuit, [e.switch for e in cell.elements if e.switch is not None])
    for e in cell.elements:
        _add(subcircuit, _cell_parts(cell, e), models)
    for x in cell.instances:
        _maker(subcircuit, "X")(x.name, x.cell, *x.nodes, **dict(x.parameters))
    return subcircuit


@dataclass(frozen=True)
class _Parts:
    """One element, its values as numbers, or as the text of a cell."""

    kind: Kind
    name: str
    nodes: tuple[str, ...]
    value: float | str = ""
    control: str = ""
    partner: str = ""
    initial: float | str = ""
    above: float | str = ""
    noiseless: bool = False
    ac: tuple[str, ...] = ()
    waveform: Waveform | None = None
    switch: SwitchModel | None = None
    expression: str = ""

    @property
    def label(self) -> str:
        return f"element {self.kind.value}{self.name}"


def _cell_parts(cell: Cell, e: CellElement) -> _Parts:
    label = f"element {e.kind.value}{e.name} of cell {cell.name!r}"
    waveform = None
    if e.shape is not None:
        try:
            waveform = Waveform(e.shape, tuple(float(number) for number in e.numbers))
        except ValueError:
            raise MisuseError(f"{label}: PySpice takes no expressions in a waveform; flatten the netlist") from None
    return _Parts(
        e.kind, e.name, e.nodes, e.value, e.control, e.partner, e.initial, e.above, e.noiseless, e.ac, waveform,
        e.switch, e.expression,
    )  # fmt: skip


def _table_parts(netlist: Netlist) -> Iterator[_Parts]:
    names = netlist.node_names
    for table in netlist.tables:
        for k, name in enumerate(table.names):
            yield _Parts(
                kind=table.kind,
                name=name,
                nodes=tuple(names[i] for i in cast("list[int]", table.nodes[k].tolist())),
                value=float(table.values[k]),
                control=table.controls[k] if table.controls else "",
                partner=table.partners[k] if table.partners else "",
                initial="" if table.initial is None else float(table.initial[k]),
                above=_above(table, k, netlist.temperature_kelvin),
                noiseless=table.noiseless is not None and bool(table.noiseless[k]),
                ac=_amplitude(table, k),
                waveform=table.waveforms[k] if table.waveforms else None,
                switch=table.switches[k] if table.switches else None,
                expression=table.expressions[k] if table.expressions else "",
            )


def _above(table: Table, k: int, circuit_kelvin: float) -> float | str:
    if table.noise_psd is not None and table.noise_psd[k] > 0:
        raise MisuseError(
            f"element {table.kind.value}{table.names[k]}: noise_psd has no counterpart in PySpice; replace it by None"
        )
    if table.temperature_kelvin is None or np.isnan(table.temperature_kelvin[k]):
        return ""
    return float(table.temperature_kelvin[k]) - circuit_kelvin


def _amplitude(table: Table, k: int) -> tuple[str, ...]:
    if table.ac is None or table.ac[k] == 0:
        return ()
    return repr(float(np.abs(table.ac[k]))), repr(float(np.rad2deg(np.angle(table.ac[k]))))


def _add(circuit: PySpiceCircuit, parts: _Parts, models: dict[SwitchModel, str]) -> None:
    """Make the element; what PySpice's constructors leave out (ac, noisy) goes behind it on its card."""
    if parts.kind.is_source:
        _add_source(circuit, parts)
        return
    make = _maker(circuit, _METHODS[parts.kind])
    if parts.kind is Kind.COUPLING:
        make(parts.name, f"L{parts.control}", f"L{parts.partner}", parts.value)
    elif parts.kind.is_current_controlled:
        make(parts.name, *parts.nodes, f"V{parts.control}", parts.value)
    elif parts.switch is not None:
        model = models[_off(parts.switch)]
        make(parts.name, *parts.nodes, model=model, **({"initial_state": True} if parts.switch.starts_on else {}))
    elif parts.kind is Kind.BEHAVIORAL:
        is_current, expression = parts.expression[0] == "i", parts.expression[2:]
        if "{" not in expression:
            expression = parse_behavioral(parts.expression, None).text[2:]
        make(parts.name, *parts.nodes, **{"current_expression" if is_current else "voltage_expression": expression})
    else:
        options: dict[str, object] = {}
        if parts.initial != "":
            options["initial_condition"] = parts.initial
        if parts.above != "":
            options["device_temperature"] = parts.above
        element = make(parts.name, *parts.nodes, parts.value, **options)
        if parts.noiseless:
            element.raw_spice = "noisy=0"


def _off(switch: SwitchModel) -> SwitchModel:
    return SwitchModel(switch.on_ohm, switch.off_ohm, switch.threshold_volt, switch.hysteresis_volt)


def _add_source(circuit: PySpiceCircuit, parts: _Parts) -> None:
    source = "VoltageSource" if parts.kind is Kind.VOLTAGE_SOURCE else "CurrentSource"
    waveform = parts.waveform
    if waveform is None:
        element = _maker(circuit, _METHODS[parts.kind])(parts.name, *parts.nodes, parts.value)
        _append(element, _ac_text(parts.ac))
        return
    value = float(parts.value) if parts.value != "" else waveform.start
    missing = waveform.shape.counts.stop - 1 - len(waveform.numbers)
    if waveform.shape is Shape.PWL:
        pairs = list(zip(waveform.numbers[::2], waveform.numbers[1::2], strict=True))
        element = _maker(circuit, f"PieceWiseLinear{source}")(parts.name, *parts.nodes, values=pairs, dc=value)
        _set(element, ("dc",), [value])
        setattr(element, "values", list(waveform.numbers))  # noqa: B010 - not in the protocol
        _append(element, _ac_text(parts.ac))
        return
    numbers = [*waveform.numbers, *[0.0] * missing]  # 0 is "not given" in ngspice
    if waveform.shape is Shape.SIN:
        if numbers[5] != 0 or (len(parts.ac) > 1 and float(parts.ac[1]) != 0):
            raise MisuseError(f"{parts.label}: a SIN source of PySpice has no phase, nor a phase of its AC amplitude")
        magnitude = float(parts.ac[0]) if parts.ac else 0.0
        names = ("dc_offset", "ac_magnitude", "offset", "amplitude", "frequency", "delay", "damping_factor")
        _make_wave(circuit, f"Sinusoidal{source}", parts, names, [value, magnitude, *numbers[:5]])
    elif waveform.shape is Shape.PULSE:
        names = ("initial_value", "pulsed_value", "delay_time", "rise_time", "fall_time", "pulse_width", "period")
        element = _make_wave(circuit, f"Pulse{source}", parts, ("dc_offset", *names), [value, *numbers])
        _append(element, _ac_text(parts.ac))
    else:
        names = ("initial_value", "pulsed_value", "rise_delay_time", "rise_time_constant", "fall_delay_time")
        element = _make_wave(circuit, f"Exponential{source}", parts, (*names, "fall_time_constant"), numbers)
        _append(element, f"dc {value!r}{_ac_text(parts.ac)}")


def _make_wave(
    circuit: PySpiceCircuit, method: str, parts: _Parts, names: Sequence[str], numbers: Sequence[float]
) -> _Element:
    element = _maker(circuit, method)(parts.name, *parts.nodes, **dict(zip(names, numbers, strict=True)))
    _set(element, names, numbers)
    return element


def _set(element: _Element, names: Sequence[str], numbers: Sequence[float]) -> None:
    """Plain floats again: PySpice would write them with units, and ngspice 46 takes the A of ampere for atto."""
    for name, number in zip(names, numbers, strict=True):
        setattr(element, name, float(number))


def _append(element: _Element, text: str) -> None:
    element.raw_spice = text.strip()


def _ac_text(ac: tuple[str, ...]) -> str:
    return f" ac {' '.join(ac)}" if ac else ""
