"""Short versions of the stability study: architecture fact 14's numbers, and ngspice on both sides of the limit."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, program
from tngd_hw.studies.stability.circuits import (
    Loop,
    default_mu_max,
    integrator_loop,
    random_jacobian,
    random_rotating,
    stability_limit,
    three_array_loop,
)
from tngd_hw.studies.stability.confirmed import Confirmation, confirm_least_damped_mode
from tngd_hw.studies.stability.figures import integrator_figure, loop_figure, save_both
from tngd_hw.studies.stability.map import (
    DAMPING,
    MarkedPoint,
    confirmed_integrator,
    confirmed_three_array,
    loop_map,
    unstable_fraction,
    unstable_spd_draws,
)

OUTPUTS = 16


def fact_14(nodes: int, gain_bandwidth_hz: float, mu_max: float, seed: int = 1) -> Loop:
    """R = 1 kOhm, C = 1 nF, m = 16, lambda = 0.1, ideal sign inverters."""
    return three_array_loop(
        random_jacobian(nodes, OUTPUTS, mu_max, seed), DAMPING, gain_bandwidth_hz, ideal_inverters=True
    )


def drift_by_hand(J: np.ndarray, gain_bandwidth_hz: float) -> np.ndarray:
    """tau F with tau = 1 us, inverters taken as perfect: states v_c, V, u, w, written down from Kirchhoff's law.

    Summing nodes: integrators T = sum|J_kj| + lambda + 1 (in 1/R), first stages sum|J_kj| + 1, second 1 + 1.
    """
    m, n = J.shape
    rate = 2 * np.pi * gain_bandwidth_hz * 1e-6
    T = np.diag(np.abs(J).sum(0) + DAMPING + 1)
    share = 1 / (np.abs(J).sum(1) + 1)
    zero = np.zeros
    leak = rate / 1e5
    return np.vstack(
        [
            np.hstack([-T, T - DAMPING * np.eye(n), zero((n, m)), -J.T]),
            np.hstack([rate * np.eye(n), -(rate + leak) * np.eye(n), zero((n, 2 * m))]),
            np.hstack([zero((m, n)), -rate * share[:, None] * J, -np.diag(rate * share + leak), zero((m, m))]),
            np.hstack([zero((m, 2 * n)), -rate / 2 * np.eye(m), -(rate / 2 + leak) * np.eye(m)]),
        ]
    )


@pytest.mark.parametrize("gain_bandwidth_hz", [1e6, 1e7, 1e8])
def test_closed_form_of_the_loop_by_hand(gain_bandwidth_hz: float) -> None:
    """Every eigenvalue by hand is one of the circuit's, whose inverters of 1e12 Hz add fast ones."""
    J = random_jacobian(12, 4, 9.0, 3)
    found = np.linalg.eigvals(three_array_loop(J, DAMPING, gain_bandwidth_hz, ideal_inverters=True).drift)
    for value in np.linalg.eigvals(drift_by_hand(J, gain_bandwidth_hz)):
        assert np.abs(found - value).min() < 2e-3 * abs(value)


def test_damping_of_fact_14() -> None:
    """N = 128, 10 MHz: 0.06 at mu_max = 17."""
    assert fact_14(128, 1e7, 17.0).stability()[0] == pytest.approx(0.06, abs=0.005)


@pytest.mark.parametrize(("nodes", "gain_bandwidth_hz", "limit"), [(128, 1e7, 26.0), (64, 1e6, 5.0)])
def test_limits_of_fact_14(nodes: int, gain_bandwidth_hz: float, limit: float) -> None:
    """Unstable from about 26 at 10 MHz (N = 128), from about 5 at 1 MHz (no N is given: 5.0 at 64, 4.6 at 128)."""
    found = stability_limit(partial(fact_14, nodes, gain_bandwidth_hz), 1.0, 100.0, relative=0.01)
    assert found == pytest.approx(limit, rel=0.06)


def test_many_nodes_of_fact_14() -> None:
    """N = 512, mu_max = 41: unstable at 10 MHz, damping 0.16 at 100 MHz."""
    assert fact_14(512, 1e7, 41.0).stability()[1] < 0
    assert fact_14(512, 1e8, 41.0).stability()[0] == pytest.approx(0.16, abs=0.01)


def test_real_inverters_cost_a_third_of_the_range() -> None:
    """Every sign inverter is one more pole in the loop: at N = 128 and 10 MHz the limit falls from 26 to below 18."""
    J = random_jacobian(128, OUTPUTS, 18.0, 1)
    assert three_array_loop(J, DAMPING, 1e7).stability()[1] < 0
    assert three_array_loop(J, DAMPING, 1e7, ideal_inverters=True).stability()[1] > 0


def amplifiers(gain_bandwidth_hz: float) -> HardwareSpec:
    numbers = {
        "open_loop_gain": 1e5, "gain_bandwidth_hz": gain_bandwidth_hz, "output_swing_volt": 1.0,
        "output_current_ampere": 1.0,
    }  # fmt: skip
    return HardwareSpec.from_dict({"name": "study", "amplifiers": numbers})


def test_own_scaling_of_the_topology_is_the_loop_at_its_default_mu_max() -> None:
    J = random_jacobian(10, 3, 1.0, 2)
    scaled = J / np.abs(J).max()
    assert np.linalg.norm(scaled, 2) ** 2 == pytest.approx(default_mu_max(J), rel=1e-12)
    problem = LinearProblem.from_factors(7.0 * scaled, np.ones((3, 1, 1)), 49 * DAMPING, np.ones(10))
    loaded = program(manufacture("three_array", 10, amplifiers(1e7), outputs=3), problem)
    loop = three_array_loop(scaled, DAMPING, 1e7)
    np.testing.assert_allclose(loaded.linear_sde().F.numpy() * 1e-6, loop.drift, rtol=1e-12, atol=1e-12)


def test_symmetric_positive_definite_matrices_are_never_unstable() -> None:
    unstable, drawn = unstable_spd_draws(16, (1.0, 10.0, 100.0), (1e5, 1e6, 1e7), draws=24)
    assert (unstable, drawn) == (0, 216)


def test_rotating_matrices_are_where_amplifiers_are_slow() -> None:
    found = unstable_fraction(16, (0.5, 20.0), (1e6, 1e9), draws=6)
    assert found.fraction.tolist() == [[0.0, pytest.approx(5 / 6)], [0.0, 0.0]]
    A = random_rotating(16, 20.0, DAMPING, 0)
    assert np.linalg.eigvalsh((A + A.T) / 2)[0] == pytest.approx(DAMPING, rel=1e-9)  # the ideal circuit decays


def test_limit_needs_both_sides() -> None:
    with pytest.raises(MisuseError, match="the limit is not between them"):
        stability_limit(partial(fact_14, 16, 1e7), 1.0, 2.0)


def check_both_sides(points: tuple[MarkedPoint, ...]) -> None:
    inside, outside = (point.confirmation for point in points)
    assert not inside.grew
    assert outside.grew
    for found in (inside, outside):
        assert found.measured.real == pytest.approx(found.predicted.real, rel=0.02)
        assert found.measured.imag == pytest.approx(found.predicted.imag, rel=1e-3)
        assert found.scatter < 0.01


@pytest.mark.ngspice
def test_ngspice_on_both_sides_of_the_three_array_limit() -> None:
    check_both_sides(confirmed_three_array(16, 4, (1e7,), seed=1))


@pytest.mark.ngspice
def test_ngspice_on_both_sides_of_the_integrator_limit() -> None:
    check_both_sides(confirmed_integrator(8, (5.0,), seed=1))


@pytest.mark.ngspice
def test_ngspice_would_see_amplifiers_five_per_cent_faster() -> None:
    loop, faster = (three_array_loop(random_jacobian(16, 4, 12.0, 1), DAMPING, gbw) for gbw in (1e7, 1.05e7))
    found, other = confirm_least_damped_mode(loop), confirm_least_damped_mode(faster)
    assert abs(found.measured.real / other.predicted.real - 1) > 0.1


def test_mode_that_does_not_oscillate_is_not_followed() -> None:
    with pytest.raises(MisuseError, match="no mode of this circuit oscillates"):
        confirm_least_damped_mode(integrator_loop(np.diag([1.0, 2.0]), 1e8))


def made_up(rate: float) -> Confirmation:
    time = np.linspace(0, 10, 200)
    volt = np.stack([np.exp(rate * time) * np.cos(4 * time), 0.1 * np.exp(rate * time)], axis=1)
    return Confirmation(complex(rate, 4), complex(rate, 4), 0.0, time, volt, np.array([1.0, 0.1]))


def test_figures_are_written_with_units(tmp_path: Path) -> None:
    marks = tuple(MarkedPoint(mu, 1e7, made_up(rate)) for mu, rate in ((9.0, -0.2), (20.0, 0.2)))
    loops = loop_map(6, 2, (1.0, 5.0, 30.0), (1e6, 1e7, 1e8), 1)
    assert loops.damping_ratio.shape == loops.margin.shape == (3, 3)
    figure = loop_figure(loops, marks)
    labels = [text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel())]
    assert {"amplifier GBW / MHz", r"time / $\tau$", "output 0 / V"} <= set(labels)
    save_both(figure, tmp_path / "loops")
    save_both(integrator_figure(unstable_fraction(3, (1.0, 2.0), (1e6, 1e7), 2), marks), tmp_path / "integrator")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "integrator.png", "integrator.svg", "loops.png", "loops.svg",
    ]  # fmt: skip


def test_stable_side_of_the_map_is_below_its_limit() -> None:
    loops = loop_map(16, 4, (0.5, 2.0, 8.0, 32.0, 128.0), (3e6, 3e7), 1)
    for margins, limit in zip(loops.margin, loops.limit_mu_max, strict=True):
        np.testing.assert_array_equal(margins > 0, loops.mu_max < limit)
    assert loops.limit_mu_max[1] > loops.limit_mu_max[0]
