"""Operating points by hand and by ngspice, without a state too."""

from __future__ import annotations

import numpy as np
import pytest
from circuit_cards import circuit

from tngd_hw.engines import find_ngspice, ngspice_version
from tngd_hw.engines.spice.process import run_deck
from tngd_hw.netlist import Kind, NetlistBuilder, operating_point

LADDER = [
    "vin t 0 10", "r1 t a 1e3", "l1 a b 1e-3", "r2 b 0 4e3", "c b 0 1e-9", "iin 0 b 1e-3", "e1 e 0 b a 3", "re e b 2e3",
    "vs e f 0", "f1 0 g vs 2", "rg g 0 500", "h1 h 0 vs -100", "rh h g 1e3", "g1 g 0 b 0 1e-3", "rf f 0 3e3",
]  # fmt: skip


def test_divider_and_its_currents() -> None:
    """10 V over 1 kohm, a short inductor, and 4 kohm: 2 mA out of the source's minus end, v = 8 V."""
    found = operating_point(circuit(["vin t 0 10", "r1 t a 1e3", "l a b 1e-3", "r2 b 0 4e3", "c b 0 1e-9"], [], []))
    assert found.voltage_volt == pytest.approx({"t": 10.0, "a": 8.0, "b": 8.0}, rel=1e-12)
    assert found.current_ampere == pytest.approx({"vin": -2e-3, "ll": 2e-3}, rel=1e-12)


def test_amplifier_with_feedback_and_cells() -> None:
    build = NetlistBuilder("inverter")
    top, out = build.nodes(["top", "out"])
    build.add(Kind.VOLTAGE_SOURCE, ["in"], [[top, 0]], [0.5])
    build.add_cells("inverter_ideal", ["a"], [[top, out]], rin=1e3, rf=3e3)
    assert operating_point(build.netlist(["in"], ["out"])).voltage_volt["out"] == pytest.approx(-1.5, rel=1e-12)


@pytest.mark.ngspice
def test_same_in_ngspice() -> None:
    """Every node and every current of all kinds, to 1e-9 of the largest."""
    path = find_ngspice()
    assert path is not None
    options = ".options reltol=1e-12 vntol=1e-15 abstol=1e-18 gmin=1e-30"
    run = run_deck("\n".join(["* op", *LADDER, options, ".op", ".end", ""]), ngspice_version(path),
                   plot="Operating Point", stop_s=0.0, timeout_s=60)  # fmt: skip
    assert run.plot is not None, run.status
    theirs = dict(zip(run.plot.names, run.plot.values[0].real, strict=True))
    found = operating_point(circuit(LADDER, [], []))
    for name, volt in found.voltage_volt.items():
        assert abs(theirs[f"v({name})"] - volt) < 1e-9 * 20
    for name, ampere in found.current_ampere.items():
        assert abs(theirs[f"i({name})"] - ampere) < 1e-9 * 1e-2
    assert np.abs(list(found.voltage_volt.values())).max() > 1
