"""1/f noise in runs: drawn at the start from its stationary law, by chip and right-hand side."""

from __future__ import annotations

import math

import pytest
import torch

import tngd_hw as tngd
from tngd_hw.engines import find_engine
from tngd_hw.engines.slow_noise import with_slow_noise
from tngd_hw.hardware import HardwareSpec
from tngd_hw.linear_sde import mean_at

AMPLIFIERS = {
    "open_loop_gain": 5e4, "gain_bandwidth_hz": 40e6, "output_swing_volt": 2.0, "output_current_ampere": 0.05,
    "voltage_noise_volt_per_rthz": 1e-6, "flicker_corner_hz": 100.0,
}  # fmt: skip


def loaded_chip(chips: int) -> tngd.LoadedChip:
    spec = HardwareSpec.from_dict({"name": "t", "amplifiers": AMPLIFIERS})
    chip = tngd.manufacture("integrator", 2, spec, chips=chips)
    return tngd.program(chip, tngd.LinearProblem([[1.0, 0.3], [0.0, 0.8]], [0.0, 0.0]))


def test_slow_noise_is_an_offset_of_its_own_in_every_run() -> None:
    """Without the white noise of the run: node 1 settles to e (sum of conductances at its summing node)/g_11, by hand.

    Var e = S f_0 ln 10 a decade, 6 decades; 2,000 dies give it to 3 %, and a 15 % error is seen.
    """
    loaded = loaded_chip(2000)
    one = loaded.select(0).linear_sde()  # all dies are alike
    start = with_slow_noise(loaded, one, torch.zeros(2000, one.n_states).double(), columns=None, seed=1)
    settled = mean_at(one, torch.tensor([40 * loaded.tau]), x0=start.T, u=torch.zeros(3, 2000).double())
    drawn = settled.reshape(2, 2000)[1]
    unit, own = 1e-3, 0.8e-3  # the largest entry of A has the smallest resistor, the input resistor too
    variance = 1e-12 * 100.0 * math.log(10) * 6 * ((own + unit) / own) ** 2
    found, allowed = float(drawn.var()) / variance, 4 * (2 / 2000) ** 0.5
    assert abs(found - 1) < allowed
    assert not abs(1.25 * found - 1) < allowed


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
def test_every_chip_and_column_draws_its_own(engine: str) -> None:
    """Chips and right-hand sides have their own streams; seeds too; 40 mHz noise stands still during a run."""

    def ends(chips: int, k: int | None = None, seed: int = 1) -> torch.Tensor:
        loaded, simulator = loaded_chip(chips), find_engine(engine)
        b = torch.zeros(2).double() if k is None else torch.zeros(2, k).double()
        times = [40 * loaded.tau]
        _, run = simulator.run(simulator.init(loaded), duration=times[0], b=b, seed=seed, times_s=times)
        assert run.status.ok
        assert run.noisy
        return run.final_volt

    few, many = ends(3), ends(7)
    torch.testing.assert_close(few, many[:3], rtol=1e-9, atol=0)
    if engine == "behavioral":
        columns = ends(3, k=4)
        assert columns.shape == (3, 2, 4)
        torch.testing.assert_close(columns[..., 0], few, rtol=1e-9, atol=1e-12)
        assert float((columns[..., 0] - columns[..., 1]).abs().min()) > 0
    assert float((few - ends(3, seed=2)).abs().min()) > 0


def test_without_flicker_nothing_is_drawn() -> None:
    spec = HardwareSpec.from_dict({"name": "t", "amplifiers": AMPLIFIERS | {"flicker_corner_hz": 0.0}})
    loaded = tngd.program(tngd.manufacture("integrator", 1, spec), tngd.LinearProblem([[1.0]], [0.0]))
    start = torch.ones(4).double()
    assert with_slow_noise(loaded, loaded.linear_sde(), start, columns=None, seed=0) is start
