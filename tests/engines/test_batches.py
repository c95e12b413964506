"""A batch of dies is so many single dies: without noise, with noise, one of them, and parts that are alike on all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cases import spd_matrix

import tngd_hw as tngd
from tngd_hw import HardwareSpec, LinearProblem, Trajectory, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.topologies import LoadedChip

A, b = spd_matrix(4, seed=2), np.array([1.0, -0.5, 0.25, 2.0])


def spec(**kept: float) -> HardwareSpec:
    """pcb_1k_1n where only the named parts vary."""
    document = presets.pcb_1k_1n().to_dict()
    document["resistors"]["tolerance_dtod"] = kept.get("resistors", 0.0)
    document["capacitors"]["tolerance_dtod"] = kept.get("capacitors", 0.0)
    document["amplifiers"]["offset_volt_dtod"] = kept.get("amplifiers", 0.0)
    return HardwareSpec.from_dict(document)


SPECS = {
    "ideal": presets.ideal(),
    "all": presets.pcb_1k_1n(),
    "resistors": spec(resistors=0.01),
    "capacitors": spec(capacitors=0.01),
    "offsets": spec(amplifiers=1e-3),
    "capacitors alone": HardwareSpec.from_dict({"name": "c", "capacitors": {"tolerance_dtod": 0.1}}),
    "resistors alone": HardwareSpec.from_dict({"name": "r", "resistors": {"tolerance_dtod": 0.1}}),
}


def batch(name: str, chips: int | None, kappa: float = 0.0) -> LoadedChip:
    chip = manufacture("integrator", 4, SPECS[name], seed=3, chips=chips)
    return program(chip, LinearProblem(A, b), kappa=kappa, x_max=8.0)


def run(engine_name: str, loaded: LoadedChip, **options: object) -> Trajectory:
    engine = find_engine(engine_name)
    duration = 20 * loaded.tau
    times = np.linspace(0, duration, 9)
    return engine.run(engine.init(loaded), duration=duration, times_s=times, seed=5, **options)[1]  # pyright: ignore[reportArgumentType] - b


@pytest.mark.parametrize("name", list(SPECS))
@pytest.mark.parametrize("engine", ["ideal", "behavioral", "state_space"])
@pytest.mark.parametrize("kappa", [0.0, 1e-3])
def test_chips_of_a_batch_are_single_chips(name: str, engine: str, kappa: float) -> None:
    loaded = batch(name, 3, kappa)
    together = run(engine, loaded)
    assert together.voltage_volt.shape == (3, 9, 4)
    assert len(together.statuses) == 3
    for k in range(3):
        alone = run(engine, loaded.select(k))
        assert alone.voltage_volt.shape == (9, 4)
        torch.testing.assert_close(together.voltage_volt[k], alone.voltage_volt, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["ideal", "all"])
@pytest.mark.parametrize("kappa", [0.0, 1e-3])
def test_size_of_the_batch_changes_no_chip(name: str, kappa: float) -> None:
    two, five = (run("behavioral", batch(name, k, kappa)) for k in (2, 5))
    torch.testing.assert_close(two.voltage_volt, five.voltage_volt[:2], rtol=0, atol=1e-9)


def test_noise_of_the_chips_is_their_own_even_where_they_are_alike() -> None:
    paths = run("behavioral", batch("ideal", 3, 1e-3)).voltage_volt
    assert not torch.allclose(paths[0], paths[1])
    assert not torch.allclose(paths[1], paths[2])


@pytest.mark.parametrize("engine", ["ideal", "behavioral", "state_space"])
@pytest.mark.parametrize("columns", [None, 4, 9])
def test_batch_of_one_keeps_its_axis(engine: str, columns: int | None) -> None:
    """(1, T, n) is not (T, n, k), also where the numbers of nodes, times and columns are the same."""
    right = None if columns is None else np.random.default_rng(1).normal(size=(4, columns))
    trajectory = run(engine, batch("all", 1), b=right)
    shape = (1, 9, 4) if columns is None else (1, 9, 4, columns)
    assert trajectory.voltage_volt.shape == shape
    assert trajectory.final_volt.shape == shape[:1] + shape[2:]
    single = run(engine, batch("all", None), b=right)
    torch.testing.assert_close(trajectory.voltage_volt[0], single.voltage_volt, rtol=0, atol=1e-12)


def test_right_hand_sides_of_a_noisy_batch() -> None:
    """Column 0 has the noise of a single run; every column its own."""
    loaded = batch("all", 2, 1e-3)
    right = np.repeat(b[:, None], 3, axis=1)
    many, one = run("behavioral", loaded, b=right), run("behavioral", loaded)
    assert many.voltage_volt.shape == (2, 9, 4, 3)
    torch.testing.assert_close(many.voltage_volt[..., 0], one.voltage_volt, rtol=0, atol=1e-9)
    assert not torch.allclose(many.voltage_volt[..., 1], many.voltage_volt[..., 2])


def test_a_chip_beside_unstable_ones_has_the_noise_it_has_alone() -> None:
    """Chip 6 is all but unstable: the last bit of its covariance, which the batch moves, must not move its samples."""
    spec = tngd.presets.ideal().with_value("transconductors.tolerance_dtod", 0.3)
    problem = tngd.LinearProblem([[1.0, 0.9], [0.9, 1.0]], [1.0, 0.5])
    loaded = tngd.program(tngd.manufacture("gm_c", 2, spec, seed=1, chips=8), problem, kappa=1e-3)
    together = run("behavioral", loaded)
    assert [status.ok for status in loaded.circuit_statuses] == [True, True, False, False, True, False, True, False]
    for chip in (0, 1, 4, 6):
        alone = run("behavioral", loaded.select(chip))
        torch.testing.assert_close(together.voltage_volt[chip], alone.voltage_volt, rtol=0, atol=1e-12)
