"""SPICE text out of a netlist: self-contained, cells inlined, every value with all its digits."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from tngd_hw.netlist.analyses import AcSweep, Analysis, NoiseSweep, OperatingPoint, Transient, with_an_end
from tngd_hw.netlist.behavioral import parse_behavioral
from tngd_hw.netlist.cells import Cell, load_cell, parse_cell, silenced, switch_names
from tngd_hw.netlist.element_cards import switch_model_card
from tngd_hw.netlist.netlist import ROOM_KELVIN, Netlist
from tngd_hw.netlist.noise_columns import NoiseSources
from tngd_hw.netlist.tables import Instances, Kind, SwitchModel, Table, check_names
from tngd_hw.netlist.waveform import Waveform
from tngd_hw.outcome import MisuseError

__all__ = ["NOISE_CELL", "NOISE_PREFIX", "Transient", "write_deck"]

NOISE_CELL = "white_noise"
"""The library cell that carries a current source's ``noise_psd`` in decks with a NoiseSweep."""

NOISE_PREFIX = "noise_"
"""The noise of current source ``b`` is the instance ``noise_b``."""

ZERO_CELSIUS = 273.15

_NAMES = re.compile(r"[a-z0-9_.\n]*")  # one a line; a dot is in the names of a flattened netlist
_NOISE_VECTORS = "onoise_spectrum inoise_spectrum onoise_total inoise_total"
_DEFAULT_TOLERANCES = Transient(1.0, 1.0, 1.0)


def write_deck(netlist: Netlist, *analyses: Analysis, standalone: bool = False) -> str:
    """The deck: title, cells, elements, analyses; only ``netlist.outputs`` are saved (every node where there are none).

    Node k is written as its name, ground as 0.  A :class:`NoiseSweep` says by its ``sources`` which noise is written:
    a current source with ``noise_psd`` gets an instance of the cell ``white_noise`` beside it, or resistors get
    noisy=0; without a sweep, noise densities are not written.  A resistor's own temperature is written as ``dtemp``,
    since ngspice 39 leaves ``temp`` out of its noise.  KLU is not asked for where there is a noise sweep, which it
    cannot do.  An AC sweep over less than one step of ``dec`` is written as its one frequency: ngspice 39 would run for
    ever.  A ``standalone`` deck prints its outputs too, which ``ngspice -b deck.cir`` without a raw file asks for.
    Cost: about 1 microsecond an element.

    Raises:
        MisuseError: Names or a title that no deck may hold, analyses that cannot share a deck or name what is not
            there.
    """
    _refuse_commands(netlist)
    names = netlist.node_names
    noise = _noise_sources(analyses)
    lines = [f"* {netlist.title}"]
    lines += [cell.text.rstrip() for cell in _cells(netlist, noise)]
    models = switch_names(switch for table in netlist.tables for switch in table.switches)
    lines += [switch_model_card(name, model) for model, name in models.items()]
    for table in _with_analyses(netlist, analyses, noise):
        lines.extend(_table_cards(table, names, models, netlist.temperature_kelvin))
    for group in netlist.instances:
        lines.extend(_instance_cards(group, names))
    if noise is not None and noise.has_injected:
        lines.extend(_noise_cards(netlist))
    outputs = " ".join(f"v({name})" for name in netlist.outputs or names[1:])
    if netlist.temperature_kelvin != ROOM_KELVIN:
        lines.append(f".temp {_rounded(netlist.temperature_kelvin - ZERO_CELSIUS)!r}")
    lines += [_options(analyses, noise), f".save {outputs}" + (f" {_NOISE_VECTORS}" if noise is not None else "")]
    if standalone:
        lines.extend(_print_cards(analyses, outputs))
    lines += [_analysis_card(netlist, analysis) for analysis in analyses]
    return "\n".join([*lines, ".end", ""])


def _refuse_commands(netlist: Netlist) -> None:
    """Screen every name and the title again: nothing but elements may get into a deck, whoever made the netlist."""
    groups = (
        ("output", netlist.outputs),
        ("node", netlist.node_names),
        *(("name", names) for t in netlist.tables for names in (t.names, t.controls, t.partners)),
        *(("name", g.names) for g in netlist.instances),
        *(("name", (g.cell, *g.parameters)) for g in netlist.instances),
    )
    for what, names in groups:
        lines = "\n".join(names)
        if not _NAMES.fullmatch(lines) or lines.count("\n") != max(len(names) - 1, 0) or "" in names:
            check_names([name.replace(".", "_") for name in names], what)
    if not netlist.title.isprintable():
        raise MisuseError(f"title {netlist.title!r}: expected one line of text (it is the first line of the deck)")


def _noise_sources(analyses: Sequence[Analysis]) -> NoiseSources | None:
    found = {analysis.sources for analysis in analyses if isinstance(analysis, NoiseSweep)}
    if len(found) > 1:
        raise MisuseError("NoiseSweep.sources differ between the analyses of one deck: write two decks")
    return next(iter(found), None)


def _cells(netlist: Netlist, noise: NoiseSources | None) -> list[Cell]:
    cells = dict(netlist.cells)
    if noise is not None and not noise.has_thermal:
        cells = {name: cell if name == NOISE_CELL else silenced(cell) for name, cell in cells.items()}
    if noise is not None and noise.has_injected and _has_noise(netlist):
        cells.setdefault(NOISE_CELL, load_cell(NOISE_CELL))
        if cells[NOISE_CELL] != load_cell(NOISE_CELL):
            raise MisuseError(f"cell {NOISE_CELL!r} of {netlist.title!r} is not the library's: give it another name")
    for cell in cells.values():
        _refuse_other_text(cell)
    return list(cells.values())


@functools.cache
def _refuse_other_text(cell: Cell) -> None:
    """A cell's text, which decks carry as it is, says what the cell holds and nothing else."""
    if replace(parse_cell(cell.text, f"cell {cell.name!r}"), text="") != replace(cell, text=""):
        raise MisuseError(f"cell {cell.name!r}: its text is not that of its elements; use cells.with_text(cell)")


def _has_noise(netlist: Netlist) -> bool:
    table = netlist.table(Kind.CURRENT_SOURCE)
    return table is not None and table.noise_psd is not None and bool((table.noise_psd > 0).any())


def _with_analyses(netlist: Netlist, analyses: Sequence[Analysis], noise: NoiseSources | None) -> Iterator[Table]:
    """The tables as this deck needs them: whole waveforms, silent resistors, an AC amplitude at a noise's source."""
    times = next(((a.step_s, a.stop_s) for a in analyses if isinstance(a, Transient)), None)
    referred = [netlist.source(a.source) for a in analyses if isinstance(a, NoiseSweep)]
    for given in netlist.tables:
        waves = () if times is None else tuple(wave and wave.with_defaults(*times) for wave in given.waveforms)
        table = replace(given, waveforms=waves) if waves else given  # versions of ngspice differ in what 0 stands for
        if table.kind is Kind.RESISTOR and noise is not None and not noise.has_thermal:
            yield replace(table, noiseless=np.ones(len(table), dtype=np.bool_))
        elif rows := [row for kind, row in referred if kind is table.kind]:
            ac = np.zeros(len(table), dtype=np.complex128) if table.ac is None else table.ac.copy()
            ac[[row for row in rows if ac[row] == 0]] = 1.0
            yield replace(table, ac=ac)
        else:
            yield table


def _rounded(number: float) -> float:
    """To 14 digits and 10 decimals, so that reading, adding 273.15 and writing again gives the same text."""
    return float(f"{round(number, 10):.14g}")


def _table_cards(
    table: Table, names: tuple[str, ...], models: dict[SwitchModel, str], circuit_kelvin: float
) -> Iterator[str]:
    """Cards of a table: letter and name, nodes, then what its kind has behind them."""
    letter = table.kind.value.lower()
    columns = [[names[k] for k in column] for column in cast("list[list[int]]", table.nodes.T.tolist())]
    tails = _tails(table, models, circuit_kelvin)
    if len(columns) == 4:  # written out: the hot loops
        for name, a, b, c, d, tail in zip(table.names, *columns, tails, strict=True):
            yield f"{letter}{name} {a} {b} {c} {d} {tail}"
    elif len(columns) == 2:
        for name, a, b, tail in zip(table.names, *columns, tails, strict=True):
            yield f"{letter}{name} {a} {b} {tail}"
    else:
        for name, tail in zip(table.names, tails, strict=True):
            yield f"{letter}{name} {tail}"


def _tails(table: Table, models: dict[SwitchModel, str], circuit_kelvin: float) -> list[str]:
    """What stands behind the nodes of each element."""
    values = list(map(repr, table.values.tolist()))
    if table.kind.is_source:
        return _source_tails(table)
    if table.kind.is_current_controlled:
        return [f"v{control} {value}" for control, value in zip(table.controls, values, strict=True)]
    if table.kind is Kind.SWITCH:
        named = [(models[replace(s, starts_on=False)], " on" if s.starts_on else "") for s in table.switches]
        values = [f"{model}{state}" for model, state in named]
    elif table.kind is Kind.COUPLING:
        values = [f"l{a} l{b} {v}" for a, b, v in zip(table.controls, table.partners, values, strict=True)]
    elif table.kind is Kind.BEHAVIORAL:
        values = [parse_behavioral(expression).text for expression in table.expressions]
    elif table.kind.stores_energy:
        starts = [0.0] * len(table) if table.initial is None else table.initial.tolist()
        values = [f"{value} ic={start!r}" for value, start in zip(values, starts, strict=True)]
    elif table.kind is Kind.RESISTOR:
        behind = _resistor_tails(table, circuit_kelvin)
        values = [value + tail for value, tail in zip(values, behind, strict=True)]
    return values


def _resistor_tails(table: Table, circuit_kelvin: float) -> list[str]:
    tails = [""] * len(table)
    if table.temperature_kelvin is not None:
        above = [_rounded(kelvin - circuit_kelvin) for kelvin in table.temperature_kelvin.tolist()]
        tails = ["" if np.isnan(kelvin) else f" dtemp={kelvin!r}" for kelvin in above]
    if table.noiseless is not None:
        tails = [f"{t} noisy=0" if silent else t for t, silent in zip(tails, table.noiseless.tolist(), strict=True)]
    return tails


def _source_tails(table: Table) -> list[str]:
    m = len(table)
    amplitudes = [0j] * m if table.ac is None else table.ac.tolist()
    waveforms: Sequence[Waveform | None] = table.waveforms or (None,) * m
    tails: list[str] = []
    for value, amplitude, waveform in zip(table.values.tolist(), amplitudes, waveforms, strict=True):
        tail = f"dc {value!r}"
        if amplitude != 0:
            tail += f" ac {_digits(abs(amplitude))!r} {_digits(_degrees(amplitude))!r}"
        if waveform is not None:
            tail += f" {waveform.shape.value}({' '.join(map(repr, map(float, waveform.numbers)))})"
        tails.append(tail)
    return tails


def _degrees(amplitude: complex) -> float:
    return float(np.rad2deg(np.angle(amplitude)))


def _digits(number: float) -> float:
    """To 14 digits: polar form to complex number and back would move the last of 17."""
    return float(f"{number:.14g}")


def _instance_cards(group: Instances, names: tuple[str, ...]) -> Iterator[str]:
    ports = [" ".join(names[k] for k in row) for row in cast("list[list[int]]", group.nodes.tolist())]
    keys = tuple(group.parameters)
    columns = [group.parameters[key].tolist() for key in keys]
    rows = zip(*columns, strict=True) if columns else (() for _ in ports)
    for name, port, row in zip(group.names, ports, rows, strict=True):
        yield " ".join((f"x{name}", port, group.cell, *(f"{k}={v!r}" for k, v in zip(keys, row, strict=True))))


def _noise_cards(netlist: Netlist) -> Iterator[str]:
    table = netlist.table(Kind.CURRENT_SOURCE)
    if table is None or table.noise_psd is None:
        return
    if netlist.temperature_kelvin <= 0:
        raise MisuseError("temperature_kelvin = 0: injected noise is made by a resistor, which needs more than 0 K")
    kelvin = _rounded(netlist.temperature_kelvin - ZERO_CELSIUS) + ZERO_CELSIUS
    warm = "" if netlist.temperature_kelvin == ROOM_KELVIN else f" kelvin={_rounded(kelvin)!r}"
    for k in np.flatnonzero(table.noise_psd > 0).tolist():
        a, b = (netlist.node_names[i] for i in cast("list[int]", table.nodes[k].tolist()))
        yield f"x{NOISE_PREFIX}{table.names[k]} {a} {b} {NOISE_CELL} psd={float(table.noise_psd[k])!r}{warm}"


def _options(analyses: Sequence[Analysis], noise: NoiseSources | None) -> str:
    transients = [a for a in analyses if isinstance(a, Transient)] or [_DEFAULT_TOLERANCES]
    settings = {(a.relative_tolerance, a.voltage_tolerance_volt, a.use_klu) for a in transients}
    if len(settings) > 1:
        raise MisuseError("the Transients of one deck differ in tolerances or use_klu: write two decks")
    ((relative, volt, use_klu),) = settings
    klu = " klu" if use_klu and noise is None else ""
    return f".options method=trap reltol={float(relative)!r} vntol={float(volt)!r} abstol=1e-15 chgtol=1e-20{klu}"


def _print_cards(analyses: Sequence[Analysis], outputs: str) -> Iterator[str]:
    printed = {OperatingPoint: f".print op {outputs}", AcSweep: f".print ac {outputs}"}
    printed |= {Transient: f".print tran {outputs}", NoiseSweep: ".print noise onoise_spectrum inoise_spectrum"}
    yield from dict.fromkeys(printed[type(analysis)] for analysis in analyses)


def _analysis_card(netlist: Netlist, analysis: Analysis) -> str:
    match analysis:
        case OperatingPoint():
            return ".op"
        case AcSweep():
            return f".ac {_sweep(with_an_end(analysis))}"
        case NoiseSweep():
            for node in (analysis.output, *([analysis.reference] if analysis.reference is not None else [])):
                if node not in netlist.node_names:
                    raise MisuseError(f"NoiseSweep: {node!r} is not a node of {netlist.title!r}")
            kind, row = netlist.source(analysis.source)
            table = next(table for table in netlist.tables if table.kind is kind)
            reference = "" if analysis.reference is None else f",{analysis.reference}"
            source = f"{kind.value.lower()}{table.names[row]}"
            return f".noise v({analysis.output}{reference}) {source} {_sweep(analysis)}"
        case Transient():
            start = "0" if analysis.start_s == 0 else repr(float(analysis.start_s))
            step, stop, largest = (float(t) for t in (analysis.step_s, analysis.stop_s, analysis.max_step_s))
            return f".tran {step!r} {stop!r} {start} {largest!r}{' uic' if analysis.uic else ''}"


def _sweep(analysis: AcSweep | NoiseSweep) -> str:
    points = analysis.points_per_decade
    return f"{analysis.spacing.value} {points} {float(analysis.start_hz)!r} {float(analysis.stop_hz)!r}"
