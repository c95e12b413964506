"""``ideal`` is the finite-time filter of the problem, whatever the parts are."""

from __future__ import annotations

import numpy as np
import pytest
from cases import spd_matrix
from relaxation import filtered

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines import find_engine


def test_by_hand() -> None:
    """A = diag(1, 4), b = (1, 2), t = tau/2: (1 - e^-0.5, 2 (1 - e^-2)/4)."""
    loaded = program(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.diag([1.0, 4.0]), [1.0, 2.0]))
    engine = find_engine("ideal")
    _, found = engine.run(engine.init(loaded), duration=0.5 * loaded.tau)
    expected = [0.3934693402873666, 0.5 * 0.8646647167633873]
    np.testing.assert_allclose(found.final_volt / loaded.scales.voltage_volt, expected, rtol=1e-13)


@pytest.mark.parametrize("hardware", ["ideal", "pcb_1k_1n"])
@pytest.mark.parametrize("time_tau", [1e-4, 0.3, 7.0, 300.0])
def test_filter_of_a_symmetric_matrix(hardware: str, time_tau: float) -> None:
    A = spd_matrix(12, seed=6, condition=100.0)
    b = np.random.default_rng(1).normal(size=12)
    loaded = program(manufacture("integrator", 12, getattr(presets, hardware)()), LinearProblem(A, b))
    engine = find_engine("ideal")
    _, found = engine.run(engine.init(loaded), duration=time_tau * loaded.tau, times_s=[time_tau * loaded.tau])
    expected = filtered(A, b, time_tau)
    np.testing.assert_allclose(
        found.final_volt / loaded.scales.voltage_volt, expected, rtol=0, atol=1e-11 * np.abs(expected).max()
    )


def test_start_decays() -> None:
    loaded = program(manufacture("integrator", 1, presets.ideal()), LinearProblem([[2.0]], [0.0]))
    engine = find_engine("ideal")
    _, found = engine.run(engine.init(loaded), x0=[3.0], duration=loaded.tau)
    assert float(found.final_volt) / loaded.scales.voltage_volt == pytest.approx(3 * np.exp(-2), rel=1e-12)
