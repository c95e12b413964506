"""The fitted error law: recovery, coverage of its error bars, floors that are not resolved, the figure."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.optimize import curve_fit

from tngd_hw import MisuseError
from tngd_hw.readout import fit_error_law, plot_error_law

N = np.array([1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5])


def law(floor: float, c: float) -> np.ndarray:
    return np.sqrt(floor**2 + c / N)


def test_exact_points_give_their_own_law() -> None:
    fit = fit_error_law(N, law(0.0063, 8.4))
    assert (fit.floor, fit.c) == (pytest.approx(0.0063, rel=1e-9), pytest.approx(8.4, rel=1e-9))
    assert fit.floor_resolved
    assert fit.knee == pytest.approx(8.4 / 0.0063**2, rel=1e-8)
    assert fit.bits == pytest.approx(-math.log2(0.0063), rel=1e-8)
    np.testing.assert_allclose(fit.error([100.0]), law(0.0063, 8.4)[:1], rtol=1e-9)
    assert "floor 0.0063" in str(fit)
    assert "7.3 bits" in str(fit)


def test_against_scipy() -> None:
    """The same minimum as curve_fit of e^2, in other variables, with the weights of the given standard errors."""
    generator = np.random.default_rng(0)
    stderr = 0.03 * law(0.02, 5.0)
    error = law(0.02, 5.0) + stderr * generator.normal(size=N.size)
    fit = fit_error_law(N, error, stderr)
    sigma = 2.0 * fit.error(N) * stderr
    best, covariance = curve_fit(
        lambda count, floor, c: floor**2 + c / count, N, error**2, p0=(0.03, 3.0), sigma=sigma, absolute_sigma=True
    )
    np.testing.assert_allclose((fit.floor, fit.c), best, rtol=1e-4)
    np.testing.assert_allclose((fit.floor_stderr, fit.c_stderr), np.sqrt(np.diag(covariance)), rtol=1e-4)


@pytest.mark.parametrize("given", [False, True])
def test_coverage_of_the_fit(given: bool) -> None:
    """Points that scatter by 5 %: floor and c within one error bar in 68 % (normal) or 64.4 % (Student, 6 degrees).

    2,000 fits, standard error 1.1 %: within 5 % of it, and error bars twice as long (or half) are not.
    """
    generator = np.random.default_rng(1)
    ratios = []
    for _ in range(2000):
        error = law(0.02, 5.0) * (1.0 + 0.05 * generator.normal(size=N.size))
        fit = fit_error_law(N, error, 0.05 * law(0.02, 5.0) if given else None)
        ratios.append(((fit.floor - 0.02) / fit.floor_stderr, (fit.c - 5.0) / fit.c_stderr))
    share = (np.abs(ratios) < 1.0).mean(0)
    expected = 0.683 if given else 0.644
    np.testing.assert_allclose(share, expected, atol=0.05)
    assert (np.abs((np.abs(ratios) < 0.5).mean(0) - expected) > 0.05).all()


def test_a_floor_below_the_sampling_error_is_not_resolved() -> None:
    """No floor in the data: said in 95 % of 500 fits, and its upper bound is above zero; a floor of 0.02 is found."""
    generator = np.random.default_rng(2)
    resolved, found = 0, 0
    for _ in range(500):
        scatter = 1.0 + 0.05 * generator.normal(size=N.size)
        none, some = fit_error_law(N, law(0.0, 5.0) * scatter), fit_error_law(N, law(0.02, 5.0) * scatter)
        resolved += none.floor_resolved
        found += some.floor_resolved
        assert none.floor_upper > 0.0
        assert none.floor_resolved or "not resolved" in str(none)
    assert resolved / 500 < 0.05 + 4.0 * math.sqrt(0.05 * 0.95 / 500)
    assert found == 500
    falling = fit_error_law(N, law(0.0, 5.0) * (N / 100.0) ** -0.02)
    assert (falling.floor, falling.floor_resolved, falling.knee) == (0.0, False, math.inf)
    assert falling.floor_stderr == math.inf
    assert falling.bits == pytest.approx(-math.log2(falling.floor_upper))


def test_figure() -> None:
    figure, axes = plt.subplots()
    for floor in (0.02, 0.0):
        axes.clear()
        fit = fit_error_law(N, law(floor, 5.0) * (1.0 + 0.03 * np.random.default_rng(3).normal(size=N.size)))
        assert plot_error_law(axes, N, law(floor, 5.0), fit, stderr=0.05 * law(floor, 5.0)) is axes
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert axes.get_xlabel() == "number of samples N"
        assert axes.get_ylabel() == "relative error [1]"
        labels = axes.get_legend_handles_labels()[1]
        assert any(("bits" if floor else "floor below") in label for label in labels)
    plt.close(figure)


def test_misuse() -> None:
    with pytest.raises(MisuseError, match="count has 2 points: a floor and a slope need 3"):
        fit_error_law(N[:2], law(0.1, 1.0)[:2])
    assert fit_error_law(N[:2], law(0.1, 1.0)[:2], [0.01, 0.01]).floor == pytest.approx(0.1)
    with pytest.raises(MisuseError, match="at 2 different N"):
        fit_error_law([10.0] * 4, [1.0] * 4)
    with pytest.raises(MisuseError, match=r"error has shape \(7,\) and count \(8,\)"):
        fit_error_law(N, law(0.1, 1.0)[:7])
    for bad in (-1.0, 0.0, math.nan):
        with pytest.raises(MisuseError, match=r"error\[7\] = .*: give positive numbers"):
            fit_error_law(N, np.append(law(0.1, 1.0)[:7], bad))
