"""Fitted devices against their published formulas, evaluated by hand (numbers of a pocket calculator, not of the code).

Conductances in uS; g is relative to the largest.
"""

from __future__ import annotations

import math

import pytest
import torch

from tngd_hw.hardware.memory_models import Device, Drift, MemoryModel, ReadNoise, Relaxation, model_of

DAY = 86400.0


def at(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize(
    ("device", "siemens_us", "age_s", "spread_us"),
    [
        (Device.PCM, 12.5, 0.0, 0.952705),  # 0.26348 + 1.9650/2 - 1.1731/4
        (Device.PCM, 25.0, 0.0, 1.05538),
        (Device.PCM_JOSHI, 10.0, 0.0, 0.86619139),  # -0.178767 + 0.7585724 + 0.28638599
        (Device.HERMES_ONE, 5.175, 0.0, 0.86531293),
        (Device.HERMES_TWO, 10.35, 0.0, 0.99101320),
        (Device.RRAM_WAN, 20.0, 0.0, 2.3618),  # 1.2288 - 4.668 + 4.748 + 1.053
        (Device.RRAM_WAN_AGED, 20.0, 0.0, 2.0229375),
        (Device.RRAM_WAN_AGED, 20.0, 1.0, 2.0229375),
        (Device.RRAM_WAN_AGED, 20.0, DAY, 3.909),
        (Device.RRAM_WAN_AGED, 20.0, 2 * DAY, 3.929125),
        (Device.RRAM_WAN_AGED, 20.0, DAY**0.5, 2.96596875),  # midway in ln t
        (Device.RRAM_MILO, 100.0, 0.0, 3.871621),
        (Device.RRAM_MILO, 525.2, 0.0, 0.0),  # below 0: 4.782321 - 4.7829964
        (Device.RRAM_CMO, 50.0, 0.0, 0.57573225),
        (Device.RRAM_CMO_FINE, 50.0, 0.0, 0.05425057),
    ],
)
def test_spread_of_writing(device: Device, siemens_us: float, age_s: float, spread_us: float) -> None:
    assert model_of(device).write.std(at(siemens_us), age_s).item() == pytest.approx(spread_us, rel=1e-7)


def drift_of(device: Device) -> Drift:
    found = model_of(device).drift
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("device", "g", "mean", "std"),
    [
        (Device.PCM, 0.1, 0.0600901, 0.0228823),
        (Device.PCM, 0.5, 0.049, 0.008),  # both clipped from below
        (Device.PCM, 0.001, 0.1, 0.045),  # and from above
        (Device.HERMES_ONE, 0.05, 0.0977348, 0.0336488),
        (Device.HERMES_ONE, 0.5, 0.0564, 0.012075),
        (Device.HERMES_TWO, 0.05, 0.0977348, 0.0293501),
        (Device.HERMES_TWO, 0.5, 0.0564, 0.009),
    ],
)
def test_drift_exponents(device: Device, g: float, mean: float, std: float) -> None:
    drift = drift_of(device)
    assert drift.mean(at(g)).item() == pytest.approx(mean, rel=1e-5)
    assert drift.std(at(g)).item() == pytest.approx(std, rel=1e-5)


def test_drift_in_time() -> None:
    """PCM at g = 0.5 loses (3600/20 + 1)^-0.049 in an hour: 22.5 %; one sigma more of nu: 25.7 %."""
    drift = drift_of(Device.PCM)
    assert drift.factor(at(0.5), at(0.0), 0.0).item() == 1.0
    assert drift.factor(at(0.5), at(0.0), 3600.0).item() == pytest.approx(math.exp(-0.049 * math.log(181.0)), rel=1e-12)
    assert drift.factor(at(0.5), at(0.0), 3600.0).item() == pytest.approx(0.77511, rel=1e-4)
    assert drift.factor(at(0.5), at(1.0), 3600.0).item() == pytest.approx(0.74354, rel=1e-4)
    assert drift.factor(at(0.5), at(-9.0), 3600.0).item() < 1  # nu = |0.049 - 0.072|: a device never gains
    assert drift_of(Device.HERMES_ONE).start_s == 200
    assert drift_of(Device.HERMES_TWO).start_s == 300


def read_of(device: Device) -> ReadNoise:
    found = model_of(device).read
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("device", "g", "strength"),
    [
        (Device.PCM, 0.5, 0.0138087),  # 0.0088/0.5^0.65
        (Device.PCM, 0.005, 0.2),
        (Device.HERMES_ONE, 0.1, 0.0217602),
        (Device.HERMES_ONE, 0.5, 0.0217),
        (Device.HERMES_TWO, 0.1, 0.0200402),
        (Device.HERMES_TWO, 0.5, 0.0167125),
    ],
)
def test_strength_of_read_noise(device: Device, g: float, strength: float) -> None:
    assert read_of(device).strength(at(g)).item() == pytest.approx(strength, rel=1e-5)


def test_read_noise_in_time() -> None:
    """PCM at once: t = 20 s, sqrt(ln(4.00000005e7)) = 4.183825; of 12.5 uS drifted to 10: 10 * 0.0138087 * 4.183825."""
    assert read_of(Device.PCM).std(at(12.5), at(10.0), 0.0).item() == pytest.approx(0.577732, rel=1e-5)
    assert read_of(Device.RRAM_CMO).std(at(99.0), at(10.0), 1.0).item() == pytest.approx(0.1004573, rel=1e-5)
    assert read_of(Device.RRAM_CMO).std(at(99.0), at(10.0), 0.0).item() == 0.0


def test_relaxation_in_time() -> None:
    """At e^5 s: mean -0.4450103 uS, spread 0.62189027 uS; nothing at age 0."""
    relaxation = model_of(Device.RRAM_CMO).relaxation
    assert isinstance(relaxation, Relaxation)
    age = math.exp(5.0)
    assert relaxation.shift(at(0.0), age).item() == pytest.approx(-0.4450103, rel=1e-6)
    assert (relaxation.shift(at(1.0), age) - relaxation.shift(at(0.0), age)).item() == pytest.approx(0.62189027)
    assert relaxation.shift(at(1.0), 0.0).item() == 0.0


@pytest.mark.parametrize("device", list(Device))
def test_every_device_is_sound_over_its_range(device: Device) -> None:
    """No spread below 0, none above a third of the range, and no device that gains by drifting."""
    model: MemoryModel = model_of(device)
    conductance = torch.linspace(0.01, 1.0, 100, dtype=torch.float64) * model.largest_us
    for age in (0.0, 1.0, 3600.0, min(model.oldest_s, 1e7)):
        spread = model.write.std(conductance, age)
        assert float(spread.min()) > 0
        assert float(spread.max()) < model.largest_us / 3
        if model.drift is not None:
            for z in (-4.0, 0.0, 4.0):
                factor = model.drift.factor(conductance / model.largest_us, torch.full_like(conductance, z), age)
                assert float(factor.min()) > 0
                assert float(factor.max()) <= 1
        if model.read is not None:
            noise = model.read.std(conductance, conductance, age)
            assert float(noise.min()) >= 0
            assert float(noise.max()) < model.largest_us / 3
