"""Memory: the order of its effects by hand, their statistics with stated errors, and what is drawn when."""

from __future__ import annotations

import math

import pytest
import torch
from one_array import array_of, die_of, values_after

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, program
from tngd_hw.hardware import Role
from tngd_hw.hardware.memory import Memory
from tngd_hw.hardware.memory_models import Device

FULL = (0.0, 1.0)
UNIT = 25e-6
COPIES = 40_000

SPREAD_TOLERANCE = 4 / (2 * COPIES) ** 0.5
"""Four standard errors of a standard deviation of COPIES normal draws, 1.4 %: a sigma that is 5 % wrong fails."""


def test_default_changes_nothing() -> None:
    elements = array_of([0.3, 0.7], FULL)
    for part in (Memory(), Memory(age_s=1e6)):
        assert part.apply(elements, {}) is elements
        assert {**part.draw(die_of(elements)), **part.draw_write(die_of(elements))} == {}


def check_spread(found: torch.Tensor, mean: float, spread: float) -> None:
    assert abs(float(found.mean()) - mean) < 4 * spread / COPIES**0.5
    ratio = float(found.std()) / spread
    assert abs(ratio - 1) < SPREAD_TOLERANCE
    assert not abs(1.05 * ratio - 1) < SPREAD_TOLERANCE


def test_spread_of_writing_is_absolute_in_siemens() -> None:
    """12.5 uS of PCM: 0.952705 uS."""
    found = values_after(Memory(device=Device.PCM), [12.5e-6], (0.0, UNIT), copies=COPIES, only=["write"])[0]
    check_spread(found, 12.5e-6, 0.952705e-6)


def test_read_noise_of_a_fitted_device() -> None:
    """12.5 uS of PCM as soon as it is written (t = 20 s): 12.5 * 0.0138087 * 4.183825 uS."""
    found = values_after(Memory(device=Device.PCM), [12.5e-6], (0.0, UNIT), copies=COPIES, only=["device_read"])[0]
    check_spread(found, 12.5e-6, 0.7221655e-6)


def test_drift_exponent_of_a_fitted_device() -> None:
    """2.5 uS of PCM (g = 0.1) after a day: -ln(G/G0)/ln(4321) is nu = 0.0600901 +- 0.0228823, but for the fold at 0.

    |nu| of a normal variate 2.626 sigma above 0: mean and sigma within 0.1 % of those of the unfolded law.
    """
    part = Memory(device=Device.PCM, age_s=86400.0)
    found = values_after(part, [2.5e-6], (0.0, UNIT), copies=COPIES, only=["nu"])[0]
    nu = -(found / 2.5e-6).log() / math.log(4321.0)
    ratio = 0.0600901 / 0.0228823
    density, beyond = math.exp(-(ratio**2) / 2) / (2 * math.pi) ** 0.5, math.erfc(ratio / 2**0.5) / 2
    mean = 0.0228823 * (2 * density + ratio * (1 - 2 * beyond))
    check_spread(nu, mean, (0.0600901**2 + 0.0228823**2 - mean**2) ** 0.5)


def test_without_draws_the_mean_law_remains() -> None:
    elements = array_of([12.5e-6], (0.0, UNIT))
    found = Memory(device=Device.PCM, age_s=3600.0).apply(elements, {}).value(Role.ARRAY)
    assert found.item() == pytest.approx(12.5e-6 * 181.0**-0.049, rel=1e-12)


def test_effects_in_order_by_hand() -> None:
    """One device, every effect that leaves it working: (G_w drifted + read noise) (1 + read_std z) (1 - amplitude).

    2.5 uS of PCM: s_w = 0.26348 + 0.1965 - 0.011731, and nu is that of the wanted g = 0.1, one sigma down.
    """
    part = Memory(device=Device.PCM, age_s=3600.0, read_std=0.02, telegraph_amplitude=0.1, telegraph_probability=0.5)
    z = {"write": 1.0, "nu": -1.0, "device_read": 2.0, "read": 0.5}
    draws = {name: {Role.ARRAY: torch.tensor([[value]], dtype=torch.float64)} for name, value in z.items()}
    for telegraph, left in ((0.4, 0.9), (0.6, 1.0)):
        drawn = {**draws, "telegraph": {Role.ARRAY: torch.tensor([[telegraph]], dtype=torch.float64)}}
        found = part.apply(array_of([2.5e-6], (0.0, UNIT)), drawn).value(Role.ARRAY).item()
        written = 2.5 + 0.448249
        drifted = written * 181.0 ** -(0.06009007 - 0.02288231)
        strength = 0.0088 / (written / 25) ** 0.65
        noise = strength * math.sqrt(math.log((3620 + 250e-9) / 500e-9)) * drifted * 2.0
        assert found == pytest.approx((drifted + noise) * 1.01 * left * 1e-6, rel=1e-7)


def test_drift_of_a_device_that_is_not_fitted() -> None:
    """((80 + 20)/20)^-0.1 = 0.851340; exponents below 0 count as 0."""
    part = Memory(drift_nu=0.1, age_s=80.0)
    assert values_after(part, [0.5], FULL).item() == pytest.approx(0.5 * 0.8513399, rel=1e-7)
    spread = Memory(drift_nu=0.1, drift_nu_dtod=0.02, age_s=80.0)
    nu = -(values_after(spread, [0.5], FULL, copies=COPIES)[0] / 0.5).log() / math.log(5.0)
    check_spread(nu, 0.1, 0.02)
    wide = values_after(Memory(drift_nu=0.01, drift_nu_dtod=0.1, age_s=80.0), [0.5], FULL, copies=1000)
    assert float(wide.max()) == 0.5


def test_generic_read_noise() -> None:
    check_spread(values_after(Memory(read_std=0.01), [0.5], FULL, copies=COPIES)[0], 0.5, 0.005)


@pytest.mark.parametrize(
    ("fields", "value", "share"),
    [
        ({"telegraph_amplitude": 0.2, "telegraph_probability": 0.3}, 0.4, 0.3),
        ({"stuck_low": 0.02}, 0.1, 0.02),
        ({"stuck_high": 0.03}, 1.0, 0.03),
        ({"stuck_low": 0.02, "stuck_high": 0.03}, 0.1, 0.02),
        ({"stuck_low": 0.02, "stuck_high": 0.03}, 1.0, 0.03),
    ],
)
def test_shares_of_devices_in_another_state(fields: dict[str, float], value: float, share: float) -> None:
    """Within four standard errors of a binomial share."""
    found = values_after(Memory(**fields), [0.5], (0.1, 1.0), copies=COPIES)[0]
    counted = float(torch.isclose(found, torch.tensor(value, dtype=torch.float64), rtol=1e-12).double().mean())
    assert abs(counted - share) < 4 * (share * (1 - share) / COPIES) ** 0.5


def test_stuck_devices_ignore_writing_and_time() -> None:
    part = Memory(device=Device.PCM, age_s=1e5, stuck_high=1.0)
    assert values_after(part, [5e-6, 20e-6], (1e-6, UNIT), copies=10).unique().tolist() == [UNIT]
    part = Memory(read_std=0.1, stuck_low=1.0)
    assert values_after(part, [0.3, 0.9], (0.1, 1.0), copies=10).unique().tolist() == [0.1]
    assert not values_after(part, [0.3], FULL, copies=10).any()  # no smallest value: no component


def test_absent_components_stay_absent() -> None:
    part = Memory(device=Device.PCM, stuck_high=1.0)
    assert not values_after(part, [0.0], (0.0, UNIT), copies=100).any()


def test_values_never_fall_below_zero() -> None:
    found = values_after(Memory(device=Device.PCM), [0.1e-6], (0.0, UNIT), copies=1000)
    assert float(found.min()) == 0.0


def everything() -> Memory:
    return Memory(
        device=Device.RRAM_CMO, age_s=100.0, read_std=0.01, telegraph_amplitude=0.1, telegraph_probability=0.2,
        stuck_low=0.01, stuck_high=0.01,
    )  # fmt: skip


def test_what_is_drawn_once_and_what_at_every_programming() -> None:
    die = die_of(array_of([0.3, 0.5], FULL, columns=3))
    assert set(everything().draw(die)) == {"stuck"}
    assert set(everything().draw_write(die)) == {"write", "relaxation", "device_read", "read", "telegraph"}
    assert set(Memory(device=Device.PCM).draw(die)) == {"nu"}
    assert set(Memory(device=Device.PCM).draw_write(die)) == {"write", "device_read"}
    assert set(Memory(device=Device.RRAM_WAN).draw_write(die)) == {"write"}


@pytest.mark.parametrize(
    "off",
    [
        {"device": None},
        {"read_std": 0.0},
        {"telegraph_amplitude": 0.0},
        {"stuck_low": 0.0},
        {"stuck_low": 0.0, "stuck_high": 0.0},
    ],
)
def test_switching_an_effect_off_moves_no_other_draw(off: dict[str, object]) -> None:
    die = die_of(array_of([0.3, 0.5], FULL, columns=3))
    full, less = everything(), everything().changed(off)
    for draw in ("draw", "draw_write"):
        more, fewer = getattr(full, draw)(die), getattr(less, draw)(die)
        assert set(fewer) <= set(more)
        for quantity in fewer:
            assert torch.equal(fewer[quantity][Role.ARRAY], more[quantity][Role.ARRAY])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"device": "flash"}, r"hardware\.memory\.device = 'flash': .*'pcm', 'pcm_joshi'"),
        ({"age_s": -1.0}, r"hardware\.memory\.age_s = -1.0: .*greater than or equal to 0"),
        ({"stuck_low": 1.5}, r"hardware\.memory\.stuck_low = 1.5: .*less than or equal to 1"),
        ({"stuck_low": 0.6, "stuck_high": 0.6}, r"hardware\.memory = .*stuck_low \+ stuck_high = 1.2: shares"),
        (
            {"device": "pcm"},
            r"^hardware\.memory\.device = 'pcm': measured up to 25 uS, .* 1000 uS; give 40000 or more$",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict({"name": "x", "memory": fields})


def test_what_a_device_does_not_do_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"drift_nu = 0.1: device pcm has its own change with time"):
        Memory(device=Device.PCM, drift_nu=0.1)
    with pytest.raises(MisuseError, match=r"age_s = 1e\+06: device rram_wan_aged was measured up to 172800 s"):
        Memory(device=Device.RRAM_WAN_AGED, age_s=1e6)


def spec_of(device: str) -> HardwareSpec:
    return HardwareSpec.from_dict({"name": "x", "resistors": {"resistance_ohm": "40k"}, "memory": {"device": device}})


def test_a_device_is_a_resistor() -> None:
    chip = manufacture("gm_c", 2, spec_of("pcm"))
    with pytest.raises(MisuseError, match=r"memory.device = pcm: .*array transconductors; leave device out"):
        program(chip, LinearProblem([[1.0, 0.2], [0.2, 1.0]], [1.0, 1.0]))


def test_a_chip_of_phase_change_devices() -> None:
    """Fixed resistors are not devices; the array differs from the wanted one by the spread of writing and reading."""
    chip = manufacture("integrator", 20, spec_of("pcm"), seed=1)
    A = 2 * torch.eye(20, dtype=torch.float64) + 0.5 * torch.ones(20, 20, dtype=torch.float64) / 20
    loaded = program(chip, LinearProblem(A), seed=3)
    wanted, found = loaded.nominal.value(Role.ARRAY), loaded.elements.value(Role.ARRAY)
    assert not torch.equal(wanted, found)
    assert torch.equal(loaded.nominal.value(Role.INPUT), loaded.elements.value(Role.INPUT))
    diagonal = loaded.elements.components[Role.ARRAY].row == loaded.elements.components[Role.ARRAY].column
    assert 0.01 < float((found / wanted - 1)[diagonal].std()) < 0.15  # 4.2 % and 3.7 %, in 20 devices
