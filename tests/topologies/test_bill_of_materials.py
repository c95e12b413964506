"""The bill of materials: values that exist, every part counted once, deviations as they are."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest

from tngd_hw.hardware import presets
from tngd_hw.hardware.preferred_values import E12, E96, nearest_in_series
from tngd_hw.outcome import OutcomeError
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies import LoadedChip, manufacture, program
from tngd_hw.topologies.bill_of_materials import bill_of_materials, bill_to_csv

A = np.array([[2.0, -0.5, 0.0], [-0.5, 1.5, 0.55], [0.0, 0.55, 1.0]])

# IEC 60063, table of preferred values
IEC_E96 = """
100 102 105 107 110 113 115 118 121 124 127 130 133 137 140 143 147 150 154 158 162 165 169 174 178 182 187 191 196 200
205 210 215 221 226 232 237 243 249 255 261 267 274 280 287 294 301 309 316 324 332 340 348 357 365 374 383 392 402 412
422 432 442 453 464 475 487 499 511 523 536 549 562 576 590 604 619 634 649 665 681 698 715 732 750 768 787 806 825 845
866 887 909 931 953 976
"""


def loaded(hardware=None, matrix: np.ndarray = A) -> LoadedChip:
    chip = manufacture("integrator", 3, hardware or presets.ideal(), seed=1)
    return program(chip, LinearProblem(matrix))


def test_the_series_are_the_standard_ones() -> None:
    assert [round(100 * value) for value in E96] == [int(word) for word in IEC_E96.split()]
    assert len(E12) == 12


@pytest.mark.parametrize(
    ("value", "series", "nearest"),
    [
        (1000.0, E96, 1000.0),
        (4000.0, E96, 4020.0),
        (9.9e3, E96, 1e4),  # across the end of a decade, by ratio: 9.76k or 10k
        (9.86e3, E96, 9760.0),
        (0.0102, E96, 0.0102),
        (1.234e7, E96, 1.24e7),
        (1e-9, E12, 1e-9),
        (5.1e-9, E12, 4.7e-9),  # 5.1/4.7 < 5.6/5.1
        (9.2e-12, E12, 1e-11),
    ],
)
def test_the_nearest_value_sold(value: float, series: tuple[float, ...], nearest: float) -> None:
    assert nearest_in_series(value, series) == nearest


@pytest.mark.parametrize(("series", "widest"), [(E96, math.log(1.05 / 1.02) / 2), (E12, math.log(1.5 / 1.2) / 2)])
def test_no_value_is_farther_away_than_half_a_step(series: tuple[float, ...], widest: float) -> None:
    for value in np.geomspace(1e-12, 1e9, 2001):
        bought = nearest_in_series(float(value), series)
        assert abs(math.log(value / bought)) <= widest + 1e-12
        others = [m * 10.0**d for m in series for d in range(-14, 11)]
        assert abs(math.log(value / bought)) <= min(abs(math.log(value / o)) for o in others) + 1e-12


def test_every_part_is_counted_once() -> None:
    counts: dict[str, int] = {}
    for line in bill_of_materials(loaded(presets.pcb_1k_1n())):
        counts[line.role] = counts.get(line.role, 0) + line.count
    assert counts == {
        "array resistor": 7,  # the two zeros of A have none
        "input resistor": 3,
        "inverter input resistor": 3,
        "inverter feedback resistor": 3,
        "integration capacitor": 3,
        "integrator amplifier": 3,
        "inverter amplifier": 3,
    }


def test_array_resistors_are_grouped_by_the_value_sold() -> None:
    """R = 1 kOhm max|A|/|A_ij|: 1k, 4k twice, 1.333k, 2k, 3.636k twice."""
    lines = {line.buy: line for line in bill_of_materials(loaded()) if line.role == "array resistor"}
    assert {buy: line.count for buy, line in lines.items()} == {1000.0: 1, 1330.0: 1, 2000.0: 1, 3650.0: 2, 4020.0: 2}
    assert lines[4020.0].deviation_percent == pytest.approx(100 * (4000 / 4020 - 1), abs=1e-4)
    assert lines[1330.0].design_low == pytest.approx(4000 / 3)


def test_values_are_those_of_the_design_not_of_one_die() -> None:
    """pcb_1k_1n's die has deviations of 0.1 % and 1 %; what is bought has not."""
    for line in bill_of_materials(loaded(presets.pcb_1k_1n())):
        if line.role in ("input resistor", "integration capacitor"):
            assert line.deviation_percent == 0.0
            assert line.design_low == line.design_high == line.buy


def test_csv_reads_back() -> None:
    lines = bill_of_materials(loaded(presets.pcb_1k_1n()))
    rows = list(csv.DictReader(io.StringIO(bill_to_csv(lines))))
    assert [int(row["count"]) for row in rows] == [line.count for line in lines]
    assert rows[0]["role"] == "array resistor"
    assert float(rows[0]["buy"]) == 1000.0
    assert rows[-1]["buy"] == ""
    assert "75 MHz" in rows[-1]["part"]


def test_a_matrix_that_does_not_fit_has_no_bill() -> None:
    with pytest.raises(OutcomeError, match="not_realizable"):
        bill_of_materials(loaded(matrix=np.eye(4)))
