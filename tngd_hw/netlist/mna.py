"""Modified nodal analysis: a linear circuit to its state equations, exactly.

Every capacitor becomes a voltage source (its voltage is a state) and every inductor a current source (its current is a
state); the resistive circuit that remains is solved once, sparsely, for all capacitor currents and inductor voltages.
Then C dv/dt = i and L di/dt = v are the equations.

Where capacitors close a loop with voltage sources, or inductors form a cut-set with current sources, some of them
follow from the others.  They take the other role (capacitor as current source), and the small descriptor system left
is reduced through the null spaces of E (``index_reduction``).  Where controlled sources leave the resistive part
singular all the same, the whole circuit is reduced in that way.

Sources: Chua and Lin, "Computer-Aided Analysis of Electronic Circuits" (1975), ch. 8; Riaza, "Differential-Algebraic
Systems" (2008), ch. 5 and 6, on the index of circuits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy import sparse

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist.descriptor import CircuitDescriptor, from_answers, reduced_circuit, whole_circuit
from tngd_hw.netlist.index_reduction import Reduced
from tngd_hw.netlist.linear_algebra import sparse_product
from tngd_hw.netlist.linear_elements import linear_elements
from tngd_hw.netlist.loops import dependent_storage, listed
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.noise_columns import NoiseCurrents, NoiseSources, noise_answers, noise_currents, square_root
from tngd_hw.netlist.resistive import CONSTANT_INPUT, ResistivePart, drive_columns
from tngd_hw.netlist.storage import Storage, storage_elements
from tngd_hw.netlist.tables import Floats, Ints
from tngd_hw.outcome import MisuseError

__all__ = ["CONSTANT_INPUT", "StateEquations", "initial_state", "state_equations"]


@dataclass(frozen=True, eq=False)
class StateEquations:
    """The equations of a circuit.

    A state carries the name of a capacitor (its voltage) or an inductor (its current).  Where inputs reach it through a
    loop of capacitors or a cut-set of inductors the state is that quantity less a share of the inputs,

        named quantity = state + input_share @ u,

    so that no du/dt drives it and a jump of u moves no state.  An output with du/dt in it (the voltage of an inductor
    in series with a current source) has it as an input of its own, ``"d(in)/dt"`` for the input ``"in"``, whose value
    is zero wherever u is constant; such inputs stand after the constant.

    Attributes:
        sde: States are capacitor voltages, then inductor currents (in the order of the tables, dependent ones left
            out); inputs are the netlist's, the constant, then derivatives of inputs; outputs are its output nodes.
        initial_state: Shape (n,), from the ``ic`` values: ``initial_map`` times them.
        input_values: Shape (m,): the sources' values in the netlist, 1 for the constant, 0 for derivatives.
        initial_map: Shape (n, s): state at 0+ from all capacitor voltages, then all inductor currents at 0-.  Where
            these contradict a loop or cut-set, charges and fluxes are conserved; in a circuit without controlled
            sources that is the change of least energy.
        input_share: Shape (n, m), see above; zero in circuits without such loops and cut-sets.
        storage_names: s names: every capacitor and inductor, ``"cload"``, ``"lcoil"``.
        noise_names: Elements behind the columns of B and D_w; empty where the columns were reduced to a square root.
    """

    sde: LinearSDE
    initial_state: torch.Tensor
    input_values: torch.Tensor
    initial_map: torch.Tensor
    input_share: torch.Tensor
    storage_names: tuple[str, ...]
    noise_names: tuple[str, ...]


def state_equations(
    netlist: Netlist, *, noise: NoiseSources = NoiseSources.INJECTED, reduce_noise: bool = True
) -> StateEquations:
    """Equations dx = (F x + E u) dt + B dW, y = C x + D u + D_w xi of ``netlist``.

    Cost: one sparse LU of the nodes and branches, one solve a state and input (and noise source, or with more of those
    than states and outputs, one a state and output); with r dependent storage elements O((n + r)^3) more.

    Args:
        netlist: A linear circuit.
        noise: Which noise sources; a one-sided density S in A^2/Hz is a column with sqrt(S/2).
        reduce_noise: More noise sources than states and outputs become a square root of their joint density, with as
            many columns as states and outputs; False keeps a column a source, with its name.

    Raises:
        MisuseError: Floating nodes, loops of voltage sources and singular equations (by name); nonlinear elements; no
            storage element; a source with a waveform that is no input; white noise or an input whose derivative an
            output would contain too often.
        OutcomeError: CHECK_FAILED, when the result does not satisfy the circuit's equations to rounding.
    """
    flat = _linear(netlist)
    storage = _some_storage(flat)
    dependent = dependent_storage(flat)
    part = ResistivePart(flat, storage, storage.capacitor ^ dependent)
    number = {name: k for k, name in enumerate(flat.node_names[1:])}
    outputs = np.array([number[name] for name in flat.outputs], dtype=np.int64)
    currents = noise_currents(flat, noise)
    answers = _answers(part, outputs, currents, reduce_noise=reduce_noise)
    if answers is None:
        part = ResistivePart(flat, storage, storage.capacitor)
        drive, columns = drive_columns(part, flat.inputs), currents.columns(part.size, part.reference_ohm)
        random = square_root(columns) if reduce_noise and len(currents) > part.size else columns.toarray()
        circuit = whole_circuit(part, np.hstack([drive.matrix.toarray(), random]), outputs)
        return _reduced_equations(flat, storage, circuit, drive.values, currents, reduce_noise=reduce_noise)
    if dependent.any() or not storage.independent:
        circuit = from_answers(part, dependent, answers.sources, np.hstack([answers.inputs, answers.noise]))
        return _reduced_equations(flat, storage, circuit, answers.input_values, currents, reduce_noise=reduce_noise)
    return _direct_equations(flat, part, answers, currents, reduce_noise=reduce_noise)


def initial_state(netlist: Netlist) -> torch.Tensor:
    """The state at t = 0 alone, shape (n,), in the order of :func:`state_equations`.

    Cost: where every capacitor and inductor is a state, one sparse LU; else that of the equations.
    """
    flat = _linear(netlist)
    storage = _some_storage(flat)
    dependent = dependent_storage(flat)
    plain = not dependent.any() and storage.independent
    if plain and ResistivePart(flat, storage, storage.capacitor).factor() is not None:
        return torch.from_numpy(storage.initial.copy())
    return state_equations(netlist).initial_state


def _linear(netlist: Netlist) -> Netlist:
    """Cells expanded, switches as resistors; a source that moves has to be an input."""
    flat = linear_elements(netlist, moving=netlist.inputs)
    driven = set(flat.sources(flat.inputs))
    for table in flat.tables:
        for row, (name, wave) in enumerate(zip(table.names, table.waveforms, strict=False)):
            if wave is not None and (table.kind, row) not in driven:
                letter = table.kind.value.lower()
                raise MisuseError(
                    f"netlist {flat.title!r}: {letter}{name} has a waveform and is no input; name it among the inputs"
                )
    return flat


def _some_storage(flat: Netlist) -> Storage:
    storage = storage_elements(flat)
    if len(storage) == 0:
        raise MisuseError(
            f"netlist {flat.title!r} has no capacitor and no inductor: there is no state to simulate; ask for its "
            "operating point"
        )
    return storage


@dataclass(frozen=True, eq=False)
class _Answers:
    """Flows of the storage elements (s rows) and output voltages (p rows) to sources of one volt each."""

    sources: Floats
    inputs: Floats
    noise: Floats
    input_values: Floats


def _answers(part: ResistivePart, outputs: Ints, currents: NoiseCurrents, *, reduce_noise: bool) -> _Answers | None:
    """Solve the resistive part; None where it is singular."""
    factors = part.factor()
    if factors is None:
        return None
    drive = drive_columns(part, part.flat.inputs)
    right = sparse.csc_array(sparse.hstack([part.sources(), drive.matrix]))
    solution = factors.solve(right)
    part.check(solution, right)
    found = np.vstack([sparse_product(part.readout, solution), solution[outputs]])
    s = len(part.storage)
    noise = noise_answers(part, factors, outputs, currents, reduce_noise=reduce_noise)
    return _Answers(found[:, :s], found[:, s:], noise, drive.values)


def _direct_equations(
    flat: Netlist, part: ResistivePart, answers: _Answers, currents: NoiseCurrents, *, reduce_noise: bool
) -> StateEquations:
    """Every storage element is a state: D ds/dt = flow, divided by D."""
    storage, ohm = part.storage, part.reference_ohm
    s = len(storage)
    unit = np.where(storage.capacitor, 1.0, ohm)  # volts of the source that stands for one volt or one ampere
    flow_unit = np.where(storage.capacitor, ohm, 1.0)[:, None]
    F, E, by_source = (
        storage.rates(rows[:s] / flow_unit) for rows in (answers.sources * unit, answers.inputs, answers.noise)
    )
    B, D_w, names = _noise(by_source, answers.noise[s:], currents, reduce_noise=reduce_noise)
    m = len(answers.input_values)
    sde = LinearSDE(
        F, E, B, answers.sources[s:] * unit, D=answers.inputs[s:], D_w=D_w,
        state_names=storage.names, input_names=(*flat.inputs, CONSTANT_INPUT), output_names=flat.outputs,
    )  # fmt: skip
    return StateEquations(
        sde, torch.from_numpy(storage.initial.copy()), torch.from_numpy(answers.input_values),
        torch.eye(s, dtype=torch.float64), torch.zeros(s, m, dtype=torch.float64), storage.names, names,
    )  # fmt: skip


def _reduced_equations(
    flat: Netlist,
    storage: Storage,
    circuit: CircuitDescriptor,
    input_values: Floats,
    currents: NoiseCurrents,
    *,
    reduce_noise: bool,
) -> StateEquations:
    """Reduce the descriptor system and put the units back."""
    found, start = reduced_circuit(flat.title, circuit)
    if len(found.kept) == 0:
        raise MisuseError(
            f"netlist {flat.title!r}: every capacitor and inductor follows from the sources, there is no state to "
            "simulate; put a resistor in series with one of them"
        )
    m, tau0 = len(input_values), circuit.tau0_s
    unit = circuit.units[found.kept][:, None]
    feed, shares = _polynomials(circuit, found)
    derived = _derivatives(flat, feed, shares, m)
    G, blank = found.G * unit / tau0, np.zeros((len(found.kept), len(derived)))
    B, D_w, names = _noise(G[:, m:], feed[0][:, m:], currents, reduce_noise=reduce_noise)
    extra = [part[:, derived] for part in (feed[1], shares[1])] if derived else [feed[0][:, :0], blank]
    sde = LinearSDE(
        found.F * unit / unit.T / tau0, np.hstack([G[:, :m], blank]), B, circuit.C @ found.T / unit.T,
        D=np.hstack([feed[0][:, :m], extra[0]]), D_w=D_w,
        state_names=[circuit.names[k] for k in cast("list[int]", found.kept.tolist())],
        input_names=(*flat.inputs, CONSTANT_INPUT, *(f"d({flat.inputs[k]})/dt" for k in derived)),
        output_names=flat.outputs,
    )  # fmt: skip
    start = start * unit / circuit.units
    share = np.hstack([shares[0][:, :m], extra[1]])
    values = np.append(input_values, np.zeros(len(derived)))
    return StateEquations(
        sde, torch.from_numpy(start @ storage.initial), torch.from_numpy(values),
        torch.from_numpy(start), torch.from_numpy(share), storage.names, names,
    )  # fmt: skip


_ZERO = 1e-11
"""A coefficient of a derivative below this part of its terms is their rounding."""


def _polynomials(circuit: CircuitDescriptor, found: Reduced) -> tuple[list[Floats], list[Floats]]:
    """Coefficients of d^k u/dt^k in the outputs and in the named states, k = 0, 1 ... (at least two)."""
    feed: list[Floats] = []
    shares: list[Floats] = []
    blank = np.zeros_like(found.inputs[0])
    for k, part in enumerate((*found.inputs, blank)[: max(2, len(found.inputs))]):
        time = circuit.tau0_s**k
        value, terms = circuit.C @ part, np.abs(circuit.C) @ np.abs(part)
        direct = circuit.D if k == 0 else 0.0
        feed.append((np.where(np.abs(value) > _ZERO * terms, value, 0.0) + direct) * time)
        shares.append(part[found.kept] * circuit.units[found.kept][:, None] * time)
    return feed, shares


def _derivatives(flat: Netlist, feed: list[Floats], shares: list[Floats], m: int) -> list[int]:
    """Inputs whose first derivative is needed; MisuseError where a second or a derivative of noise would be."""
    inputs = slice(0, m - 1)  # the constant has none
    for k, name in enumerate(flat.outputs):
        if any(part[k, m:].any() for part in feed[1:]):
            raise MisuseError(
                f"netlist {flat.title!r}: the voltage of {name} contains the derivative of white noise; put a resistor "
                "in parallel or a capacitor to ground, or leave the noise out"
            )
    again = [part[:, inputs] for part in (*feed[2:], *shares[2:])]
    twice = np.flatnonzero(np.vstack(again).any(axis=0)) if again else np.zeros(0, dtype=np.int64)
    if len(twice):
        raise MisuseError(
            f"netlist {flat.title!r}: an output contains the second derivative of "
            f"{listed(flat.inputs[k] for k in twice)}; read another node"
        )
    return np.flatnonzero(np.vstack([feed[1][:, inputs], shares[1][:, inputs]]).any(axis=0)).tolist()


def _noise(
    B: Floats, D_w: Floats, currents: NoiseCurrents, *, reduce_noise: bool
) -> tuple[Floats, Floats, tuple[str, ...]]:
    """Columns by source, or where these are more than rows, their square root."""
    n, q = B.shape
    if not reduce_noise or (q <= n + len(D_w) and q == len(currents)):
        return B, D_w, currents.names
    root = square_root(np.vstack([B, D_w]))
    return root[:n], root[n:], ()
