"""Descriptor systems of circuits whose storage elements are not all independent states.

Two forms, both in volts and in units of time tau0, with storage unknowns scaled to the square root of their energy:

* ``from_answers``: the resistive part solved sparsely; what is left is small.  With p_n the independent storage
  elements and j the unknown flows of the dependent ones,

      D ds/dt = [H_nn s_n + H_nj j + J_n u; j],      0 = -s_j + H_jn s_n + H_jj j + J_j u

* ``whole_circuit``: every node voltage and current kept, for circuits whose controlled sources leave the resistive part
  singular:   D ds/dt = flow(w),  0 = P s - M w + Q u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tngd_hw.netlist.index_reduction import Descriptor, Reduced, SingularPencilError, reduced
from tngd_hw.netlist.loops import listed
from tngd_hw.netlist.resistive import ResistivePart
from tngd_hw.netlist.storage import Storage
from tngd_hw.netlist.tables import Flags, Floats, Ints
from tngd_hw.outcome import MisuseError

__all__ = ["CircuitDescriptor", "from_answers", "reduced_circuit", "singular_circuit", "whole_circuit"]

_LARGEST_TO_EXPLAIN = 2500
"""Unknowns above which a singular circuit is not searched for names: an SVD of that size takes 20 s."""


@dataclass(frozen=True, eq=False)
class CircuitDescriptor:
    """A descriptor system with outputs y = C z + D u and the units of its unknowns.

    Attributes:
        system: In scaled units.
        C: Shape (p, N).
        D: Shape (p, m).
        names: N names of the unknowns: storage elements first.
        units: Shape (s,): a storage unknown in volt or ampere is this times the scaled one.
        tau0_s: Unit of time in seconds.
        n_storage: Number of storage elements, s.
    """

    system: Descriptor
    C: Floats
    D: Floats
    names: tuple[str, ...]
    units: Floats
    tau0_s: float
    n_storage: int

    def reduce(self) -> tuple[Reduced, Floats]:
        """Its ordinary differential equation, and the state at 0+ from the storage at 0-, shape (n, s), scaled."""
        m, s = self.system.B.shape[1], self.n_storage
        scale = np.abs(np.vstack([self.system.B, self.D])).max(axis=0, initial=0.0)
        scale[scale == 0] = 1.0
        columns = np.hstack([self.system.B / scale, self.system.E[:, :s]])
        system = self.system
        found = reduced(Descriptor(system.E, system.A, columns, system.eliminate_early))
        inputs = tuple(part[:, :m] * scale for part in found.inputs)
        return Reduced(found.kept, found.F, found.G[:, :m] * scale, found.T, inputs), found.G[:, m:]


def from_answers(part: ResistivePart, dependent: Flags, answers: Floats, drive: Floats) -> CircuitDescriptor:
    """The small system of a solved resistive part.

    Args:
        part: The resistive part.
        dependent: Shape (s,): which storage elements follow from the others.
        answers: Shape (s + p, s): flows (for dependent elements: their own quantity) and outputs of unit sources p.
        drive: Shape (s + p, m): the same of unit inputs and noise.
    """
    storage, s, loose = part.storage, len(part.storage), np.flatnonzero(dependent)
    r, n = len(loose), len(part.storage) + int(np.count_nonzero(dependent))
    scale, tau0_s = _scales(storage, part.reference_ohm)
    own = np.zeros((len(answers), n))  # answers to the unknowns [s; j]: a dependent element's source is its flow j
    own[:, :s] = answers * scale
    own[:, s:] = answers[:, loose]
    own[:, loose] = 0.0
    E, A, B = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, drive.shape[1]))
    E[:s, :s] = storage.normalized()
    A[:s], B[:s] = own[:s] * scale[:, None], drive[:s] * scale[:, None]
    A[loose], B[loose] = 0.0, 0.0
    A[loose, s + np.arange(r)] = scale[loose]
    A[s:], B[s:] = own[loose], drive[loose]
    A[s + np.arange(r), loose] -= scale[loose]
    size = np.abs(A[s:]).max(axis=1, initial=0.0, keepdims=True)
    A[s:], B[s:] = A[s:] / size, B[s:] / size
    priority = np.concatenate([1 + (~dependent).astype(np.int64), np.zeros(r, dtype=np.int64)])
    flows = tuple(f"{'i' if storage.capacitor[k] else 'v'}({storage.names[k]})" for k in loose)
    return CircuitDescriptor(
        Descriptor(E, A, B, priority),
        own[s:],
        drive[s:],
        (*storage.names, *flows),
        scale / np.where(storage.capacitor, 1.0, part.reference_ohm),
        tau0_s,
        s,
    )


def whole_circuit(part: ResistivePart, drive: Floats, outputs: Ints) -> CircuitDescriptor:
    """Every unknown kept; ``part`` has capacitors as voltage and inductors as current sources.

    Cost: dense, O((s + size)^3).
    """
    storage, s = part.storage, len(part.storage)
    n = s + part.size
    scale, tau0_s = _scales(storage, part.reference_ohm)
    E, A, C = np.zeros((n, n)), np.zeros((n, n)), np.zeros((len(outputs), n))
    E[:s, :s] = storage.normalized()
    A[:s, s:] = part.readout.toarray() * scale[:, None]
    A[s:, :s], A[s:, s:] = part.sources().toarray() * scale, -part.matrix.toarray()
    B = np.vstack([np.zeros((s, drive.shape[1])), drive])
    size = np.abs(A[s:]).max(axis=1, initial=0.0, keepdims=True)
    size[size == 0] = 1.0
    A[s:], B[s:] = A[s:] / size, B[s:] / size
    C[np.arange(len(outputs)), s + outputs] = 1.0
    priority = np.concatenate([np.ones(s, dtype=np.int64), np.zeros(part.size, dtype=np.int64)])
    D = np.zeros((len(outputs), drive.shape[1]))
    return CircuitDescriptor(
        Descriptor(E, A, B, priority),
        C,
        D,
        (*storage.names, *part.unknowns),
        scale / np.where(storage.capacitor, 1.0, part.reference_ohm),
        tau0_s,
        s,
    )


def singular_circuit(title: str, matrix: Floats, names: tuple[str, ...]) -> MisuseError:
    """The error for singular equations: it names the unknowns that nothing decides.

    Args:
        title: Of the netlist.
        matrix: s E - A at any s, or the matrix of the operating point; square.
        names: Of its columns.
    """
    where = ""
    if len(matrix) <= _LARGEST_TO_EXPLAIN:
        norms = np.abs(matrix).max(axis=0)
        column = np.abs(np.linalg.svd(matrix / np.where(norms == 0, 1.0, norms))[2][-1])
        where = listed(name for name, size in zip(names, column, strict=True) if size > 1e-6 * column.max())
        where = f" (nothing decides {where})"
    return MisuseError(
        f"netlist {title!r}: the equations are singular{where}; look for sources that contradict each other, or an "
        "amplifier without feedback"
    )


def reduced_circuit(title: str, circuit: CircuitDescriptor) -> tuple[Reduced, Floats]:
    """:meth:`CircuitDescriptor.reduce`; a singular pencil becomes a MisuseError with names."""
    try:
        return circuit.reduce()
    except SingularPencilError:
        system = circuit.system
        raise singular_circuit(title, 0.7390851 * system.E - system.A, circuit.names) from None


def _scales(storage: Storage, ohm: float) -> tuple[Floats, float]:
    """Volts of a unit storage unknown, shape (s,), and the unit of time."""
    seconds = np.where(storage.capacitor, storage.values * ohm, storage.values / ohm)
    tau0_s = float(np.exp(np.log(seconds).mean()))
    return np.sqrt(tau0_s / seconds), tau0_s
