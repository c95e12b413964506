"""1/f noise in the error budget: by hand for one node, and against noisy runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

import tngd_hw as tngd
from tngd_hw.engines import find_engine
from tngd_hw.engines.slow_noise import only_slow_noise
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linear_sde import output_covariance_at
from tngd_hw.readout import error_budget

DENSITY, CORNER_HZ = 1e-14, 1e5
"""One-sided density of the white noise, V^2/Hz, and where 1/f noise ends."""

UNIT, FARAD = 1e-3, 1e-9
"""The largest entry of A and the input, siemens; the integration capacitor of the default hardware."""


def hardware(**amplifiers: float) -> HardwareSpec:
    own = {
        "open_loop_gain": 1e8, "gain_bandwidth_hz": 1e11, "output_swing_volt": 2.0, "output_current_ampere": 0.05,
        "voltage_noise_volt_per_rthz": math.sqrt(DENSITY), "flicker_corner_hz": CORNER_HZ, **amplifiers,
    }  # fmt: skip
    return HardwareSpec.from_dict({"name": "t", "amplifiers": own, "adc": {"noise_volt_std": 1e-4}})


def single_node(spec: HardwareSpec) -> tngd.LoadedChip:
    return tngd.program(tngd.manufacture("integrator", 1, spec), tngd.LinearProblem([[0.8]], [0.7]))


def variance_by_hand(t: float) -> float:
    """Of the voltage of one integrator, 1/f noise alone, volt^2.

    The summing node follows the input noise e, so v = e + w with C dw/dt = -G w + g e and w(0) = 0: with a = G/C,
    c = g/C and e stationary of variance V and correlation V e^(-r |t - s|) for every pole,

        Var v/V = 1 + 2 c (1 - e^(-(a + r) t))/(a + r)
                    + 2 c^2/(a - r) [(1 - e^(-(a + r) t))/(a + r) - (1 - e^(-2 a t))/(2 a)].
    """
    a = c = UNIT / FARAD
    total = 0.0
    for d in range(6):
        r = 2 * math.pi * CORNER_HZ / 10 ** (d - 0.5)
        mixed, own = -math.expm1(-(a + r) * t) / (a + r), -math.expm1(-2 * a * t) / (2 * a)
        total += DENSITY * CORNER_HZ * math.log(10) * (1 + 2 * c * mixed + 2 * c * c / (a - r) * (mixed - own))
    return total


@pytest.mark.parametrize("tau", [0.3, 1.3, 5.0])
def test_one_node_by_hand(tau: float) -> None:
    """To the 1e-5 that a bandwidth of 100 GHz leaves; from rest the slow poles would be missing and 20 % with them."""
    loaded = single_node(hardware())
    budget = error_budget(loaded, tau * loaded.tau)
    found = float(budget.sampling_causes["1/f noise"]) * loaded.scales.voltage_volt**2
    assert found == pytest.approx(variance_by_hand(tau * loaded.tau), rel=1e-5)
    rest = float(output_covariance_at(only_slow_noise(loaded.linear_sde()), tau * loaded.tau))
    assert rest < 0.8 * found


def test_causes_add_up_and_white_noise_alone_is_unchanged() -> None:
    loaded = single_node(hardware())
    budget = error_budget(loaded, 2 * loaded.tau, window=loaded.tau)
    white = single_node(hardware(flicker_corner_hz=0.0))
    without = error_budget(white, 2 * white.tau, window=white.tau)
    parts = budget.sampling_by_cause
    assert list(parts) == ["white noise", "1/f noise", "ADC noise"]
    assert float(budget.sampling) == pytest.approx(math.sqrt(sum(float(part) ** 2 for part in parts.values())), 1e-12)
    assert float(parts["white noise"]) == pytest.approx(float(without.sampling_by_cause["white noise"]), rel=1e-6)
    assert float(without.sampling_by_cause["1/f noise"]) == 0
    assert float(parts["ADC noise"]) == pytest.approx(1e-4 / loaded.scales.voltage_volt / (0.7 / 0.8), rel=1e-9)


def test_against_runs() -> None:
    """20,000 runs, their ends and the means of a window: variances to 4 standard errors, 4 %; 5 % too much shows.

    Trapezoids of a sixth of tau stand for the mean: of the fast noise that they miss little is in it.
    """
    runs = 20_000
    spec = hardware(open_loop_gain=1e5, gain_bandwidth_hz=2e6, flicker_corner_hz=1e6)
    A, b = np.array([[1.0, 0.3], [-0.2, 0.5]]), np.array([0.7, -0.4])
    loaded = tngd.program(tngd.manufacture("integrator", 2, spec), tngd.LinearProblem(A, b))
    end, window, points = 3 * loaded.tau, 2 * loaded.tau, 13
    times = torch.linspace(end - window, end, points, dtype=torch.float64)
    engine, columns = find_engine("behavioral"), np.repeat(b[:, None], runs, axis=1)
    _, run = engine.run(engine.init(loaded), duration=end, b=columns, times_s=times, seed=3)
    x = loaded.unknowns(run.voltage_volt, -2).numpy()
    weights = np.array([0.5, *[1.0] * (points - 2), 0.5]) / (points - 1)
    for read, length in ((x[-1], 0.0), (np.tensordot(weights, x, 1), window)):
        causes = error_budget(loaded, end, window=length).sampling_causes
        slow, white = (causes[name][0].diagonal().numpy() for name in ("1/f noise", "white noise"))
        found, allowed = read.var(1) / (slow + white), 4 * math.sqrt(2 / runs)
        assert np.abs(found - 1).max() < allowed
        assert np.abs(1.05 * found - 1).max() > allowed
        assert (slow / (slow + white)).min() > 0.15  # without it the runs would disagree


def test_it_is_in_the_table_and_the_document() -> None:
    loaded = single_node(hardware())
    budget = error_budget(loaded, 2 * loaded.tau)
    assert "\n  1/f noise " in str(budget)
    document = budget.to_dict()["sampling_by_cause"]
    json.dumps(document, allow_nan=False)
    assert document["1/f noise"]["mean"] == pytest.approx(float(budget.sampling_by_cause["1/f noise"]))
    quiet = single_node(hardware(flicker_corner_hz=0.0))
    assert "1/f noise" not in str(error_budget(quiet, quiet.tau))
