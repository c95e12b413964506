"""HardwareSpec changed: a value by its dotted path, effects off and on one at a time; parts made directly."""

from __future__ import annotations

import pickle
from typing import get_args

import numpy as np
import pytest

from tngd_hw import HardwareSpec, MisuseError, presets, solve
from tngd_hw.hardware import Amplifiers, Capacitors, Resistors
from tngd_hw.hardware.fields import Part
from tngd_hw.hardware.mismatch import Mismatch
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.hardware.temperature import Temperature

A = np.array([[1.0, 0.3, 0.2], [0.2, 0.8, -0.1], [0.2, 0.1, 0.6]])
B = np.array([1.0, -0.5, 0.3])


def everything_on() -> HardwareSpec:
    """cmos_sky130 with many more effects than it has."""
    spec = presets.cmos_sky130()
    for path, value in {
        "temperature.kelvin": 350.0,
        "programming.bits": 6,
        "programming.error_std": 0.001,
        "mismatch.gradient_dtod": 0.01,
        "mismatch.resistance_global_dtod": 0.02,
        "memory.stuck_low": 0.01,
        "resistors.largest_ohm": 1e8,
        "amplifiers.slew_volt_per_s": 1e8,
    }.items():
        spec = spec.with_value(path, value)
    return spec


def part_types() -> dict[str, type[Part]]:
    found: dict[str, type[Part]] = {}
    for name, field in HardwareSpec.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Part):
                found[name] = kind
    return found


def test_with_value_changes_one_value_only() -> None:
    spec = presets.pcb_1k_1n()
    assert spec.with_value("resistors.tolerance_dtod", 0.01).differences(spec) == {
        "resistors.tolerance_dtod": (0.01, 0.001)
    }
    assert spec.with_value("resistors.resistance_ohm", "2.2 kOhm").resistors.resistance_ohm == 2200.0
    assert spec == presets.pcb_1k_1n()
    assert spec.with_value("name", "mine").name == "mine"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("resistors.tolerance_dtod", 2.0, r"^hardware\.resistors\.tolerance_dtod = 2.0: .*less than 1$"),
        ("resistors.tolerance_dtod", True, r"^hardware\.resistors\.tolerance_dtod = True: .*valid number"),
        ("resistors.tolerence", 0.1, r"^hardware\.resistors\.tolerence = 0.1: .*did you mean 'tolerance_dtod'\?$"),
        ("resistor.tolerance_dtod", 0.1, r"^hardware\.resistor = .*did you mean 'resistors'\?$"),
        ("resistors.resistance_ohm.x", 1.0, r"^hardware\.resistors\.resistance_ohm\.x: 1000.0 has no field 'x'"),
        ("resistors.largest_ohm", 10.0, r"^hardware\.resistors = .*largest_ohm = 10 is not above"),
        ("resistors", 3, r"^hardware\.resistors = 3: "),
        ("", 3, r"^hardware\. = 3: unknown key"),
    ],
)
def test_with_value_refuses_in_a_sentence(path: str, value: object, says: str) -> None:
    with pytest.raises(MisuseError, match=says) as caught:
        presets.pcb_1k_1n().with_value(path, value)
    assert "\n" not in str(caught.value)


def test_a_part_that_is_absent_takes_what_it_requires() -> None:
    with pytest.raises(MisuseError, match=r"hardware\.amplifiers\.gain_bandwidth_hz: required"):
        presets.ideal().with_value("amplifiers.open_loop_gain", 1e5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Resistors(resistance_ohm=-5.0), r"^resistors\.resistance_ohm = -5.0: .*greater than 0$"),
        (lambda: Capacitors(capacitance_farad="1 V"), r"^capacitors\.capacitance_farad = '1 V': unit 'V' where farad"),
        (lambda: Mismatch(gradients=0.1), r"^mismatch\.gradients = 0.1: unknown key; did you mean 'gradient_dtod'\?$"),
        (lambda: Temperature(kelvin=-1.0), r"^temperature\.kelvin = -1.0: "),
        (HardwareSpec, r"^hardware\.name: required$"),
        (
            lambda: HardwareSpec(name="x", resistors={"resistance_ohm": 0.0}),
            r"^hardware\.resistors\.resistance_ohm = 0.0",
        ),
        (lambda: HardwareSpec(name="x", resistors=Capacitors()), r"^hardware\.resistors = Capacitors"),
    ],
)
def test_parts_made_directly_are_refused_as_files_are(make, says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        make()


def test_two_faults_are_two_clauses_and_an_error_travels_between_processes() -> None:
    with pytest.raises(MisuseError, match=r"^resistors\.matching_um = -1: .*; resistors\.area_um2 = 0: ") as caught:
        Resistors(area_um2=0, matching_um=-1)
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert isinstance(again, MisuseError)


@pytest.mark.parametrize("name", part_types())
def test_effects_of_a_part_have_fields_and_neutral_values(name: str) -> None:
    """They can be set, all of them together, and then no effect is present."""
    kind = part_types()[name]
    base = (
        Amplifiers(open_loop_gain=1e5, gain_bandwidth_hz=1e6, output_swing_volt=1.0, output_current_ampere=0.1)
        if kind is Amplifiers
        else kind()
    )
    for fields in kind.neutral().values():
        assert set(fields) <= set(kind.model_fields)
        base = base.changed(fields)
    assert base.effects() == ()


def test_absent_values_are_written_by_leaving_them_out() -> None:
    """None is not in a file, so it has to be the default wherever it is allowed."""
    for kind in (HardwareSpec, *part_types().values()):
        for name, field in kind.model_fields.items():
            if type(None) in get_args(field.annotation):
                assert field.default is None, name


@pytest.mark.parametrize("name", PRESETS)
def test_effects_are_switched_off_and_on_alone(name: str) -> None:
    spec = PRESETS[name]()
    assert spec.only().effects() == ()
    assert spec.only(*spec.effects()).effects() == spec.effects()
    for effect in spec.effects():
        assert spec.only(effect).effects() == (effect,)
        assert spec.without(effect).effects() == tuple(other for other in spec.effects() if other != effect)


def test_many_effects_at_once() -> None:
    spec = everything_on()
    assert spec.effects() == (
        "resistors.tolerance", "capacitors.tolerance", "transconductors.output_conductance", "transconductors.range",
        "transconductors.tolerance", "amplifiers.gain", "amplifiers.bandwidth", "amplifiers.offset", "amplifiers.slew",
        "programming.levels", "programming.error", "memory.stuck", "mismatch.global", "mismatch.gradient",
        "temperature.resistors",
    )  # fmt: skip
    for effect in spec.effects():
        assert spec.only(effect).effects() == (effect,)
    rest = set(spec.effects())
    assert set(spec.without("amplifiers", "mismatch.global").effects()) == rest - {
        "amplifiers.gain", "amplifiers.bandwidth", "amplifiers.offset", "amplifiers.slew", "mismatch.global"
    }  # fmt: skip
    assert set(spec.only("amplifiers").effects()) == {e for e in rest if e.startswith("amplifiers")}


def test_nominal_values_stay() -> None:
    bare = everything_on().only()
    assert (bare.name, bare.resistors.resistance_ohm, bare.capacitors.capacitance_farad) == ("cmos_sky130", 1e5, 1e-12)
    assert bare.temperature.kelvin == 350.0
    assert bare.resistors.area_um2 == 315.0
    assert bare.amplifiers is not None
    assert bare.amplifiers.output_swing_volt == 0.6
    alone = everything_on().only("amplifiers.gain").amplifiers
    assert alone is not None
    assert (alone.open_loop_gain, alone.gain_bandwidth_hz, alone.offset_volt_dtod) == (1e4, 1e12, 0.0)


def test_levels_keep_the_range_between_whose_ends_they_lie() -> None:
    spec = everything_on().with_value("programming.spacing", "logarithmic")
    assert spec.only("programming.levels").resistors.largest_ohm == 1e8
    assert spec.without("programming.levels").resistors.largest_ohm is None
    with pytest.raises(
        MisuseError, match=r"hardware\.programming\.spacing = 'logarithmic': .*give resistors.largest_ohm"
    ):
        spec.without("resistors.range")
    unlevelled = presets.ideal().with_value("resistors.largest_ohm", 1e6)
    assert unlevelled.effects() == ("resistors.range",)
    assert unlevelled.only().resistors.largest_ohm is None


@pytest.mark.parametrize("method", ["without", "only"])
def test_unknown_effect_offers_the_nearest(method: str) -> None:
    with pytest.raises(
        MisuseError, match=r"effect = 'resistors.tolerence': unknown; did you mean 'resistors.tolerance'\?"
    ):
        getattr(presets.pcb_1k_1n(), method)("resistors.tolerence")
    with pytest.raises(MisuseError, match=r"effect = 'amplifiers\.gain': unknown"):
        getattr(presets.ideal(), method)("amplifiers.gain")


def test_a_chip_without_effects_solves_as_with_ideal_parts() -> None:
    """Settled: exact to the 1e-12 of its amplifiers; each effect alone is seen, against the plain inverse."""
    exact = np.linalg.solve(A, B)

    def settled(spec: HardwareSpec) -> np.ndarray:
        return np.asarray(solve(A, B, topology="amc_inverse", hardware=spec, engine="state_space", duration=1e-3).value)

    spec = presets.pcb_1k_1n()
    np.testing.assert_allclose(settled(spec.only()), exact, atol=1e-10)
    np.testing.assert_allclose(settled(spec.only("amplifiers.bandwidth")), exact, atol=1e-10)
    for effect in ("resistors.tolerance", "amplifiers.gain", "amplifiers.offset"):
        assert np.abs(settled(spec.only(effect)) - exact).max() > 1e-5
