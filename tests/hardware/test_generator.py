"""The noise generator: its levels and crest by integration, its gain by statistics, its baths, its refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

import tngd_hw as tngd
from tngd_hw.hardware import HardwareSpec, Role
from tngd_hw.hardware.generator import quantised_normal_variance

A = torch.tensor([[2.0, -0.5], [-0.5, 1.0]], dtype=torch.float64)


def loaded_chip(generator: dict[str, object], chips: int | None = None, topology: str = "rlc_spu") -> tngd.LoadedChip:
    spec = HardwareSpec.from_dict({"name": "t", "generator": generator})
    chip = tngd.manufacture(topology, 2, spec, seed=1, chips=chips)
    return tngd.program(chip, tngd.LinearProblem(A), kappa=1e-3)


def density(loaded: tngd.LoadedChip) -> torch.Tensor:
    return loaded.elements.value(Role.NOISE) / loaded.design.noise_psd


@pytest.mark.parametrize("crest", [0.5, 2.0, 4.0])
def test_clipping_takes_variance_away(crest: float) -> None:
    def clipped(x: float) -> float:
        return min(max(x, -crest), crest) ** 2 * math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

    expected = 2 * quad(clipped, 0, crest)[0] + 2 * quad(clipped, crest, 40)[0]
    assert quantised_normal_variance(crest, None) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("crest", "bits"), [(1.0, 1), (3.0, 2), (3.0, 5)])
def test_levels_against_draws(crest: float, bits: int) -> None:
    """2,000,000 clipped and rounded normal variates: within four standard errors, and not within them if 5 % off."""
    step = 2 * crest / (2**bits - 1)
    x = np.random.default_rng(0).standard_normal(2_000_000).clip(-crest, crest)
    squares = (np.round((x + crest) / step) * step - crest) ** 2
    found, allowed = quantised_normal_variance(crest, bits), 4 * squares.std() / len(squares) ** 0.5
    assert abs(squares.mean() - found) <= allowed + 1e-12
    assert abs(squares.mean() - 1.05 * found) > allowed


def test_two_levels_are_a_coin() -> None:
    assert quantised_normal_variance(1.5, 1) == pytest.approx(2.25, rel=1e-12)


def test_many_levels_add_a_twelfth_of_a_step() -> None:
    """v = 1 - clipping + step^2/12 (Bennett), to a step^4."""
    step = 2 * 6 / (2**6 - 1)
    assert quantised_normal_variance(6.0, 6) == pytest.approx(1 + step**2 / 12, rel=1e-4)


def test_levels_act_on_the_injected_density() -> None:
    found = density(loaded_chip({"crest": 2.0, "bits": 3}))
    torch.testing.assert_close(found, torch.full((2,), quantised_normal_variance(2.0, 3), dtype=torch.float64))


def test_gain_is_drawn_once_a_chip_for_every_output() -> None:
    """S (1 + g)^2: mean square 1 + s^2 over 4,000 outputs; chip 3 the same in any batch."""
    found = density(loaded_chip({"gain_dtod": 0.1}, chips=2000)).sqrt() - 1
    assert abs(float(found.std()) / 0.1 - 1) < 4 * (1 / 8000) ** 0.5
    assert not abs(1.05 * float(found.std()) / 0.1 - 1) < 4 * (1 / 8000) ** 0.5
    few = density(loaded_chip({"gain_dtod": 0.1}, chips=4)).sqrt() - 1
    torch.testing.assert_close(few, found[:4], rtol=0, atol=0)
    assert float((found[:, 0] - found[:, 1]).abs().min()) > 0


def test_hot_resistors_take_the_place_of_the_generators() -> None:
    """4 k T_eff/R is the density that was asked for, T_eff = kappa v0^2 c0/k."""
    loaded = loaded_chip({"bath": "resistor"})
    assert Role.NOISE not in loaded.elements.components
    kelvin = loaded.elements.noise_kelvin[Role.TANK_RESISTOR]
    assert 4 * 1.380649e-23 * kelvin / 1e3 == pytest.approx(loaded.design.noise_psd, rel=1e-12)
    assert kelvin == pytest.approx(loaded.report.effective_temperature_kelvin, rel=1e-12)


def test_refusals() -> None:
    with pytest.raises(tngd.MisuseError, match=r"generator.*bits = 4: give crest too"):
        loaded_chip({"bits": 4})
    with pytest.raises(tngd.MisuseError, match=r"generator.*bath = 'resistor': resistors are white"):
        loaded_chip({"bath": "resistor", "crest": 3.0})
    with pytest.raises(tngd.MisuseError, match=r"generator\.bath = 'resistor': only rlc_spu"):
        loaded_chip({"bath": "resistor"}, topology="integrator")
    with pytest.raises(tngd.MisuseError, match=r"generator\.bandwidth_hz"):
        loaded_chip({"bandwidth_hz": 0.0})
