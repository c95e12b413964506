"""From a netlist to its equations in symbols, for circuits of two or three nodes.

The derivation is that of :mod:`tngd_hw.netlist.mna`, written a second time in exact arithmetic on rational functions:
independent capacitors are voltage sources and independent inductors current sources, the resistive rest is solved for
their flows, and storage elements that follow from the others add to the matrix of masses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tngd_hw.netlist.linear_elements import linear_elements
from tngd_hw.netlist.loops import dependent_storage, listed
from tngd_hw.netlist.netlist import Netlist
from tngd_hw.netlist.noise_columns import NoiseCurrents, NoiseSources, noise_currents
from tngd_hw.netlist.storage import storage_elements
from tngd_hw.netlist.symbolic_algebra import Expression, Matrix, diagonal, factored, matrix
from tngd_hw.netlist.symbolic_names import SymbolTable
from tngd_hw.netlist.symbolic_stamps import SymbolicPart
from tngd_hw.netlist.symbolic_system import SymbolicEquations
from tngd_hw.netlist.tables import Flags, Kind
from tngd_hw.outcome import MisuseError

__all__ = ["symbolic_equations"]

_LARGEST = 120
"""Elements beyond which exact elimination takes minutes."""


def symbolic_equations(
    netlist: Netlist, names: Mapping[str, str] | None = None, *, noise: NoiseSources = NoiseSources.INJECTED
) -> SymbolicEquations:
    r"""The equations of ``netlist``, every element a symbol.

    Args:
        netlist: A linear circuit of a few nodes.
        names: What elements are called: regular expressions of labels, and what they become, groups as ``\1``.  An
            element with its letter (``"ra_0_1"``, inside a cell ``"cint0.int"``) becomes an expression such as
            ``"1/G_01"``; elements that share symbols are tied and have to agree in their numbers.  ``"v(cint0.int)"``
            is the state of a capacitor, ``"i(lcoil)"`` of an inductor, ``"s(inoise0)"`` the density of a noise source,
            and an input is called by its source, ``"vin0"``.
        noise: Which noise sources.  Thermal densities are 4 k_B T/R.

    Raises:
        MisuseError: As for :func:`~tngd_hw.netlist.mna.state_equations`; more than 120 elements; coupled inductors;
            inputs or noise that would have to be differentiated; names that contradict the values.
    """
    flat = linear_elements(netlist, moving=frozenset(netlist.inputs))
    if flat.element_count > _LARGEST:
        raise MisuseError(
            f"netlist {flat.title!r} has {flat.element_count} elements, symbolic derivations take up to {_LARGEST}; "
            "derive an instance of two or three nodes, or ask for state_equations"
        )
    if flat.table(Kind.COUPLING) is not None:
        raise MisuseError(f"netlist {flat.title!r}: symbolic derivations do not cover coupled inductors (K)")
    storage, dependent = storage_elements(flat), dependent_storage(flat)
    symbols = SymbolTable(names or {})
    part = SymbolicPart(flat, storage, storage.capacitor ^ dependent, symbols)
    currents = noise_currents(flat, noise)
    densities = [_density(flat, currents, k, symbols) for k in range(len(currents))]
    worth = [symbols.value(name, float(value)) for name, value in zip(storage.names, storage.values, strict=True)]
    states = [
        symbols.variable(f"{'v' if capacitor else 'i'}({name})")
        for name, capacitor in zip(storage.names, storage.capacitor.tolist(), strict=True)
    ]
    derived = _derived(part, currents, worth, dependent)
    values = symbols.solved()
    final = values.final()
    mass, drift, drive, injection, reading, feedthrough = (factored(whole.subs(final)) for whole in derived)
    return SymbolicEquations(
        tuple(s for s, follows in zip(states, dependent.tolist(), strict=True) if not follows),
        tuple(u.subs(final) for u in part.inputs), tuple(S.subs(final) for S in densities),
        mass, drift, drive, injection, reading, feedthrough, flat.outputs,
        {final[s]: value for s, value in values.raw.items()},
    )  # fmt: skip


def _density(flat: Netlist, currents: NoiseCurrents, k: int, symbols: SymbolTable) -> Expression:
    """S_k: a symbol for an injected source, 4 k_B T/R with a symbol for k_B T for a resistor."""
    name, psd = currents.names[k], float(currents.psd[k])
    resistors = flat.table(Kind.RESISTOR)
    if not name.startswith("r") or resistors is None:
        return symbols.value(f"s({name})", psd)
    resistance = float(resistors.values[resistors.names.index(name[1:])])
    return 4 * symbols.value(f"t({name})", psd * resistance / 4) / symbols.value(name, resistance)


def _derived(
    part: SymbolicPart, currents: NoiseCurrents, worth: Sequence[Expression], dependent: Flags
) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix, Matrix]:
    """Mass, drift, drive, injection, reading and feedthrough; storage that follows from the rest is eliminated.

    The flow of an independent element is D ds/dt.  A dependent one has s_d = T s, a combination of the others, and acts
    on the circuit as the source of its flow D_d T ds/dt.
    """
    names, rows = part.storage.names, part.flow_rows()
    by_source, by_input, by_noise = part.answers(currents)
    K, L, N = rows * by_source, rows * by_input, rows * by_noise
    own, other = np.flatnonzero(~dependent).tolist(), np.flatnonzero(dependent).tolist()
    places = [part.flat.node_names.index(name) - 1 for name in part.flat.outputs]
    inputs, sources = range(L.shape[1]), range(N.shape[1])
    refused = [
        L.extract(other, inputs), N.extract(other, sources), K.extract(other, other),
        by_source.extract(places, other), by_noise.extract(places, sources),
    ]  # fmt: skip
    if any(entry != 0 for block in refused for entry in factored(block)):
        raise MisuseError(
            f"netlist {part.flat.title!r}: inputs or noise reach {listed(names[k] for k in other) or 'the outputs'} "
            "at once, past every state; the symbolic derivation does not cover that, state_equations does"
        )
    inertia = diagonal([worth[k] for k in own])
    if other:
        carried = diagonal([worth[k] for k in other]) * K.extract(other, own)
        inertia = matrix(inertia - K.extract(own, other) * carried)
    return (
        inertia, K.extract(own, own), L.extract(own, inputs), N.extract(own, sources), by_source.extract(places, own),
        by_input.extract(places, inputs),
    )  # fmt: skip
