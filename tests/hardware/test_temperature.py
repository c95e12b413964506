"""Temperature: every coefficient by hand, on the values of a loaded chip and on its amplifiers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, MisuseError, manufacture, presets
from tngd_hw.hardware import Elements, Role
from tngd_hw.hardware.temperature import Temperature
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies import program

A = np.array([[1.0, 0.3, 0.2], [0.2, 0.8, -0.1], [0.2, 0.1, 0.6]])
B = np.array([1.0, -0.5, 0.3])


def at(
    kelvin: float, topology: str = "integrator", base: HardwareSpec | None = None, **coefficients: float
) -> Elements:
    spec = presets.ideal() if base is None else base
    spec = spec.changed({"temperature": Temperature(kelvin=kelvin, **coefficients)})
    return program(manufacture(topology, 3, spec, seed=2), LinearProblem(A, B)).elements


def ratio(cold: Elements, hot: Elements, role: Role) -> torch.Tensor:
    return hot.value(role) / cold.value(role)


@pytest.mark.parametrize(("kelvin", "factor"), [(400.0, 1.0636), (250.0, 0.97735), (300.0, 1.0)])
def test_poly_resistors_of_sky130(kelvin: float, factor: float) -> None:
    """res_high_po: 1 + 0.514e-3 D + 1.22e-6 D^2; at D = 100 K 1 + 0.0514 + 0.0122, at -50 K 1 - 0.0257 + 0.00305."""
    coefficients = {"resistor_tc1_per_kelvin": 0.514e-3, "resistor_tc2_per_kelvin2": 1.22e-6}
    cold, hot = at(300.0, **coefficients), at(kelvin, **coefficients)
    for role in (Role.ARRAY, Role.INPUT, Role.INVERTER_INPUT):
        torch.testing.assert_close(
            ratio(cold, hot, role), torch.full_like(cold.value(role), 1 / factor), rtol=1e-12, atol=0
        )
    assert torch.equal(cold.value(Role.INTEGRATION), hot.value(Role.INTEGRATION))


def test_capacitors_and_the_reference() -> None:
    """-30 ppm/K from 310 K to 350 K: 1 - 0.0012; the resistors stay."""
    nominal = at(300.0)
    found = at(350.0, capacitor_tc1_per_kelvin=-30e-6, reference_kelvin=310.0)
    assert ratio(nominal, found, Role.INTEGRATION).numpy() == pytest.approx([0.9988] * 3, rel=1e-12)
    assert torch.equal(nominal.value(Role.ARRAY), found.value(Role.ARRAY))


def test_inductors() -> None:
    base = presets.spu8_board().only()
    spec = base.changed({"temperature": Temperature(kelvin=320.0, inductor_tc1_per_kelvin=2e-4)})
    symmetric = LinearProblem(np.array([[1.0, -0.2], [-0.2, 0.7]]), np.zeros(2))
    cold, hot = (program(manufacture("rlc_spu", 2, s), symmetric).elements for s in (base, spec))
    assert ratio(cold, hot, Role.TANK_INDUCTOR).numpy() == pytest.approx([1.004] * 2, rel=1e-12)
    assert torch.equal(cold.value(Role.TANK_RESISTOR), hot.value(Role.TANK_RESISTOR))


def test_transconductors_and_their_output_conductance() -> None:
    """-0.2 %/K over 50 K: 0.9; g_m r_out stays, so the conductance of the outputs follows."""
    base = presets.ideal().with_value("transconductors.intrinsic_gain", 100.0)
    cold = at(300.0, "gm_c", base, transconductor_tc1_per_kelvin=-2e-3)
    hot = at(350.0, "gm_c", base, transconductor_tc1_per_kelvin=-2e-3)
    for role in (Role.TRANSCONDUCTOR, Role.INPUT_TRANSCONDUCTOR, Role.OUTPUT_CONDUCTANCE):
        np.testing.assert_allclose(ratio(cold, hot, role).numpy(), 0.9, rtol=1e-12)


def test_bandwidth_and_offset_drift_of_amplifiers() -> None:
    """40 K: GBW 75 MHz x (1 - 0.12) = 66 MHz; every offset moves by its own 40 d, the sign with it."""
    base = presets.pcb_1k_1n()
    settings = {"bandwidth_tc1_per_kelvin": -3e-3, "offset_drift_volt_per_kelvin_dtod": 2e-6}
    cold, warm, hot = (at(kelvin, base=base, **settings).amplifiers for kelvin in (300.0, 320.0, 340.0))
    for role, bank in hot.items():
        np.testing.assert_allclose(bank.gain_bandwidth_hz.numpy(), 66e6, rtol=1e-12)
        moved = bank.offset_volt - cold[role].offset_volt
        torch.testing.assert_close(moved, 2 * (warm[role].offset_volt - cold[role].offset_volt), rtol=1e-9, atol=0)
        assert torch.equal(bank.open_loop_gain, cold[role].open_loop_gain)
        assert 1e-6 < float(moved.abs().max()) < 5 * 80e-6
    assert not torch.equal(cold[Role.INTEGRATOR_AMPLIFIER].offset_volt, cold[Role.INVERTER_AMPLIFIER].offset_volt)


def test_statistics_of_the_drift() -> None:
    """10,000 amplifiers: the standard deviation of d within 4 standard errors of 0.7 %; 5 % more is refused."""
    spec = presets.pcb_1k_1n().changed({"temperature": Temperature(offset_drift_volt_per_kelvin_dtod=2e-6)})
    drift = manufacture("integrator", 100, spec, chips=100).deviations["temperature"]["drift"]
    for values in drift.values():
        found = float(values.std()) / 2e-6
        assert abs(found - 1) < 4 / np.sqrt(20_000)
        assert not abs(1.05 * found - 1) < 4 / np.sqrt(20_000)


def test_a_die_keeps_its_drift() -> None:
    spec = presets.pcb_1k_1n().changed({"temperature": Temperature(offset_drift_volt_per_kelvin_dtod=2e-6)})
    few, many = (manufacture("integrator", 3, spec, seed=4, chips=k).deviations for k in (8, 1000))
    for role, value in few["temperature"]["drift"].items():
        assert torch.equal(value[5], many["temperature"]["drift"][role][5])
    plain = manufacture("integrator", 3, presets.pcb_1k_1n(), seed=4, chips=8).deviations
    for role, value in plain["amplifiers"]["offset"].items():
        assert torch.equal(value, few["amplifiers"]["offset"][role])


def test_nothing_happens_at_the_reference_temperature() -> None:
    assert Temperature(kelvin=350.0, reference_kelvin=350.0, resistor_tc1_per_kelvin=1e-3).effects() == ()
    assert Temperature(kelvin=350.0, resistor_tc1_per_kelvin=1e-3).effects() == ("resistors",)
    assert torch.equal(at(300.0, resistor_tc1_per_kelvin=1e-3).value(Role.ARRAY), at(300.0).value(Role.ARRAY))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kelvin": -1.0}, r"temperature\.kelvin = -1.0: .*greater than 0"),
        ({"kelvin": "300 V"}, r"temperature\.kelvin = '300 V': unit 'V' where kelvin"),
        ({"offset_drift_volt_per_kelvin_dtod": -1e-6}, r"temperature\.offset_drift_volt_per_kelvin_dtod = -1e-06"),
        ({"resistor_tc1_per_kelvin": "1m"}, r"temperature\.resistor_tc1_per_kelvin = '1m': .*valid number"),
        (
            {"kelvin": 400.0, "resistor_tc1_per_kelvin": -0.01},
            r"resistor_tc1_per_kelvin makes the factor 0 at kelvin = 400",
        ),
        ({"kelvin": 200.0, "bandwidth_tc1_per_kelvin": 0.02}, r"bandwidth_tc1_per_kelvin makes the factor -1"),
    ],
)
def test_misuse(settings: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        Temperature(**settings)  # pyright: ignore[reportArgumentType] - the point


def test_fields_take_text() -> None:
    drift = Temperature(offset_drift_volt_per_kelvin_dtod="2 uV")  # pyright: ignore[reportArgumentType] - text is read
    assert drift.offset_drift_volt_per_kelvin_dtod == pytest.approx(2e-6)
    assert Temperature(kelvin="77 K").kelvin == 77.0  # pyright: ignore[reportArgumentType] - text is read
