"""Random circuits of every linear element, loops and cut-sets included, against textbook MNA at complex frequencies."""

from __future__ import annotations

from collections import Counter

import numpy as np
from circuit_cards import Textbook, circuit, response, transfer

from tngd_hw import MisuseError
from tngd_hw.netlist import NoiseSources, StateEquations, state_equations
from tngd_hw.units import BOLTZMANN_JOULE_PER_KELVIN

FREQUENCIES = (3e5 + 2e6j, 1e6 - 7e5j, 4e7j)
KINDS = ("singular", "float", "loop", "no capacitor", "no state", "second")
_RANGES = {"r": (2, 5), "c": (-10, -8), "l": (-5, -3)}


class Draw:
    """One random circuit: a tree of R, C, L and V, more R, C, L and I, controlled sources, a coupling."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.cards: list[str] = []
        self.nodes = ["0", *(f"n{k}" for k in range(self.rng.integers(2, 7)))]
        for k in range(1, len(self.nodes)):
            self._element("rclv", [0.45, 0.3, 0.15, 0.1], self.nodes[k], self.nodes[self.rng.integers(0, k)])
        for _ in range(self.rng.integers(1, 5)):
            self._element("rcli", [0.3, 0.4, 0.2, 0.1], *self._pair())
        self._add("i", *self._pair(), "1.0")
        for _ in range(self.rng.integers(0, 4)):
            self._controlled(str(self.rng.choice(list("egfh"))))
        inductors = [card.split()[0] for card in self.cards if card[0] == "l"]
        if len(inductors) > 1 and self.rng.random() < 0.6:
            self._add("k", *inductors[:2], str(self.rng.choice([0.5, -0.9, 1.0, -1.0])))

    @property
    def inputs(self) -> list[str]:
        return [card.split()[0][1:] for card in self.cards if card[0] in "vi"]

    def _add(self, letter: str, *words: str) -> None:
        self.cards.append(" ".join([f"{letter}{letter}{len(self.cards)}", *words]))

    def _element(self, letters: str, chances: list[float], a: str, b: str) -> None:
        letter = str(self.rng.choice(list(letters), p=chances))
        value = 10 ** self.rng.uniform(*_RANGES[letter]) if letter in _RANGES else 1.0
        self._add(letter, a, b, f"{value:.6g}")

    def _pair(self) -> tuple[str, str]:
        a, b = self.rng.choice(len(self.nodes), 2, replace=False)
        return self.nodes[a], self.nodes[b]

    def _controlled(self, letter: str) -> None:
        senses = [card.split()[0] for card in self.cards if card[0] == "v"]
        gain = {"e": 1.0, "g": 2e-3, "f": 1.0, "h": 500.0}[letter] * float(self.rng.choice([1, -2, 0.5, 30]))
        control = self._pair() if letter in "eg" else (str(self.rng.choice(senses)),) if senses else None
        if control is not None:
            self._add(letter, *self._pair(), *control, f"{gain:.6g}")


def condition(cards: list[str]) -> float:
    """Of the textbook's matrix, rows and columns scaled to one; the better of two frequencies."""
    found: list[float] = []
    for s in FREQUENCIES[:2]:
        M = Textbook(cards).matrix(s)
        M = M / np.maximum(np.abs(M).max(axis=1, keepdims=True), 1e-300)
        found.append(float(np.linalg.cond(M / np.maximum(np.abs(M).max(axis=0), 1e-300))))
    return min(found)


def outcome(drawn: Draw) -> tuple[StateEquations | None, str]:
    """The equations, or the kind of refusal."""
    try:
        return state_equations(circuit(drawn.cards, drawn.inputs, drawn.nodes[1:])), "solved"
    except MisuseError as error:
        return None, next((kind for kind in KINDS if kind in str(error)), str(error))


def test_responses_of_600_random_circuits() -> None:
    """What is refused as singular is singular; everything else has the textbook's response to 1e-9 of its largest."""
    seen: Counter[str] = Counter()
    for seed in range(600):
        drawn = Draw(seed)
        found, kind = outcome(drawn)
        seen[kind] += 1
        if found is None:
            assert kind not in ("singular", "float", "loop") or condition(drawn.cards) > 1e12, (seed, kind)
            continue
        seen["with fewer states"] += found.sde.n_states < len(found.storage_names)
        seen["with derivatives"] += len(found.sde.input_names) > len(drawn.inputs) + 1
        floor = [1.0 if name[0] == "v" else 100.0 for name in drawn.inputs]  # below: the rounding errors of a zero
        for s in FREQUENCIES:
            wanted = transfer(drawn.cards, drawn.inputs, drawn.nodes[1:], s)
            scale = np.maximum(np.abs(wanted).max(axis=0), floor)
            assert (np.abs(response(found, s) - wanted) / scale).max() < 1e-9, seed
    assert set(seen) <= {*KINDS, "solved", "with fewer states", "with derivatives"}, seen
    assert seen["solved"] > 450
    assert min(seen["with fewer states"], 4 * seen["with derivatives"], 20 * seen["singular"]) > 150, seen


def test_noise_of_100_random_circuits() -> None:
    """Density at every node: sum over the resistors of |transfer|^2 4 k T/R, by source and as a square root."""
    solved = 0
    for seed in range(1000, 1100):
        drawn = Draw(seed)
        nodes = drawn.nodes[1:]
        netlist = circuit(drawn.cards, [], nodes)
        try:
            found = state_equations(netlist, noise=NoiseSources.THERMAL, reduce_noise=False)
        except MisuseError:
            continue
        rooted = state_equations(netlist, noise=NoiseSources.THERMAL)
        resistors = [card.split() for card in drawn.cards if card[0] == "r"]
        assert found.noise_names == tuple(words[0] for words in resistors if words[1] != words[2])
        if not resistors:
            continue
        solved += 1
        psd = np.array([4 * BOLTZMANN_JOULE_PER_KELVIN * 300.15 / float(words[3]) for words in resistors])
        for s in FREQUENCIES:
            gain = transfer(drawn.cards, [f"R:{words[0][1:]}" for words in resistors], nodes, s)
            wanted = (gain * psd) @ gain.conj().T
            for equations in (found, rooted):
                noise = response(equations, s, noise=True)
                density = 2 * noise @ noise.conj().T  # one-sided
                assert np.abs(density - wanted).max() <= 1e-9 * np.abs(wanted).max(), seed
    assert solved > 60
