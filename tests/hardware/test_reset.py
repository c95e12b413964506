"""The reset that loads x0: settling, charge and frozen noise by hand, on every circuit and in every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines import Engine, find_engine
from tngd_hw.engines.decks.transient import exact_transient
from tngd_hw.hardware import HardwareSpec, Reset, Role
from tngd_hw.netlist import Transient, with_reset_switches
from tngd_hw.topologies import LoadedChip

A = np.array([[2.0, 0.3, -0.2], [0.1, 1.5, 0.4], [-0.3, 0.2, 1.0]])
M = np.array([[2.0, -0.3, -0.2], [-0.3, 1.5, -0.1], [-0.2, -0.1, 1.0]])
CROSSED = np.array([[2.0, 0.3, -0.2], [0.3, 1.5, 0.1], [-0.2, 0.1, 1.0]])
X0 = [0.1, -0.2, 0.3]
KT = 1.380649e-23 * 300
MATRICES = {"integrator": A, "gm_c": A, "three_array": M, "passive_rc": CROSSED, "rlc_spu": M, "amc_inverse": A}
FULL = Reset(
    switch_ohm=100.0, hold_s=2e-7, charge_coulomb=1e-12, charge_coulomb_dtod=3e-13, noise_kelvin=300.0
)  # fmt: skip


def built(reset: Reset, topology: str, chips: int | None = None, hardware: HardwareSpec | None = None) -> LoadedChip:
    spec = (presets.pcb_1k_1n() if hardware is None else hardware).changed({"reset": reset})
    problem = LinearProblem(MATRICES[topology], [1.0, -0.5, 0.25])
    return program(manufacture(topology, 3, spec, seed=11, chips=chips), problem)


def moved(loaded: LoadedChip, seed: int = 0) -> np.ndarray:
    """Where the start is, less where it was wanted."""
    return (loaded.drive(x0=X0, seed=seed).initial_volt - loaded.planned_drive(x0=X0).initial_volt).numpy()


def farads(loaded: LoadedChip, role: Role) -> np.ndarray:
    return loaded.elements.components[role].dense(1).numpy()


@pytest.mark.parametrize(("topology", "role"), [("integrator", Role.INTEGRATION), ("gm_c", Role.NODE_CAPACITOR)])
def test_charge_moves_each_node_by_q_over_c(topology: str, role: Role) -> None:
    """With the sign of the charge, and the capacitor of that node on that die."""
    loaded = built(Reset(charge_coulomb=-2e-12), topology)
    C = farads(loaded, role)[:, 0]
    assert C.std() > 1e-12
    np.testing.assert_allclose(moved(loaded), -2e-12 / C, rtol=1e-12)
    drawn = built(Reset(charge_coulomb=-2e-12, charge_coulomb_dtod=1e-12), topology)
    own = drawn.chip.deviations["reset"]["charge"][Role.RESET].numpy()
    assert own.shape == (3, 2)
    np.testing.assert_allclose(moved(drawn), (-2e-12 + own[:, 0]) / C, rtol=1e-12)


def test_settling_of_the_hold() -> None:
    """e^(-hold/(R C)) of the wanted voltage is missing: 100 Ohm, 1 nF, 0.2 us: e^-2; without a hold nothing is."""
    loaded = built(Reset(switch_ohm=100.0, hold_s=2e-7), "gm_c")
    C, wanted = farads(loaded, Role.NODE_CAPACITOR)[:, 0], loaded.planned_drive(x0=X0).initial_volt.numpy()
    np.testing.assert_allclose(moved(loaded), -np.exp(-2e-7 / (100.0 * C)) * wanted, rtol=1e-10)
    assert not moved(built(Reset(switch_ohm=100.0), "gm_c")).any()


def test_settling_is_that_of_switches_in_a_netlist() -> None:
    """A netlist with the switches as elements, from rest without a drive, where the hold of 3 time constants ends.

    The free circuit, of 1 kOhm and less, moves by about R_on/R = 0.2 % of the start meanwhile.
    """
    hold, on = 3e-9, 1.0
    loaded = built(Reset(switch_ohm=on, hold_s=hold), "gm_c", hardware=presets.ideal())
    quiet = loaded.planned_drive(b=[0.0, 0.0, 0.0], x0=X0)
    held = with_reset_switches(loaded.netlist(quiet), hold_s=hold, on_ohm=on, off_ohm=1e12)
    found = exact_transient(held, Transient(2 * hold, hold / 50, hold / 50), np.array([hold])).voltage_volt[0]
    mine, wanted = loaded.drive(b=[0.0, 0.0, 0.0], x0=X0).initial_volt.numpy(), quiet.initial_volt.numpy()
    np.testing.assert_allclose(mine, (1 - np.exp(-3)) * wanted, rtol=1e-12)
    np.testing.assert_allclose(found, mine, rtol=0, atol=0.002 * np.abs(wanted).max())
    assert np.abs(found - wanted).max() > 0.04 * np.abs(wanted).max()


def test_two_rails_load_half_of_the_difference_each() -> None:
    loaded = built(replace_noise(FULL), "passive_rc")
    C, own = farads(loaded, Role.NODE_CAPACITOR), loaded.chip.deviations["reset"]["charge"][Role.RESET].numpy()
    assert C.shape == (3, 2)
    wanted = loaded.planned_drive(x0=X0).initial_volt.numpy()
    p, m = (sign * wanted / 2 * (1 - np.exp(-2e-9 / C[:, k])) + (1e-12 + own[:, k]) / C[:, k]
            for k, sign in ((0, 1), (1, -1)))  # fmt: skip
    np.testing.assert_allclose(loaded.drive(x0=X0).initial_volt, p - m, rtol=1e-12)


def replace_noise(reset: Reset) -> Reset:
    return reset.changed({"noise_kelvin": 0.0})


def test_coupled_capacitors_share_charge_by_their_maxwell_matrix() -> None:
    loaded = built(replace_noise(FULL), "rlc_spu")
    C = maxwell(loaded)
    assert (C - np.diag(np.diag(C)) < 0).sum() == 6
    own = loaded.chip.deviations["reset"]["charge"][Role.RESET].numpy()[:, 0]
    wanted = loaded.planned_drive(x0=X0).initial_volt.numpy()
    expected = wanted - expm(-2e-7 / 100.0 * np.linalg.inv(C)) @ wanted + np.linalg.solve(C, 1e-12 + own)
    np.testing.assert_allclose(loaded.drive(x0=X0).initial_volt, expected, rtol=1e-10)


def maxwell(loaded: LoadedChip) -> np.ndarray:
    """C_ii = ground + sum of couplings, C_ij = -coupling, one coupling at a time."""
    C = np.diag(farads(loaded, Role.NODE_CAPACITOR)[:, 0])
    pairs = loaded.elements.components[Role.COUPLING_CAPACITOR]
    for i, j, value in zip(pairs.row.numpy(), pairs.column.numpy(), pairs.value.numpy(), strict=True):
        C[[i, j], [i, j]] += value
        C[i, j] -= value
        C[j, i] -= value
    return C


@pytest.mark.parametrize("topology", ["gm_c", "rlc_spu", "passive_rc"])
def test_frozen_noise_is_kt_over_c(topology: str) -> None:
    """Covariance k_B T C^-1 over 20,000 starts: within 4 standard errors, and 5 % more on the diagonal is not."""
    count = 20_000
    loaded = built(Reset(noise_kelvin=300.0), topology)
    noise = loaded.drive(b=np.zeros((3, count)), seed=8).initial_volt.numpy()
    if topology == "passive_rc":
        expected = np.diag((KT / farads(loaded, Role.NODE_CAPACITOR)).sum(1))
    elif topology == "gm_c":
        expected = np.diag(KT / farads(loaded, Role.NODE_CAPACITOR)[:, 0])
        assert np.sqrt(expected[0, 0]) == pytest.approx(2.03e-6, rel=0.1)  # 1 nF: 2.0 uV
    else:
        expected = KT * np.linalg.inv(maxwell(loaded))
    found, d = noise @ noise.T / count, np.diag(expected)
    error = 4 * np.sqrt((np.outer(d, d) + expected**2) / count)
    assert (np.abs(found - expected) < error).all()
    assert (np.abs(1.05 * found - expected) > error)[np.diag_indices(3)].any()
    assert np.abs(noise.mean(1)).max() < 4 * np.sqrt(d.max() / count)


def test_nothing_to_load_without_capacitors() -> None:
    assert not moved(built(FULL, "amc_inverse")).any()
    assert built(FULL, "amc_inverse").drive(x0=X0).initial_volt.any()


@pytest.mark.parametrize("engine", ["behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)])
@pytest.mark.parametrize("topology", ["integrator", "passive_rc", "rlc_spu", "three_array"])
def test_every_engine_starts_there(engine: str, topology: str) -> None:
    """At t = 0 and along the path, against the other exact engine."""
    loaded = built(FULL, topology)
    runner: Engine = find_engine(engine)
    _, run = runner.run(runner.init(loaded), duration=2 * loaded.tau, x0=X0, seed=6)
    other = find_engine("state_space" if engine == "behavioral" else "behavioral")
    times = run.times_s.clamp(max=2 * loaded.tau)
    _, expected = other.run(other.init(loaded), duration=2 * loaded.tau, x0=X0, seed=6, times_s=times)
    start = loaded.drive(x0=X0, seed=6).initial_volt
    largest = float(expected.voltage_volt.abs().max())
    tolerance = 2e-4 if engine == "ngspice" else 1e-9
    np.testing.assert_allclose(run.voltage_volt, expected.voltage_volt, rtol=0, atol=tolerance * largest)
    first = run.voltage_volt[0] if float(run.times_s[0]) == 0 else expected.voltage_volt[0]
    if topology != "three_array":  # its outputs answer to the input at once
        np.testing.assert_allclose(first, start, rtol=0, atol=1e-3 * largest)
    assert float((start - loaded.planned_drive(x0=X0).initial_volt).abs().max()) > 1e-3 * largest


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
@pytest.mark.parametrize("topology", sorted(MATRICES))
@pytest.mark.parametrize("reset", [Reset(), FULL], ids=["plain", "reset"])
def test_a_die_alone_is_the_die_in_a_batch(engine: str, topology: str, reset: Reset) -> None:
    """As many chips as nodes; without a reset this holds the starts of the batch to each die's own netlist."""
    loaded, runner = built(reset, topology, chips=3), find_engine(engine)
    b, x0 = np.random.default_rng(2).normal(size=(2, 3, 2)) / 10
    _, together = runner.run(runner.init(loaded), duration=0.5 * loaded.tau, b=b, x0=x0, seed=5)
    scale = float(together.voltage_volt.abs().max())
    for k in range(3):
        die = loaded.select(k)
        _, alone = runner.run(runner.init(die), duration=0.5 * loaded.tau, b=b, x0=x0, seed=5)
        np.testing.assert_allclose(together.voltage_volt[k], alone.voltage_volt, rtol=0, atol=1e-12 * scale)


def test_draws_are_their_own() -> None:
    """Charges do not move with other parts; noise does not move with charges; every start has a noise of its own."""
    only = built(Reset(charge_coulomb_dtod=3e-13), "gm_c", chips=2)
    both = built(FULL, "gm_c", chips=4)
    one, two = (chip.chip.deviations["reset"]["charge"][Role.RESET] for chip in (only, both))
    assert torch.equal(one, two[:2])
    noise = [moved(built(reset, "gm_c"), seed=4) for reset in (Reset(noise_kelvin=300.0), replace_noise(FULL), FULL)]
    np.testing.assert_allclose(noise[0] + noise[1], noise[2], rtol=1e-9)
    loaded = built(Reset(noise_kelvin=300.0), "gm_c")
    assert not np.array_equal(moved(loaded, seed=4), moved(loaded, seed=5))
    resistors = [built(reset, "integrator").chip.deviations["resistors"]["tolerance"] for reset in (Reset(), FULL)]
    assert all(torch.equal(resistors[0][role], resistors[1][role]) for role in resistors[0])


def test_effects_one_by_one() -> None:
    spec = presets.ideal().changed({"reset": FULL})
    assert set(spec.effects()) >= {"reset.settling", "reset.charge", "reset.noise"}
    assert spec.only("reset.settling").reset == Reset(switch_ohm=100.0, hold_s=2e-7)
    assert spec.only("reset.charge").reset == Reset(charge_coulomb=1e-12, charge_coulomb_dtod=3e-13)
    assert spec.without("reset").reset == Reset()
    assert HardwareSpec.from_dict(spec.to_dict()) == spec
    assert HardwareSpec.from_dict({"name": "x", "reset": {"charge_coulomb": "-4 fC"}}).reset.charge_coulomb == -4e-15


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"switch_ohm": -1.0}, r"hardware\.reset\.switch_ohm = -1.0: .*greater than or equal to 0"),
        ({"hold_s": 0.0}, r"hardware\.reset\.hold_s = 0.0: .*greater than 0"),
        ({"noise_kelvin": -1.0}, r"hardware\.reset\.noise_kelvin = -1.0"),
        ({"charge_coulomb": float("nan")}, r"hardware\.reset\.charge_coulomb = nan"),
        ({"hold": 1e-6}, r"hardware\.reset\.hold = 1e-06: unknown key; did you mean 'hold_s'\?"),
    ],
)
def test_misuse(fields: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict({"name": "x", "reset": fields})
