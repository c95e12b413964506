"""What a noise path cannot carry is refused in one sentence; 1/f noise of amplifiers begins where a run's begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import spd_matrix

from tngd_hw import LinearProblem, MisuseError, manufacture, program
from tngd_hw.engines.noise.currents import chip_currents
from tngd_hw.engines.noise.path import NoisePath, draw_path
from tngd_hw.engines.noise.run import behavioral_on_path, path_deck, state_space_on_path
from tngd_hw.engines.noise.sources import OrnsteinUhlenbeck
from tngd_hw.engines.slow_noise import charged_with_slow_noise, with_slow_noise
from tngd_hw.hardware import HardwareSpec
from tngd_hw.netlist import Kind, NetlistBuilder, state_equations
from tngd_hw.topologies import LoadedChip

AMPLIFIERS: dict[str, object] = {
    "open_loop_gain": 2e3, "gain_bandwidth_hz": 3e6, "output_swing_volt": 10.0, "output_current_ampere": 0.1,
}  # fmt: skip
FLICKER: dict[str, object] = AMPLIFIERS | {"voltage_noise_volt_per_rthz": 1e-8, "flicker_corner_hz": 2e4}


def load(
    topology: str, amplifiers: dict[str, object] | None = None, *, kelvin: float = 0.0, kappa: float = 0.0
) -> LoadedChip:
    document: dict[str, object] = {"name": "test", "noise": {"resistor_kelvin": kelvin}}
    spec = HardwareSpec.from_dict(document if amplifiers is None else {**document, "amplifiers": amplifiers})
    problem = LinearProblem(spd_matrix(2, seed=6, condition=3.0), np.zeros(2))
    return program(manufacture(topology, 2, spec, seed=1), problem, kappa=kappa)


@pytest.mark.parametrize("topology", ["integrator", "amc_inverse"])
def test_slow_noise_begins_where_that_of_a_run_does(topology: str) -> None:
    """The charges of the netlist's capacitors are the states that the engine state_space draws."""
    loaded = load(topology, FLICKER)
    netlist = loaded.netlist()
    found = state_equations(charged_with_slow_noise(loaded, netlist, 4)).initial_state
    plain = state_equations(netlist)
    expected = with_slow_noise(loaded, plain.sde, plain.initial_state, columns=None, seed=4)
    assert int((expected != plain.initial_state).sum()) == 6 * netlist_amplifiers(loaded)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    other = state_equations(charged_with_slow_noise(loaded, netlist, 5)).initial_state
    assert not torch.allclose(found, other)


def netlist_amplifiers(loaded: LoadedChip) -> int:
    bank = loaded.elements.amplifier_bank()
    assert bank is not None
    return bank.offset_volt.shape[-1]


def test_slow_noise_has_the_variance_of_its_pole() -> None:
    """S_e g^2 pi f_d/2 with g^2 = (f_0/f_d)(2/pi) ln 10, so S_e f_0 ln 10: over 400 seeds; 10 % more is seen."""
    loaded = load("amc_inverse", FLICKER)
    netlist = loaded.netlist()
    drawn = list[float]()
    for seed in range(400):
        table = charged_with_slow_noise(loaded, netlist, seed).table(Kind.CAPACITOR)
        assert table is not None
        assert table.initial is not None
        drawn += [v for name, v in zip(table.names, table.initial.tolist(), strict=True) if "flicker" in name]
    ratio = float(np.mean(np.square(drawn))) / (1e-16 * 2e4 * np.log(10))
    error = (2 / len(drawn)) ** 0.5
    assert abs(ratio - 1) < 3.4 * error
    assert not abs(1.1 * ratio - 1) < 3.4 * error


def test_path_without_a_seed_begins_at_rest() -> None:
    loaded = load("amc_inverse", FLICKER)
    names = chip_currents(loaded).names
    still = np.zeros((5, len(names)))
    resting, begun = (state_space_on_path(loaded, NoisePath(1e-7, still, names, seed)) for seed in (None, 3))
    assert not resting.voltage_volt.any()
    assert float(begun.voltage_volt[-1].abs().min()) > 0


def test_deck_of_a_path_hears_thermal_noise_and_begins_as_the_run() -> None:
    """A source for every current of the path, and the charges of the seed; what ``tngd-hw compile`` writes."""
    loaded = load("amc_inverse", FLICKER, kelvin=300.0)
    path = draw_path(loaded, duration=loaded.tau, seed=3)
    lines = path_deck(loaded, path).deck.splitlines()
    assert sum(line.startswith("gdriven_noise") for line in lines) == len(path.names)
    starts = [float(line.split("ic=")[1]) for line in lines if "flicker" in line and "ic=" in line]
    assert len(starts) == 6 * netlist_amplifiers(loaded)
    assert all(starts)


def test_circuits_without_slow_noise_are_left_alone() -> None:
    loaded = load("integrator", kelvin=300.0)
    netlist = loaded.netlist()
    assert charged_with_slow_noise(loaded, netlist, 1) is netlist


def test_white_noise_at_an_output_itself_has_no_path() -> None:
    """Behind an output resistance without a capacitor; coloured noise has values at points."""
    loaded = load("amc_inverse", AMPLIFIERS | {"output_ohm": 50.0, "input_farad": 5e-12}, kelvin=300.0)
    with pytest.raises(MisuseError, match=r"amplifiers.output_ohm: .*set it to 0, or give color=OrnsteinUhlenbeck"):
        draw_path(loaded, duration=loaded.tau, seed=0)
    path = draw_path(loaded, duration=loaded.tau, seed=0, color=OrnsteinUhlenbeck(1e5))
    assert bool(state_space_on_path(loaded, path).voltage_volt.isfinite().all())


@pytest.mark.parametrize("noise", ["voltage_noise_volt_per_rthz", "current_noise_ampere_per_rthz"])
def test_closed_form_follows_no_path_of_amplifier_noise(noise: str) -> None:
    """Its columns are not in the order of the netlist's sources."""
    loaded = load("integrator", AMPLIFIERS | {noise: 1e-9}, kappa=1e-6)
    path = draw_path(loaded, duration=0.1 * loaded.tau, seed=0)
    with pytest.raises(MisuseError, match=r"amplifiers.\*_per_rthz: .*use state_space_on_path"):
        behavioral_on_path(loaded, path)


def test_noise_inside_a_cell_is_refused_by_name() -> None:
    """No topology writes such a netlist with thermal noise; a circuit of one's own may."""
    loaded = load("integrator", kelvin=300.0)
    build = NetlistBuilder("inverter as a cell")
    ports = build.nodes(["in", "out"])
    build.add_cells("inverter_ideal", ["inv0"], ports[None, :], rin=[1e3], rf=[1e3])
    build.add(Kind.RESISTOR, ["load"], np.array([[ports[1], 0]]), 1e3)
    with pytest.raises(MisuseError, match=r"^rinv0\.in: noise inside a cell .*use the engine state_space$"):
        chip_currents(loaded, build.netlist(inputs=[], outputs=["out"]))
