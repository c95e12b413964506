"""Every imperfection of the parts acts alike in the closed form and in the netlist of every topology.

The oracle of the closed form is modified nodal analysis of the netlist, which knows nothing of it.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tngd_hw as tngd
from tngd_hw.hardware import HardwareSpec, Role
from tngd_hw.linear_sde import stationary_output_covariance, stationary_output_mean
from tngd_hw.netlist import state_equations
from tngd_hw.topologies import Drive, LoadedChip
from tngd_hw.topologies.flicker import flicker_poles

MIXED = torch.tensor([[2.0, -0.6, 0.3], [-0.6, 1.7, -0.4], [0.3, -0.4, 1.4]], dtype=torch.float64)
MASSES = torch.tensor([[2.0, -0.6, -0.3], [-0.6, 1.7, -0.4], [-0.3, -0.4, 1.4]], dtype=torch.float64)
B = torch.tensor([0.7, -0.4, 0.2], dtype=torch.float64)

AMPLIFIERS = {
    "open_loop_gain": 5e4,
    "gain_bandwidth_hz": 40e6,
    "offset_volt_dtod": 3e-4,
    "output_swing_volt": 2.0,
    "output_current_ampere": 0.05,
}
EFFECTS = {
    "spread amplifiers": {"amplifiers": AMPLIFIERS | {"gain_dtod": 0.2, "bandwidth_dtod": 0.1}},
    "bias": {"amplifiers": AMPLIFIERS | {"bias_ampere": 2e-7, "bias_ampere_dtod": 5e-8}},
    "input capacitance": {"amplifiers": AMPLIFIERS | {"input_farad": 7e-12}},
    "output resistance": {"amplifiers": AMPLIFIERS | {"input_farad": 7e-12, "output_ohm": 25.0}},
    "amplifier noise": {
        "amplifiers": AMPLIFIERS | {"voltage_noise_volt_per_rthz": 6e-9, "current_noise_ampere_per_rthz": 2e-12}
    },
    "thermal noise": {"noise": {"resistor_kelvin": 310.0, "transconductor_kelvin": 200.0}},
    "thermal noise of real amplifiers": {"amplifiers": AMPLIFIERS, "noise": {"resistor_kelvin": 310.0}},
    "everything noisy": {
        "amplifiers": AMPLIFIERS
        | {
            "input_farad": 7e-12,
            "output_ohm": 25.0,
            "voltage_noise_volt_per_rthz": 6e-9,
            "current_noise_ampere_per_rthz": 2e-12,
        },
        "noise": {"resistor_kelvin": 310.0, "loss_kelvin": 290.0},
    },
}
TOPOLOGIES = ("integrator", "three_array", "amc_inverse", "gm_c", "passive_rc", "rlc_spu")


def loaded_chip(topology: str, document: dict[str, object], kappa: float = 0.0) -> LoadedChip:
    spec = HardwareSpec.from_dict({"name": "test", "resistors": {"tolerance_dtod": 0.02}, **document})
    if topology == "amc_inverse" and spec.amplifiers is None:
        spec = HardwareSpec.from_dict({**spec.to_dict(), "amplifiers": AMPLIFIERS})
    matrix = MASSES if topology == "rlc_spu" else MIXED
    chip = tngd.manufacture(topology, 3, spec, seed=3)
    return tngd.program(chip, tngd.LinearProblem(matrix, None if topology == "rlc_spu" else B), seed=4, kappa=kappa)


def of_netlist(loaded: LoadedChip) -> tngd.LinearSDE:
    zero = torch.zeros(loaded.n, dtype=torch.float64)
    return state_equations(loaded.netlist(Drive(zero, zero)), noise=loaded.noise_sources).sde


def assert_same_law(loaded: LoadedChip, rtol: float = 1e-9) -> tuple[Tensor, Tensor]:
    """Eigenvalues, settled outputs for every input, and the stationary covariance; returns the last two."""
    closed, netlist = loaded.linear_sde(), of_netlist(loaded)
    modes = [torch.view_as_real(sde.eigenvalues().to(torch.complex128)) for sde in (closed, netlist)]
    ordered = [torch.sort(mode, 0)[0] for mode in modes]
    torch.testing.assert_close(ordered[0], ordered[1], rtol=1e-7, atol=1e-9 * float(ordered[1].abs().max()))
    inputs = torch.eye(loaded.n + 1, dtype=torch.float64)
    means = []
    for sde in (closed, netlist):
        more = torch.zeros(sde.n_inputs - len(inputs), inputs.shape[1], dtype=torch.float64)
        means.append(stationary_output_mean(sde, torch.cat([inputs, more]))[0])
    torch.testing.assert_close(means[0], means[1], rtol=rtol, atol=rtol * float(means[1].abs().max()))
    if not closed.B.shape[-1]:
        return means[1], torch.zeros(loaded.n, loaded.n, dtype=torch.float64)
    covariances = [stationary_output_covariance(sde)[0] for sde in (closed, netlist)]
    white = [(sde.D_w @ sde.D_w.mT) for sde in (closed, netlist)]  # what an output resistance lets straight through
    torch.testing.assert_close(white[0], white[1], rtol=rtol, atol=rtol * float(white[1].abs().max()))
    finite = [torch.where(white[1].abs() > 0, torch.zeros(()), covariance) for covariance in covariances]
    torch.testing.assert_close(finite[0], finite[1], rtol=rtol, atol=rtol * float(finite[1].abs().max()))
    return means[1], finite[1]


def covariance_of(loaded: LoadedChip) -> Tensor:
    return stationary_output_covariance(loaded.linear_sde())[0]


def _cases() -> list[tuple[str, str]]:
    """Every effect of amplifiers where there are some; thermal noise everywhere."""
    with_amplifiers = [(topology, effect) for topology in TOPOLOGIES[:3] for effect in EFFECTS]
    return with_amplifiers + [(topology, "thermal noise") for topology in TOPOLOGIES[3:]]


@pytest.mark.parametrize(("topology", "effect"), _cases())
def test_closed_form_and_netlist_agree(topology: str, effect: str) -> None:
    document = EFFECTS[effect]
    loaded = loaded_chip(topology, document)
    assert loaded.status.ok
    mean, covariance = assert_same_law(loaded)
    plain = {"amplifiers": AMPLIFIERS} if "amplifiers" in document else {}
    other_mean, other_covariance = assert_same_law(loaded_chip(topology, plain))
    changed = float((mean - other_mean).abs().max() / other_mean.abs().max().clamp_min(1e-300))
    heard = float((covariance - other_covariance).abs().max())
    assert changed > 1e-12 or heard > 0 or effect in ("input capacitance", "output resistance")


@pytest.mark.parametrize("topology", ["integrator", "three_array", "gm_c", "passive_rc", "rlc_spu"])
def test_injected_noise_of_finite_bandwidth(topology: str) -> None:
    """A pole far above the circuit's changes nothing; one in its midst takes variance away, alike in both."""
    white = assert_same_law(loaded_chip(topology, {}, kappa=1e-3))[1]
    wide = assert_same_law(loaded_chip(topology, {"generator": {"bandwidth_hz": 1e12}}, kappa=1e-3))[1]
    narrow = assert_same_law(loaded_chip(topology, {"generator": {"bandwidth_hz": 1e5}}, kappa=1e-3))[1]
    torch.testing.assert_close(wide, white, rtol=1e-4, atol=1e-5 * float(white.abs().max()))
    assert float(narrow.trace()) < 0.8 * float(white.trace())


def test_thermal_noise_of_a_passive_network_says_nothing_of_the_matrix() -> None:
    """kT/C at every node and no covariance, whatever the resistors are (Nyquist)."""
    loaded = loaded_chip("passive_rc", {"resistors": {"tolerance_dtod": 0.1}, "noise": {"resistor_kelvin": 300.0}})
    _, covariance = assert_same_law(loaded)
    expected = 2 * 1.380649e-23 * 300.0 / 1e-9 * torch.eye(3, dtype=torch.float64)  # a difference of two nodes
    torch.testing.assert_close(covariance, expected, rtol=1e-9, atol=1e-9 * float(expected.max()))


def test_thermal_noise_at_a_summing_node_is_the_row_sum_of_its_conductances() -> None:
    """One node, A = 1: S_I = 4 k T (g_a + g_in); the idle inverter is heard nowhere: var = S_I/(4 C g_a)."""
    spec = HardwareSpec.from_dict({"name": "one", "noise": {"resistor_kelvin": 300.0}})
    loaded = tngd.program(tngd.manufacture("integrator", 1, spec), tngd.LinearProblem([[1.0]], [0.5]))
    variance, _ = stationary_output_covariance(loaded.linear_sde())
    assert float(variance) == pytest.approx(1.380649e-23 * 300.0 * 2e-3 / (1e-9 * 1e-3), rel=1e-12)


def test_noise_of_one_inverting_stage() -> None:
    """An entry of -1 goes through the inverter, whose two resistors add 2 of 4 k T g at unit gain."""
    spec = HardwareSpec.from_dict({"name": "two", "noise": {"resistor_kelvin": 300.0}})
    A = torch.tensor([[1.0, -1.0], [0.0, 1.0]], dtype=torch.float64)
    loaded = tngd.program(tngd.manufacture("integrator", 2, spec), tngd.LinearProblem(A, [0.5, 0.5]))
    closed = loaded.linear_sde()
    density = (closed.B @ closed.B.mT).diagonal() * 2 * (1e-9) ** 2
    thermal = 4 * 1.380649e-23 * 300.0 * 1e-3
    torch.testing.assert_close(
        density / thermal, torch.tensor([3.0 + 2.0, 2.0], dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_lossy_inductors_and_switches_of_the_rlc_cells() -> None:
    """A hot node bath and losses at 300 K: losses shrink the variance below kT_eff/C, alike in both derivations."""
    cool = loaded_chip("rlc_spu", {"inductors": {"series_ohm": 2.0}, "noise": {"loss_kelvin": 300.0}}, kappa=1e-3)
    _, lossy = assert_same_law(cool)
    _, lossless = assert_same_law(loaded_chip("rlc_spu", {}, kappa=1e-3))
    assert float(lossy.trace()) < 0.95 * float(lossless.trace())


def test_hot_tank_resistors_follow_their_own_deviations() -> None:
    """With each resistor its own bath Cov = k T_eff C^-1 on every die; with a generator the die's R is in it."""
    document = {"resistors": {"tolerance_dtod": 0.05}}
    own = loaded_chip("rlc_spu", document | {"generator": {"bath": "resistor"}}, kappa=1e-3)
    fixed = loaded_chip("rlc_spu", document, kappa=1e-3)
    ideal = loaded_chip("rlc_spu", {"resistors": {}}, kappa=1e-3)
    exact = assert_same_law(ideal)[1]
    torch.testing.assert_close(assert_same_law(own)[1], exact, rtol=1e-9, atol=1e-12 * float(exact.max()))
    assert float((assert_same_law(fixed)[1] - exact).norm() / exact.norm()) > 0.01


def test_a_die_is_noisy_without_injected_noise() -> None:
    assert loaded_chip("integrator", EFFECTS["thermal noise"]).noisy
    assert loaded_chip("integrator", EFFECTS["amplifier noise"]).noisy
    assert not loaded_chip("integrator", EFFECTS["bias"]).noisy
    assert Role.NOISE not in loaded_chip("integrator", EFFECTS["thermal noise"]).elements.components


def test_flicker_noise_is_one_over_f() -> None:
    """The poles' densities add up to f_0/f within 11 % from f_0/10^4.5 to 3 f_0."""
    f = torch.logspace(-4.5, 0.45, 200, dtype=torch.float64)
    corner, gain = flicker_poles(torch.tensor(1.0, dtype=torch.float64))
    found = (gain**2 / (1 + (f[:, None] / corner) ** 2)).sum(-1)
    assert float((found * f - 1).abs().max()) < 0.11
    assert float((found * f - 1).square().mean().sqrt()) < 0.06


@pytest.mark.parametrize("topology", ["integrator", "amc_inverse", "three_array"])
def test_flicker_noise_of_amplifiers(topology: str) -> None:
    """Alike in closed form and netlist, and more than the white noise alone."""
    white = AMPLIFIERS | {"voltage_noise_volt_per_rthz": 6e-9}
    corner = white | {"flicker_corner_hz": 2e5}
    quiet = assert_same_law(loaded_chip(topology, {"amplifiers": white}))[1]
    loud = assert_same_law(loaded_chip(topology, {"amplifiers": corner}), rtol=1e-8)[1]
    assert float(loud.trace()) > 1.1 * float(quiet.trace())


def test_flicker_noise_reaches_an_answer_as_an_offset_does() -> None:
    """Slow noise e of an amplifier is heard through the gain of its offset, squared."""
    document = {"amplifiers": AMPLIFIERS | {"voltage_noise_volt_per_rthz": 6e-9, "flicker_corner_hz": 10.0}}
    loaded = loaded_chip("integrator", document)
    without = loaded_chip("integrator", {"amplifiers": AMPLIFIERS | {"voltage_noise_volt_per_rthz": 6e-9}})
    slow = (covariance_of(loaded) - covariance_of(without)).diagonal()
    sde = without.linear_sde()
    columns = sde.B[:, -6:] / (6e-9 / 2**0.5)  # dx/dt for 1 V at the input of each of the 6 amplifiers
    response = -sde.C @ torch.linalg.solve(sde.F, columns)
    expected = (response**2).sum(-1) * (6e-9) ** 2 * 10.0 * math.log(10) * 6  # a decade holds S f_0 ln 10
    torch.testing.assert_close(slow, expected, rtol=1e-3, atol=0)
