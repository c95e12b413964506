"""Transfer functions, operating points and poles of loaded chips and netlists, as labelled data.

    H(f) = C (2 pi i f - F)^-1 E + D,   poles: eigenvalues of F,   rest: C open, L short

The equations give them exactly; ngspice gives the same tables by ``.ac`` (one run an input, amplitude 1) and ``.op``.
Both tables have the same shape and labels, so one can be drawn on top of the other (``report.bode_figure``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from tngd_hw.engines.decks.frequency import over_derivatives
from tngd_hw.engines.decks.ngspice import DeckInNgspice
from tngd_hw.engines.decks.result import DeckEngine
from tngd_hw.engines.decks.transient import growth_status
from tngd_hw.engines.spice.found import required_ngspice
from tngd_hw.engines.sweep import sweep_frequencies
from tngd_hw.linear_sde import LinearSDE, frequency_response
from tngd_hw.netlist import AcSweep, DcSolution, Deck, Kind, Netlist, operating_point, state_equations
from tngd_hw.outcome import MisuseError, OutcomeError
from tngd_hw.problem import as_real_tensor
from tngd_hw.topologies import LoadedChip

if TYPE_CHECKING:
    import xarray

__all__ = [
    "as_netlist",
    "bare_deck",
    "in_threads",
    "mode_band",
    "operating_points",
    "poles",
    "transfer_functions",
]

_BELOW, _ABOVE = 1e-2, 1e2
_TIMEOUT_S = 600.0

Complexes = NDArray[np.complex128]
Floats = NDArray[np.float64]
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


def transfer_functions(
    circuit: LoadedChip | Netlist,
    engine: DeckEngine = DeckEngine.STATE_SPACE,
    *,
    points_per_decade: int = 20,
    start_hz: float | None = None,
    stop_hz: float | None = None,
    frequency_hz: ArrayLike | None = None,
    workers: int = 1,
    timeout_s: float = _TIMEOUT_S,
) -> xarray.Dataset:
    """H(f) from every input of the circuit to every output.

    Args:
        circuit: A chip, or a linear netlist with inputs and outputs.
        engine: Who computes it.
        points_per_decade: Of the sweep.
        start_hz: Default: the decade below 1/100 of the slowest mode's |eigenvalue|/(2 pi).
        stop_hz: Default: the decade above 100 times that of the fastest.
        frequency_hz: Frequencies instead of the sweep, exact engine only, shape (K,).
        workers: ngspice processes side by side.
        timeout_s: Of each of them.

    Returns:
        ``transfer_real`` and ``transfer_imag`` over (frequency_hz, node, input), volt a volt or volt an ampere as the
        coordinate ``input_unit`` says; attributes ``engine`` and ``status`` (of the poles).  Cost: one
        eigendecomposition; or m runs of ngspice.

    Raises:
        MisuseError: A batch of chips, a circuit without inputs, nonlinear elements, frequencies asked of ngspice.
        OutcomeError: ngspice is missing or fails; the chip cannot hold its matrix.
    """
    netlist = as_netlist(circuit)
    if not netlist.inputs or not netlist.outputs:
        raise MisuseError(f"netlist {netlist.title!r}: a transfer function needs at least one input and one output")
    equations = state_equations(netlist)
    low, high = (math.log10(limit) for limit in mode_band(equations.sde, _BELOW, _ABOVE))
    start = 10.0 ** math.floor(low) if start_hz is None else start_hz
    sweep = AcSweep(points_per_decade, start, 10.0 ** math.ceil(high) if stop_hz is None else stop_hz)
    if engine is DeckEngine.NGSPICE:
        if frequency_hz is not None:
            raise MisuseError("frequency_hz: ngspice sweeps; give start_hz, stop_hz and points_per_decade instead")
        hertz, transfer = _swept(netlist, sweep, workers, timeout_s)
    else:
        hertz = sweep_frequencies(sweep)
        if frequency_hz is not None:
            hertz = as_real_tensor(frequency_hz, "frequency_hz").numpy()
        response = frequency_response(equations.sde, hertz).numpy()
        transfer = over_derivatives(equations, len(netlist.inputs), response, hertz)
    return _transfer_data(netlist, engine, hertz, transfer, str(growth_status(equations.sde, math.inf)))


def operating_points(
    circuit: LoadedChip | Netlist, engine: DeckEngine = DeckEngine.STATE_SPACE, *, timeout_s: float = _TIMEOUT_S
) -> xarray.Dataset:
    """Voltages and currents that the circuit rests at, its inputs at their present values.

    Returns:
        ``voltage_volt`` over node (every node, those in cells as ``instance.node``) and ``current_ampere`` over branch
        (V, E, H and L, out of the first node through the element).  Cost: one sparse LU, or one run of ngspice.

    Raises:
        MisuseError: As :func:`tngd_hw.netlist.operating_point`.
        OutcomeError: ngspice is missing or fails.
    """
    import xarray

    netlist = as_netlist(circuit)
    found = operating_point(netlist)
    if engine is DeckEngine.NGSPICE:
        measured, status = DeckInNgspice(bare_deck(netlist), required_ngspice(), timeout_s).operating_point()
        if measured is None:
            raise OutcomeError(status)
        found = DcSolution(
            {node: measured.voltage_volt.get(node, math.nan) for node in found.voltage_volt},
            {name: measured.current_ampere.get(name, math.nan) for name in found.current_ampere},
        )
    return xarray.Dataset(
        {
            "voltage_volt": ("node", np.array(list(found.voltage_volt.values())), {"units": "V"}),
            "current_ampere": ("branch", np.array(list(found.current_ampere.values())), {"units": "A"}),
        },
        coords={"node": list(found.voltage_volt), "branch": list(found.current_ampere)},
        attrs={"title": netlist.title, "engine": engine.value},
    )


def poles(circuit: LoadedChip | Netlist) -> xarray.Dataset:
    """Eigenvalues of F, slowest first.

    Returns:
        ``pole_real_per_s`` and ``pole_imag_per_s`` (radians a second) over mode, ``frequency_hz`` = |p|/(2 pi) and
        ``damping_ratio`` = -Re p/|p|.  Cost O(n^3).

    Raises:
        MisuseError: As :func:`tngd_hw.netlist.state_equations`.
    """
    import xarray

    netlist = as_netlist(circuit)
    sde = state_equations(netlist).sde
    found = np.asarray(sde.eigenvalues().numpy(), dtype=np.complex128)
    found = found[np.lexsort((found.imag, np.abs(found)))]
    size = np.abs(found)
    ratio = np.divide(-found.real, size, out=np.zeros(len(found)), where=size > 0)
    return xarray.Dataset(
        {
            "pole_real_per_s": ("mode", found.real, {"units": "1/s"}),
            "pole_imag_per_s": ("mode", found.imag, {"units": "1/s"}),
            "frequency_hz": ("mode", size / (2 * math.pi), {"units": "Hz"}),
            "damping_ratio": ("mode", ratio, {"units": "1"}),
        },
        attrs={"title": netlist.title, "status": str(growth_status(sde, math.inf))},
    )


def as_netlist(circuit: LoadedChip | Netlist) -> Netlist:
    """The netlist of one chip, driven by its problem's b; a netlist as it is."""
    if isinstance(circuit, Netlist):
        return circuit
    if circuit.chip.chips is not None:
        raise MisuseError(f"chips = {circuit.chip.chips}: this takes one chip at a time; pass loaded.select(k)")
    return circuit.netlist()


def bare_deck(netlist: Netlist) -> Deck:
    """A deck of the circuit and nothing else."""
    return Deck(netlist, (), {}, False, {})


def mode_band(sde: LinearSDE, below: float, above: float) -> tuple[float, float]:
    """``below`` times the slowest and ``above`` times the fastest |eigenvalue|/(2 pi), hertz, zeros left out."""
    size = sde.eigenvalues().abs().numpy() / (2 * math.pi)
    moving = size[size > 0] if (size > 0).any() else np.ones(1)
    return below * float(moving.min()), above * float(moving.max())


def in_threads(run: Callable[[_Item], _Answer], items: Iterable[_Item], workers: int) -> list[_Answer]:
    """Answers in order; for work that waits for a process of its own, for which threads are enough."""
    jobs: list[Any] = [joblib.delayed(run)(item) for item in items]
    return cast("list[_Answer]", joblib.Parallel(n_jobs=workers, backend="threading")(jobs))


def _swept(netlist: Netlist, sweep: AcSweep, workers: int, timeout_s: float) -> tuple[Floats, Complexes]:
    """ngspice, one run an input."""
    version = required_ngspice()

    def run(label: str) -> tuple[Floats, Complexes]:
        found = DeckInNgspice(bare_deck(_one_amplitude(netlist, label)), version, timeout_s).ac(sweep)
        found.status.require_ok()
        return found.frequency_hz, found.voltage_volt

    columns = in_threads(run, netlist.inputs, workers)
    return columns[0][0], np.stack([volts for _, volts in columns], axis=2)


def _one_amplitude(netlist: Netlist, label: str) -> Netlist:
    """AC amplitude 1 at the source that ``label`` means, 0 at all others."""
    kind, row = netlist.source(label)
    tables = tuple(
        replace(t, ac=np.where((np.arange(len(t)) == row) & (t.kind is kind), 1 + 0j, 0j)) if t.kind.is_source else t
        for t in netlist.tables
    )
    return replace(netlist, tables=tables)


def _transfer_data(
    netlist: Netlist, engine: DeckEngine, hertz: Floats, transfer: Complexes, status: str
) -> xarray.Dataset:
    import xarray

    dims: Any = ["frequency_hz", "node", "input"]
    unit = {"units": "V/input_unit"}
    units = ["V" if netlist.source(label)[0] is Kind.VOLTAGE_SOURCE else "A" for label in netlist.inputs]
    return xarray.Dataset(
        {"transfer_real": (dims, transfer.real, unit), "transfer_imag": (dims, transfer.imag, unit)},
        coords={
            "frequency_hz": ("frequency_hz", hertz, {"units": "Hz"}),
            "node": list(netlist.outputs),
            "input": list(netlist.inputs),
            "input_unit": ("input", units),
        },
        attrs={"title": netlist.title, "engine": engine.value, "status": status},
    )
