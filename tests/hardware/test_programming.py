"""Programming: levels by hand, unbiased rounding, errors with the spread that each scaling states."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from one_array import array_of, die_of, values_after

from tngd_hw import HardwareSpec, MisuseError
from tngd_hw.hardware import Role
from tngd_hw.hardware.preferred_values import E12, E24, E96, E192, values_between
from tngd_hw.hardware.programming import ErrorLaw, ErrorScaling, Programming, Spacing, present

FULL = (0.0, 1.0)

# IEC 60063, the values of E192 that E96 does not have
IEC_E192_ONLY = """
101 104 106 109 111 114 117 120 123 126 129 132 135 138 142 145 149 152 156 160 164 167 172 176 180 184 189 193 198 203
208 213 218 223 229 234 240 246 252 258 264 271 277 284 291 298 305 312 320 328 336 344 352 361 370 379 388 397 407 417
427 437 448 459 470 481 493 505 517 530 542 556 569 583 597 612 626 642 657 673 690 706 723 741 759 777 796 816 835 856
876 898 920 942 965 988
"""


def written(
    part: Programming, *values: float, limits: tuple[float, float] = FULL, role: Role = Role.ARRAY
) -> list[float]:
    return values_after(part, values, limits, role=role).squeeze(-1).tolist()


def test_default_changes_nothing() -> None:
    elements = array_of([0.3, 2.0], FULL)
    assert Programming().apply(elements, {}) is elements
    assert Programming().draw_write(die_of(elements)) == {}


def test_three_bits_are_eight_levels_with_zero() -> None:
    """Levels k/7, midway between 3/7 and 4/7 is 0.5; 1.4 is above the range."""
    found = written(Programming(bits=3), 0.07, 0.08, 0.49, 0.51, 0.9, 1.4)
    assert found == pytest.approx([0, 1 / 7, 3 / 7, 4 / 7, 6 / 7, 1.0], rel=1e-14)


def test_levels_start_at_the_smallest_value() -> None:
    """Two bits from 0.1 to 1: 0.1, 0.4, 0.7, 1; 0 is below, and 0.05 would be midway to it."""
    found = written(Programming(bits=2), 0.049, 0.051, 0.24, 0.26, 0.72, 0.99, limits=(0.1, 1.0))
    assert found == pytest.approx([0, 0.1, 0.1, 0.4, 0.7, 1.0], rel=1e-14)


def test_logarithmic_levels_have_one_ratio() -> None:
    """Two bits from 0.001 to 1: 0.001, 0.01, 0.1, 1; the nearest in value, so 0.5 goes down and 0.56 up."""
    part = Programming(bits=2, spacing=Spacing.LOGARITHMIC)
    found = written(part, 0.0004, 0.0012, 0.0054, 0.0056, 0.2, 0.54, 0.56, limits=(1e-3, 1.0))
    assert found == pytest.approx([0, 1e-3, 1e-3, 1e-2, 0.1, 0.1, 1.0], rel=1e-12)


def test_a_digital_potentiometer_has_equal_steps_of_resistance() -> None:
    """Two bits from 1 to 10 Ohm: 1, 4, 7, 10 Ohm; in siemens 1, 1/4, 1/7, 1/10."""
    part = Programming(bits=2, spacing=Spacing.RESISTANCE)
    found = written(part, 0.6, 0.63, 0.2, 0.11, 0.12, limits=(0.1, 1.0))
    assert found == pytest.approx([1 / 4, 1.0, 1 / 4, 1 / 10, 1 / 10], rel=1e-12)
    assert written(part, 0.125, limits=(0.1, 1.0)) == pytest.approx([1 / 7], rel=1e-12)


def test_a_range_of_one_value_is_one_level() -> None:
    assert written(Programming(bits=3), 0.4, 0.6, 1.0, limits=(1.0, 1.0)) == [0.0, 1.0, 1.0]


def test_a_capacitor_bank_counts_units() -> None:
    found = written(Programming(bits=2), 0.9e-12, 1.6e-12, limits=(0.0, 3e-12), role=Role.COUPLING_CAPACITOR)
    assert found == pytest.approx([1e-12, 2e-12], rel=1e-14)


@pytest.mark.parametrize(
    ("spacing", "ohm", "sold"),
    [
        (Spacing.E12, 5190.0, 5600.0),
        (Spacing.E24, 5190.0, 5100.0),
        (Spacing.E96, 5190.0, 5230.0),
        (Spacing.E192, 5190.0, 5170.0),
    ],
)
def test_preferred_resistances_nearest_in_siemens(spacing: Spacing, ohm: float, sold: float) -> None:
    """1/5190 is 192.68 uS: E12 178.57 and 212.77, E24 178.57 and 196.08, E96 191.20 and 195.69, E192 193.42."""
    assert written(Programming(spacing=spacing), 1 / ohm, limits=(0.0, 1e-3)) == pytest.approx([1 / sold], rel=1e-12)


def test_preferred_capacitances_are_not_inverted() -> None:
    """2.98 is below 3.00, midway from 2.7 to 3.3 in farad, and above 2.97, midway in siemens of so many ohms."""
    part = Programming(spacing=Spacing.E12)
    found = written(part, 2.98e-9, limits=(0.0, 1e-8), role=Role.COUPLING_CAPACITOR)
    assert found == pytest.approx([2.7e-9], rel=1e-12)
    assert written(part, 1 / 2.98) == pytest.approx([1 / 3.3], rel=1e-12)


def test_preferred_values_stay_in_the_range() -> None:
    part = Programming(spacing=Spacing.E12)
    found = written(part, 1.0, 0.11, 0.112, 0.06, 0.04, limits=(0.1, 1 / 1.1))  # 1.2, 1.5 ... 8.2, 10 Ohm, and none
    assert found == pytest.approx([1 / 1.2, 1 / 10, 1 / 8.2, 1 / 10, 0.0], rel=1e-12)
    with pytest.raises(MisuseError, match=r"programming.spacing = e12: no preferred value .*array resistor; widen"):
        written(part, 0.9, limits=(0.9, 0.95))


def test_series_are_those_of_the_standard() -> None:
    odd = [round(100 * value) for value in E192[1::2]]
    assert odd == [int(word) for word in IEC_E192_ONLY.split()]
    assert E192[::2] == E96
    assert E24[::2] == pytest.approx(E12)
    assert values_between(2.2e3, 4.7e3, E12) == [2200.0, 2700.0, 3300.0, 3900.0, 4700.0]


@pytest.mark.parametrize("bits", [1, 2, 8, 20, 52, 64])
@pytest.mark.parametrize("spacing", [Spacing.UNIFORM, Spacing.LOGARITHMIC, Spacing.RESISTANCE])
def test_rounding_is_off_by_half_a_step_at_most_and_fixes_levels(bits: int, spacing: Spacing) -> None:
    low, high = 0.02, 1.0
    values = torch.linspace(low, high, 301, dtype=torch.float64)
    part = Programming(bits=bits, spacing=spacing)
    once = values_after(part, values, (low, high))[:, 0]
    widest = {
        Spacing.UNIFORM: (high - low) / (2**bits - 1),
        Spacing.LOGARITHMIC: high * (1 - (low / high) ** (1 / (2**bits - 1))),
        Spacing.RESISTANCE: high - 1 / (1 / high + (1 / low - 1 / high) / (2**bits - 1)),
    }[spacing]
    assert float((once - values).abs().max()) <= widest / 2 + 1e-14
    again = values_after(part, once, (low, high))[:, 0]
    torch.testing.assert_close(again, once, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("spacing", "bits"),
    [(Spacing.UNIFORM, 3), (Spacing.LOGARITHMIC, 3), (Spacing.RESISTANCE, 3), (Spacing.E12, None), (Spacing.E24, None)],
)
def test_stochastic_rounding_is_unbiased_in_the_value_itself(spacing: Spacing, bits: int | None) -> None:
    """40,000 roundings of each value: the mean within four standard errors; the levels are a biased estimate alone.

    The mutation: to the nearest level, which misses these values by more than ten standard errors.
    """
    limits, copies, values = (0.1, 1.0), 40_000, (0.04, 0.23, 0.37, 0.69, 0.91)
    part = Programming(bits=bits, spacing=spacing, stochastic_rounding=True)
    found = values_after(part, values, limits, copies=copies)
    wanted = torch.tensor(values, dtype=torch.float64)
    assert all(len(row.unique()) == 2 for row in found)
    error = found.std(-1) / copies**0.5
    assert bool(((found.mean(-1) - wanted).abs() < 4 * error).all())
    nearest = values_after(part.changed({"stochastic_rounding": False}), values, limits)[:, 0]
    assert bool(((nearest - wanted).abs() > 10 * error).all())


def test_a_level_is_not_moved_by_stochastic_rounding() -> None:
    part = Programming(bits=3, stochastic_rounding=True)
    assert bool((values_after(part, [0.0, 1.0], FULL, copies=100).std(-1) == 0).all())


@pytest.mark.parametrize("law", list(ErrorLaw))
@pytest.mark.parametrize(
    ("scaling", "spread"),  # at x = 0.5 of 0 to 2, error_std = 1 %: of 2, of 0.5, of 2 * 2/0.5
    [(ErrorScaling.INDEPENDENT, 0.02), (ErrorScaling.PROPORTIONAL, 0.005), (ErrorScaling.INVERSE_PROPORTIONAL, 0.08)],
)
def test_spread_of_the_programming_error(law: ErrorLaw, scaling: ErrorScaling, spread: float) -> None:
    """40,000 draws: sigma has a standard error of 0.35 % (normal), less for the uniform law; four of them are 1.4 %.

    An error of 5 % in sigma is fourteen standard errors away, and fails.
    """
    part = Programming(error_std=0.01, error_law=law, error_scaling=scaling)
    found = values_after(part, [0.5], (0.0, 2.0), copies=40_000)[0]
    tolerance = 4 / (2 * 40_000) ** 0.5
    assert abs(float(found.mean()) - 0.5) < 4 * spread / 200
    ratio = float(found.std()) / spread
    assert abs(ratio - 1) < tolerance
    assert not abs(1.05 * ratio - 1) < tolerance
    beyond = float((found - 0.5).abs().max()) / spread
    assert beyond <= 3**0.5 if law is ErrorLaw.UNIFORM else beyond > 3


def test_errors_are_clipped_to_the_range_and_leave_absent_components_alone() -> None:
    part = Programming(bits=4, error_std=0.3)
    found = values_after(part, [0.01, 0.2, 1.0], (0.1, 1.0), copies=1000)
    assert bool((found[0] == 0).all())
    assert float(found[1].min()) == pytest.approx(0.1)
    assert float(found[2].max()) == 1.0


def test_a_node_keeps_a_capacitor() -> None:
    part = Programming(bits=4)
    assert written(part, 1e-15, limits=(0.0, 1e-9), role=Role.NODE_CAPACITOR) == pytest.approx([1e-21], rel=1e-12)
    assert written(part, 1e-15, limits=(1e-12, 1e-9), role=Role.NODE_CAPACITOR) == pytest.approx([1e-12], rel=1e-12)
    assert written(part, 1e-15, limits=(0.0, 1e-9), role=Role.COUPLING_CAPACITOR) == [0.0]


def test_only_roles_that_hold_the_matrix_are_written() -> None:
    elements = replace(array_of([0.3], FULL), programmable={Role.HESSIAN: FULL})
    assert Programming(bits=1).apply(elements, {}).value(Role.ARRAY).tolist() == [0.3]


def test_a_value_of_zero_is_left_out_of_netlists() -> None:
    elements = Programming(bits=2).apply(array_of([0.1, 0.4, 0.9], FULL), {})
    kept = present(elements).components[Role.ARRAY]
    assert kept.row.tolist() == [1, 2]
    assert kept.value.tolist() == pytest.approx([1 / 3, 1.0])
    assert elements.value(Role.ARRAY).tolist()[0] == 0.0


def test_every_writing_is_another_and_a_die_is_the_same_in_any_batch() -> None:
    elements = array_of([0.3, 0.5], FULL, columns=4)
    part = Programming(bits=3, stochastic_rounding=True, error_std=0.01)
    first, again, other, neighbour = (
        part.draw_write(die_of(elements, seed=s, chip=k)) for s, k in ((1, 5), (1, 5), (2, 5), (1, 6))
    )
    for quantity in ("rounding", "error"):
        assert torch.equal(first[quantity][Role.ARRAY], again[quantity][Role.ARRAY])
        assert not torch.equal(first[quantity][Role.ARRAY], other[quantity][Role.ARRAY])
        assert not torch.equal(first[quantity][Role.ARRAY], neighbour[quantity][Role.ARRAY])
    assert part.draw(die_of(elements)) == {}


def test_switching_one_effect_on_moves_no_draw_of_the_other() -> None:
    die = die_of(array_of([0.3, 0.5], FULL, columns=4))
    both = Programming(bits=3, stochastic_rounding=True, error_std=0.01).draw_write(die)
    rounding = Programming(bits=5, stochastic_rounding=True).draw_write(die)
    error = Programming(error_std=0.02).draw_write(die)
    assert (set(rounding), set(error)) == ({"rounding"}, {"error"})
    assert torch.equal(both["rounding"][Role.ARRAY], rounding["rounding"][Role.ARRAY])
    assert torch.equal(both["error"][Role.ARRAY], error["error"][Role.ARRAY])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"bits": 0}, r"hardware\.programming\.bits = 0: .*greater than or equal to 1"),
        ({"bits": 65}, r"hardware\.programming\.bits = 65: .*less than or equal to 64"),
        ({"bits": 6.0}, r"hardware\.programming\.bits = 6.0: .*integer"),
        ({"error_std": -0.1}, r"hardware\.programming\.error_std = -0.1: .*greater than or equal to 0"),
        (
            {"spacing": "loud"},
            r"hardware\.programming\.spacing = 'loud': .*'uniform', 'logarithmic', 'resistance', 'e12'",
        ),
        ({"error_law": "cauchy"}, r"hardware\.programming\.error_law = 'cauchy': .*'normal' or 'uniform'"),
        ({"error_scaling": 1}, r"hardware\.programming\.error_scaling = 1: .*'independent', 'proportional'"),
        ({"stochastic_rounding": 1}, r"hardware\.programming\.stochastic_rounding = 1: .*boolean"),
        ({"bits": 6, "spacing": "e96"}, r"hardware\.programming = .*bits = 6: the values of e96 are the levels"),
        (
            {"bits": 6, "spacing": "logarithmic"},
            r"^hardware\.programming\.spacing = 'logarithmic': .*give resistors\.largest_ohm$",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict({"name": "x", "programming": fields})


def test_levels_that_a_circuit_does_not_have_are_refused() -> None:
    part = Programming(bits=6, spacing=Spacing.LOGARITHMIC)
    with pytest.raises(MisuseError, match=r"spacing = logarithmic: every array transconductor .* no smallest value"):
        written(part, 0.3, role=Role.TRANSCONDUCTOR)
    part = Programming(bits=6, spacing=Spacing.RESISTANCE)
    with pytest.raises(MisuseError, match=r"spacing = resistance: every coupling capacitor .* no resistance"):
        written(part, 0.3, limits=(0.1, 1.0), role=Role.COUPLING_CAPACITOR)


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_enumerations_are_written_as_names_in_lower_case(ending: str, tmp_path: Path) -> None:
    fields = {"bits": 6, "spacing": "resistance", "error_law": "uniform", "error_scaling": "inverse_proportional"}
    spec = HardwareSpec.from_dict({"name": "x", "resistors": {"largest_ohm": 1e5}, "programming": fields})
    spec.to_file(tmp_path / f"chip.{ending}")
    assert "resistance" in (tmp_path / f"chip.{ending}").read_text()
    again = HardwareSpec.from_file(tmp_path / f"chip.{ending}")
    assert again == spec
    assert again.hash == spec.hash
    assert again.programming.spacing is Spacing.RESISTANCE
    assert "spacing=resistance" in str(spec)


def test_half_steps_of_many_bits_are_those_of_float64() -> None:
    """At 64 bits the step is far below one rounding: what is written is what was wanted."""
    values = np.random.default_rng(1).uniform(0.1, 1.0, 50)
    found = written(Programming(bits=64), *values.tolist())
    assert found == pytest.approx(values.tolist(), rel=4 * math.ulp(1.0))
