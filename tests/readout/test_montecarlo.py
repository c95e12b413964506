"""Yield, spread and corners of a batch of dies."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from scipy.stats import binom

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.hardware import Corner
from tngd_hw.outcome import Outcome, Status
from tngd_hw.readout import MonteCarlo, Spread, at_corners, monte_carlo, wilson_interval, with_hardware
from tngd_hw.report import error_histogram
from tngd_hw.topologies import LoadedChip

A = np.array([[1.0, 0.2, 0.1], [0.05, 0.8, 0.3], [0.15, 0.1, 0.6]])
b = np.array([1.0, -0.5, 0.25])


def load(hardware: HardwareSpec, chips: int | None = 50, kappa: float = 0.0) -> LoadedChip:
    return program(manufacture("integrator", 3, hardware, seed=1, chips=chips), LinearProblem(A, b), kappa=kappa)


@pytest.mark.parametrize(
    ("passed", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_of_the_literature(passed: int, count: int, low: float, high: float) -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I, method 3."""
    assert wilson_interval(passed, count) == pytest.approx((low, high), abs=6e-5)


def test_wilson_intervals_cover() -> None:
    """Exact binomial coverage, mean over shares from 5 to 95 %: 95 +- 1 %, which an interval 5 % too short is not."""

    def covered(shrink: float) -> float:
        ends = np.array([wilson_interval(k, 60) for k in range(61)])
        middle, half = ends.mean(1), shrink * np.diff(ends, axis=1)[:, 0] / 2
        shares = np.linspace(0.05, 0.95, 91)
        inside = (shares >= (middle - half)[:, None]) & (shares <= (middle + half)[:, None])
        return float((binom.pmf(np.arange(61)[:, None], 60, shares) * inside).sum(0).mean())

    assert covered(1.0) == pytest.approx(0.95, abs=0.005)
    assert covered(0.95) < 0.944


def test_errors_against_a_loop_over_dies() -> None:
    loaded = load(HardwareSpec.from_dict({"name": "r", "resistors": {"tolerance_dtod": 0.05}}), 200)
    found, exact = monte_carlo(loaded), np.linalg.solve(A, b)
    tolerance = loaded.chip.deviations["resistors"]["tolerance"]
    drawn = {role.name: np.asarray(d.numpy(), dtype=np.float64) for role, d in tolerance.items()}
    errors: list[float] = []
    for array, given in zip(drawn["ARRAY"], drawn["INPUT"], strict=True):
        x = np.asarray(np.linalg.solve(A / (1 + array), b / (1 + given[:, 0])), dtype=np.float64)
        errors.append(float(np.linalg.norm(x - exact) / np.linalg.norm(exact)))
    np.testing.assert_allclose(found.error.numpy(), errors, rtol=1e-10)
    limit = float(np.quantile(errors, 0.3))
    assert found.within(limit).passed == sum(error <= limit for error in errors) == 60
    spread = Spread.of(found.error)
    assert spread.mean == pytest.approx(np.mean(errors))
    assert spread.std == pytest.approx(np.std(errors, ddof=1))
    quantiles = tuple(float(np.quantile(errors, level)) for level in (0.05, 0.5, 0.95))
    assert (spread.low, spread.median, spread.high) == pytest.approx(quantiles)


def test_failed_chips_are_not_within_any_tolerance() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [math.nan, math.nan], [1.1, 0.0]], dtype=torch.float64)
    statuses = (Status(), Status(Outcome.SATURATED, "too high"), Status(Outcome.UNSTABLE, "grows"), Status())
    found = MonteCarlo(torch.tensor([1.0, 0.0]).double(), x, torch.zeros_like(x), statuses)
    assert (found.within(0.0).passed, found.within(0.2).passed) == (1, 2)
    assert found.within(1e9).share == 0.5
    assert found.failures() == {Outcome.SATURATED: 1, Outcome.UNSTABLE: 1}
    assert Spread.of(found.error).mean == pytest.approx(0.05)
    assert "4 chips, 2 ok" in str(found)
    assert "1 saturated" in str(found)
    assert str(found.within(0.2)) == "yield 50.0 % (95 % interval 15.0 to 85.0 %): 2 of 4 chips within 0.2"
    document = found.to_dict()
    json.dumps(document, allow_nan=False)
    assert document["failures"] == {"saturated": 1, "unstable": 1}


def test_nothing_that_works() -> None:
    x = torch.full((2, 2), math.nan, dtype=torch.float64)
    found = MonteCarlo(torch.ones(2).double(), x, x, (Status(Outcome.UNSTABLE, "grows"),) * 2)
    assert found.within(1.0).share == 0.0
    assert found.to_dict()["error"]["mean"] is None
    error_histogram(found, tolerance=0.1)


def test_yield_of_a_gaussian_error() -> None:
    """One node, offset alone: x - x* = 2 v_os/v0 when g_in = G; 68.27 % of them are within 1 sigma."""
    spec = presets.pcb_1k_1n().only("amplifiers.offset")
    chip = manufacture("integrator", 1, spec, seed=4, chips=4000)
    loaded = program(chip, LinearProblem([[1.0]], [1.0]))
    sigma = 2 * 125e-6 / loaded.scales.voltage_volt
    found = monte_carlo(loaded, noise=False)
    share = found.within(sigma)
    assert abs(share.share - 0.682689) < 4 * math.sqrt(0.6827 * 0.3173 / 4000)
    assert float(found.error.square().mean().sqrt()) == pytest.approx(sigma, rel=4 / math.sqrt(8000))


def test_corners() -> None:
    """All conductances alike: the answer stays, the noise S_I/(4 C G) is 1.2/1.12 times as large at the slow corner."""
    loaded = load(presets.ideal(), 2, kappa=1e-3)
    found = at_corners(loaded)
    assert set(found) == set(Corner)
    for result in found.values():
        assert float(result.error.max()) < 1e-12
    typical, slow, fast = (found[c].noise.square() for c in (Corner.TYPICAL, Corner.SLOW, Corner.FAST))
    assert float(slow[0] / typical[0]) == pytest.approx(1.2 / 1.12, rel=1e-9)
    assert float(fast[0] / typical[0]) == pytest.approx(0.8 / 0.88, rel=1e-9)


def test_other_hardware_keeps_the_draws_and_the_scales() -> None:
    """Five times the offsets of the very same dies, and nothing else."""
    loaded = load(presets.pcb_1k_1n(), 6)
    other = with_hardware(loaded, loaded.chip.hardware.with_value("amplifiers.offset_volt_dtod", 625e-6))
    assert other.scales == loaded.scales
    for role, bank in loaded.elements.amplifiers.items():
        torch.testing.assert_close(
            other.elements.amplifiers[role].offset_volt, 5 * bank.offset_volt, rtol=1e-13, atol=0
        )
    for role, component in loaded.elements.components.items():
        assert torch.equal(other.elements.value(role), component.value)
    one = with_hardware(loaded.select(4), loaded.chip.hardware)
    for role, component in loaded.elements.components.items():
        assert torch.equal(
            one.elements.value(role), component.value[4] if component.value.ndim > 1 else component.value
        )


def test_the_same_hardware_is_the_same_chip() -> None:
    """Write errors too: those of the seed that it was programmed with."""
    chip = manufacture("integrator", 3, presets.rram_1t1r(), seed=1, chips=3)
    loaded = program(chip, LinearProblem(A, b), seed=5)
    again = with_hardware(loaded, loaded.chip.hardware)
    for role, component in loaded.elements.components.items():
        assert torch.equal(again.elements.value(role), component.value)
    other = program(chip, LinearProblem(A, b), seed=6)
    roles = loaded.topology.matrix_roles
    assert not any(torch.equal(other.elements.value(role), loaded.elements.value(role)) for role in roles)


def test_histogram() -> None:
    found = monte_carlo(load(presets.pcb_1k_1n(), 60, kappa=1e-6))
    axes = error_histogram(found, tolerance=0.003).axes[0]
    heights: list[float] = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
    assert sum(heights) == 60
    assert axes.get_title().startswith("yield ")
    assert "[1]" in axes.get_xlabel()


def test_misuse() -> None:
    with pytest.raises(MisuseError, match="chips = None"):
        monte_carlo(load(presets.ideal(), None))
    with pytest.raises(MisuseError, match="problem has no b"):
        monte_carlo(program(manufacture("integrator", 2, presets.ideal(), chips=2), LinearProblem(np.eye(2))))
    with pytest.raises(MisuseError, match="tolerance = -1"):
        monte_carlo(load(presets.ideal(), 2)).within(-1)
    with pytest.raises(MisuseError, match="level = 1"):
        wilson_interval(1, 2, level=1.0)
    with pytest.raises(MisuseError, match="passed = 3"):
        wilson_interval(3, 2)
    with pytest.raises(MisuseError, match="resistance = 1"):
        at_corners(load(presets.ideal(), 2), resistance=1.0)
