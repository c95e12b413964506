"""Circuits written as SPICE cards in tests, and two oracles for them: textbook MNA at one frequency, and ngspice.

``transfer`` stamps the cards one by one into a dense matrix and solves it; it shares nothing with the package.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import expm

from tngd_hw.engines import find_ngspice, ngspice_version
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.netlist import Kind, Netlist, NetlistBuilder, StateEquations

__all__ = ["Textbook", "assert_same_in_ngspice", "circuit", "response", "trajectory", "transfer"]

Complexes = npt.NDArray[np.complex128]
Floats = npt.NDArray[np.float64]


def circuit(cards: Sequence[str], inputs: Sequence[str], outputs: Sequence[str], title: str = "cards") -> Netlist:
    """The netlist of cards such as ``"vin a 0 2"``, ``"c1 a b 1e-9 ic=0.3"``, ``"f1 a 0 vin 2"``, ``"k1 l1 l2 .9"``."""
    build = NetlistBuilder(title)
    for card in cards:
        words = card.split()
        kind = Kind(words[0][0].upper())
        ports = [0 if name == "0" else int(build.nodes([name])[0]) for name in words[1 : 1 + kind.terminals]]
        rest = words[1 + kind.terminals :]
        options: dict[str, object] = {}
        if kind is Kind.COUPLING:
            options = {"controls": [rest.pop(0)[1:]], "partners": [rest.pop(0)[1:]]}
        elif kind.is_current_controlled:
            options = {"controls": [rest.pop(0)[1:]]}
        elif kind.stores_energy and len(rest) > 1:
            options = {"initial": [float(rest[1].removeprefix("ic="))]}
        build.add(kind, [words[0][1:] or words[0]], np.array([ports], dtype=np.int64), [float(rest[0])], **options)  # type: ignore[arg-type] - initial by name
    return build.netlist(inputs=list(inputs), outputs=list(outputs))


def transfer(cards: Sequence[str], inputs: Sequence[str], outputs: Sequence[str], s: complex) -> Complexes:
    """Node voltages for unit inputs at the complex frequency s, shape (outputs, inputs); other sources are off.

    An input may also be ``"R:name"``: a unit current beside that resistor, from its first node to its second.
    """
    book = Textbook(cards)
    M, rhs = book.matrix(s), np.stack([book.source(name) for name in inputs], 1)
    return np.linalg.solve(M, rhs)[[book.node[name] for name in outputs]]


class Textbook:
    """Modified nodal analysis as in the textbooks: node voltages, then the currents of V, E, H and L."""

    def __init__(self, cards: Sequence[str]) -> None:
        self.rows = [card.split() for card in cards]
        self.node: dict[str, int] = {}
        for words in self.rows:
            for name in words[1 : 1 + Kind(words[0][0].upper()).terminals]:
                if name != "0":
                    self.node.setdefault(name, len(self.node))
        branches = [words[0] for words in self.rows if words[0][0] in "vehl"]
        self.branch = {name: len(self.node) + k for k, name in enumerate(branches)}
        self.size = len(self.node) + len(branches)
        self.node["0"] = self.size  # ground: a last row and column, cut off at the end

    def matrix(self, s: complex) -> Complexes:
        M = np.zeros((self.size + 1, self.size + 1), dtype=np.complex128)
        for words in self.rows:
            if words[0][0] in "rcg":
                self._admittance(M, words, s)
            elif words[0][0] == "f":
                self._current(M, words, self.branch[words[3]], float(words[4]))
            elif words[0][0] == "k":
                first, second = (next(row for row in self.rows if row[0] == name) for name in words[1:3])
                mutual = float(words[3]) * np.sqrt(float(first[3]) * float(second[3]))
                M[self.branch[first[0]], self.branch[second[0]]] -= s * mutual
                M[self.branch[second[0]], self.branch[first[0]]] -= s * mutual
            elif words[0][0] != "i":
                self._branch(M, words, s)
        return M[:-1, :-1]

    def source(self, name: str) -> Complexes:
        rhs = np.zeros(self.size + 1, dtype=np.complex128)
        for words in self.rows:
            if words[0] == f"v{name}":
                rhs[self.branch[words[0]]] = 1
            if words[0] == f"i{name}" or (words[0][0] == "r" and name == f"R:{words[0][1:]}"):
                rhs[self.node[words[1]]] -= 1
                rhs[self.node[words[2]]] += 1
        return rhs[:-1]

    def _admittance(self, M: Complexes, words: list[str], s: complex) -> None:
        a, b = (self.node[name] for name in words[1:3])
        c, d = (self.node[name] for name in words[3:5]) if words[0][0] == "g" else (a, b)
        y = {"r": lambda: 1 / float(words[3]), "c": lambda: s * float(words[3]), "g": lambda: float(words[5])}[
            words[0][0]
        ]()
        for row, column, sign in ((a, c, 1), (b, d, 1), (a, d, -1), (b, c, -1)):
            M[row, column] += sign * y

    def _current(self, M: Complexes, words: list[str], branch: int, gain: float) -> None:
        M[self.node[words[1]], branch] += gain
        M[self.node[words[2]], branch] -= gain

    def _branch(self, M: Complexes, words: list[str], s: complex) -> None:
        k = self.branch[words[0]]
        self._current(M, words, k, 1.0)
        M[k, self.node[words[1]]] += 1
        M[k, self.node[words[2]]] -= 1
        if words[0][0] == "e":
            M[k, self.node[words[3]]] -= float(words[5])
            M[k, self.node[words[4]]] += float(words[5])
        elif words[0][0] == "h":
            M[k, self.branch[words[3]]] -= float(words[4])
        elif words[0][0] == "l":
            M[k, k] -= s * float(words[3])


def response(equations: StateEquations, s: complex, *, noise: bool = False) -> Complexes:
    """C (s - F)^-1 E + D of the equations, d(in)/dt inputs counted as s in; or the same with the noise columns."""
    sde = equations.sde
    F, C = sde.F.numpy(), sde.C.numpy()
    source, direct = (sde.B, sde.D_w) if noise else (sde.E, sde.D)
    found = C @ np.linalg.solve(s * np.eye(len(F)) - F, source.numpy()) + direct.numpy()
    if noise:
        return found
    names = list(sde.input_names)
    for k, name in enumerate(names):
        if name.startswith("d("):
            found[:, names.index(name[2:-4])] += s * found[:, k]
    return found[:, : names.index("constant")]


def trajectory(equations: StateEquations, times: Floats) -> Floats:
    """Outputs under the netlist's own (constant) sources, shape (T, p), by expm."""
    sde, u = equations.sde, equations.input_values.numpy()
    n = sde.n_states
    joint = np.zeros((n + 1, n + 1))
    joint[:n, :n], joint[:n, n] = sde.F.numpy(), sde.E.numpy() @ u
    start = np.append(equations.initial_state.numpy(), 1.0)
    return np.array([sde.C.numpy() @ (expm(joint * t) @ start)[:n] + sde.D.numpy() @ u for t in times])


def assert_same_in_ngspice(
    cards: Sequence[str],
    outputs: Sequence[str],
    equations: StateEquations,
    stop_s: float,
    *,
    tolerance: float = 2e-5,
    steps: int = 3000,
) -> None:
    """ngspice's transient of the very cards against :func:`trajectory`, from 1 % of the run on."""
    path = find_ngspice()
    assert path is not None
    options = ".options method=trap reltol=1e-6 vntol=1e-9 abstol=1e-15 chgtol=1e-20"
    saved = " ".join(f"v({name})" for name in outputs)
    tran = f".tran {stop_s / 1e5!r} {stop_s!r} 0 {stop_s / steps!r} uic"
    deck = "\n".join(["* cards", *cards, options, f".save {saved}", tran, ".end", ""])
    run = run_deck(deck, ngspice_version(path), plot="Transient", stop_s=stop_s, timeout_s=60)
    assert run.plot is not None, run.status
    found = run.plot.values[run.plot.values[:, 0].real > stop_s / 100][::40]
    exact = trajectory(equations, found[:, 0].real)
    columns = [run.plot.names.index(f"v({name})") for name in outputs]
    scale = np.abs(exact).max()
    assert scale > 0.1, "an example in which nothing happens shows nothing"
    np.testing.assert_allclose(found[:, columns].real, exact, rtol=0, atol=tolerance * scale)
