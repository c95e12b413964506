"""Loops, cut-sets, coupled inductors and negative resistors against ngspice's transient of the very same cards."""

from __future__ import annotations

import pytest
from circuit_cards import assert_same_in_ngspice, circuit

from tngd_hw.netlist import state_equations

pytestmark = pytest.mark.ngspice

CASES: dict[str, tuple[list[str], list[str], float]] = {
    "floating capacitor": (["iin 0 a 1e-3", "r1 a 0 1e3", "r2 b 0 4e3", "c a b 1e-9 ic=-0.2"], ["a", "b"], 2e-5),
    "series capacitors": (["vin t 0 2", "r t a 1e3", "c1 a b 1e-9 ic=0.3", "c2 b 0 2e-9 ic=0.5"], ["a", "b"], 5e-6),
    "capacitor triangle": (
        ["iin 0 a 1e-3", "r1 a 0 1e3", "r2 b 0 5e3", "c1 a 0 1e-9 ic=1", "c2 b 0 2e-9 ic=0.5", "c3 a b 5e-9 ic=0.5"],
        ["a", "b"], 5e-5,
    ),
    "triangle that disagrees": (
        ["iin 0 a 1e-3", "r1 a 0 1e3", "r2 b 0 5e3", "c1 a 0 1e-9 ic=1", "c2 b 0 2e-9 ic=0.5", "c3 a b 5e-9 ic=0"],
        ["a", "b"], 5e-5,
    ),
    "capacitor beside a source": (["vin a 0 2", "cp a 0 1e-9 ic=2", "r a b 1e3", "c b 0 2e-9 ic=-0.5"], ["b"], 1e-5),
    "capacitive divider": (["vin a 0 2", "c1 a b 1e-9 ic=0.3", "r b 0 1e3", "c2 b 0 2e-9 ic=0.5"], ["b"], 1e-5),
    "inductor cut-set": (
        ["iin 0 a 1e-2", "l1 a 0 1e-3 ic=0.004", "l2 a b 2e-3 ic=0.006", "r b 0 1e3", "c b 0 1e-9 ic=1"], ["b"], 1e-5,
    ),
    "virtual ground": (
        ["vin t 0 1", "r t s 1e3", "cs s 0 1e-9", "ci s o 1e-9 ic=0.5", "ea o 0 0 s 1e4", "rf o s 2e3"], ["o"], 1e-5,
    ),
    "exact virtual ground": (
        ["vin t 0 1", "r t s 1e3", "rf o s 3e3", "cs s 0 1e-9", "vs s 0 0", "f 0 h vs -1", "ch h 0 2e-9 ic=0.5",
         "e o 0 h 0 -1"],
        ["o"], 2e-5,
    ),
    "transformer": (
        ["vin t 0 1", "rs t a 50", "l1 a 0 1e-3", "l2 b 0 4e-3", "k l1 l2 0.99", "rl b 0 1e3"], ["a", "b"], 1e-4,
    ),
    "inductor beside a source": (["vin t 0 1", "l t 0 1e-3 ic=0.01", "r t a 1e3", "c a 0 1e-9"], ["a"], 5e-6),
    "gyrator": (
        ["iin 0 a 1e-3", "g1 a 0 b 0 1e-3", "g2 0 b a 0 4e-3", "c b 0 1e-9 ic=0.1", "r a 0 2e3"], ["a", "b"], 1e-6,
    ),
    "negative resistor": (["rn a 0 -2e3", "r a b 1e3", "c a 0 1e-9 ic=1", "c2 b 0 3e-9 ic=-0.2"], ["a", "b"], 5e-6),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_same_transient(name: str) -> None:
    cards, outputs, stop_s = CASES[name]
    assert_same_in_ngspice(cards, outputs, state_equations(circuit(cards, [], outputs)), stop_s, tolerance=2e-5)
