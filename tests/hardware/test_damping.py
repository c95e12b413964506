"""What damping resistors are made of: cells in a range of their own, switched banks, fixed resistors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.hardware import Damping, DampingDevice, Die, Role
from tngd_hw.topologies import LoadedChip
from tngd_hw.topologies.bill_of_materials import BillLine, bill_of_materials

J = np.array([[2.0, -0.9, 0.5], [0.5, 1.2, -0.7]])
H = np.array([[[0.6, -0.25], [-0.25, 1.0]]])
G0 = 0.25e-3  # of 1 kOhm, max|J| = 2 and max H = 1
CELLS: dict[str, Any] = {
    "programming": {"bits": 5, "error_std": 0.01},
    "memory": {"read_std": 0.02, "stuck_high": 0.05},
}


def load(damping: dict[str, Any] | None, *, lam: float = 0.1, **parts: Any) -> LoadedChip:
    document = presets.ideal().to_dict() | CELLS | parts
    hardware = HardwareSpec.from_dict(document if damping is None else document | {"damping": damping})
    chip = manufacture("three_array", 3, hardware, seed=3, outputs=2)
    return program(chip, LinearProblem.from_factors(J, H, lam, [1.0, -0.5, 0.3]), seed=4)


def ohm(loaded: LoadedChip) -> np.ndarray:
    return 1 / loaded.elements.value(Role.DAMPING).numpy()


def test_fixed_resistors_have_their_tolerance_alone() -> None:
    """1/(0.1 * 0.25 mS) = 40 kOhm, also where the array ends at 10 kOhm; 5 % of the same draws as ever."""
    loaded = load({"device": "fixed"}, resistors={"largest_ohm": 1e4, "tolerance_dtod": 0.05})
    drawn = loaded.chip.deviations["resistors"]["tolerance"][Role.DAMPING][:, 0]
    assert ohm(loaded) == pytest.approx(4e4 * (1 + drawn.numpy()), rel=1e-12)


def test_a_switched_bank_has_levels_and_neither_write_error_nor_memory() -> None:
    """20 kOhm to 200 kOhm, 3 bits: from 5 uS in steps of 45/7 uS; 25 uS is 3.11 steps."""
    bank = {"device": "switched", "smallest_ohm": "20k", "largest_ohm": "200k", "bits": 3}
    assert ohm(load(bank)) == pytest.approx(np.full(3, 1 / (5e-6 + 3 * 45e-6 / 7)), rel=1e-12)
    assert ohm(load(bank, lam=0.001)) == pytest.approx(np.full(3, 2e5), rel=1e-12)
    assert ohm(load({**bank, "bits": None})) == pytest.approx(np.full(3, 4e4), rel=1e-12)


def test_a_bank_without_a_largest_resistance_keeps_one_switch_on() -> None:
    """50 uS in 15 steps; 0.25 uS is 0.075 steps."""
    loaded = load({"device": "switched", "smallest_ohm": 2e4, "bits": 4}, lam=0.001)
    assert ohm(loaded) == pytest.approx(np.full(3, 15 * 2e4), rel=1e-12)


def test_cells_in_a_range_of_their_own() -> None:
    """5 bits of 40 uS instead of 1 mS, 19.4 steps; 1 % of full scale is 0.4 uS, 2 % of the value are read noise."""
    loaded = load({"smallest_ohm": 2.5e4}, memory={"read_std": 0.02})
    hardware, die = loaded.chip.hardware, Die(loaded.chip.inventory, 4, 0)
    error = hardware.programming.draw_write(die)["error"][Role.DAMPING][:, 0]
    read = hardware.memory.draw_write(die)["read"][Role.DAMPING][:, 0]
    expected = (19 * 40e-6 / 31 + 0.01 * 40e-6 * error) * (1 + 0.02 * read)
    torch.testing.assert_close(loaded.elements.value(Role.DAMPING), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("device", ["cell", "switched"])
def test_a_large_lambda_scales_g0_down(device: str) -> None:
    """lambda g0 may not exceed 1/20 kOhm: lambda = 4 gives g0 = 12.5 uS, and the damping is all of the range."""
    loaded = load({"device": device, "smallest_ohm": 2e4}, lam=4.0, programming={}, memory={})
    assert loaded.scales.conductance_siemens == pytest.approx(12.5e-6, rel=1e-12)
    assert ohm(loaded) == pytest.approx(np.full(3, 2e4), rel=1e-12)
    found = -loaded.linear_sde().F.numpy() * loaded.tau
    np.testing.assert_allclose(found, J.T @ H[0] @ J + 4 * np.eye(3), rtol=0, atol=1e-12)


def test_what_the_damping_is_made_of_moves_no_array() -> None:
    cells, bank, fixed = (load(d) for d in (None, {"device": "switched", "smallest_ohm": 2e4}, {"device": "fixed"}))
    for role in cells.topology.matrix_roles:
        for other in (bank, fixed):
            assert torch.equal(cells.elements.value(role), other.elements.value(role))
    explicit = load({"device": "cell"})
    assert torch.equal(cells.elements.value(Role.DAMPING), explicit.elements.value(Role.DAMPING))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"bits": 3}, "bits = 3: a damping resistor that is 'cell' has no bits of its own"),
        ({"device": "fixed", "smallest_ohm": 1e3}, "a fixed damping resistor has no range"),
        ({"device": "switched"}, "a switched damping resistor has a range of its own: give smallest_ohm"),
        ({"largest_ohm": 1e3}, "largest_ohm = 1000 needs a smaller smallest_ohm"),
        ({"smallest_ohm": 2e3, "largest_ohm": 1e3}, "largest_ohm = 1000 needs a smaller smallest_ohm"),
        ({"device": "cells"}, "device = 'cells'"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict({"name": "x", "damping": fields})


def test_a_fitted_device_is_measured_up_to_its_largest_conductance() -> None:
    damping: dict[str, Any] = {"smallest_ohm": 2e4}
    document = presets.pcm().to_dict() | {"damping": damping}
    says = r"memory\.device = 'pcm': measured up to 25 uS, and damping\.smallest_ohm = 20000 is 50 uS; give 40000"
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict(document)
    switched = document | {"damping": damping | {"device": "switched"}}
    assert HardwareSpec.from_dict(switched).damping_device is DampingDevice.SWITCHED


def test_effects_and_files() -> None:
    """The range of cells goes with the levels; without a damping part the hash is as before there was one."""
    spec = HardwareSpec.from_dict(
        {
            "name": "x",
            "resistors": {"largest_ohm": 1e5},
            "programming": {"bits": 4, "spacing": "logarithmic"},
            "damping": {"smallest_ohm": 1e4, "largest_ohm": 1e6},
        }
    )
    assert spec.effects() == ("programming.levels",)
    assert spec.without("programming.levels").damping == Damping(smallest_ohm=1e4)
    assert spec.only("programming.levels").damping == spec.damping
    assert HardwareSpec.from_dict(spec.to_dict()) == spec
    assert spec.hash != spec.model_copy(update={"damping": None}).hash
    bank = Damping(device=DampingDevice.SWITCHED, smallest_ohm=1e4, bits=4)
    assert presets.ideal().with_value("damping", bank.model_dump(mode="json")).effects() == ("damping.levels",)


def bill(loaded: LoadedChip) -> list[BillLine]:
    return [line for line in bill_of_materials(loaded) if line.role == Role.DAMPING.label]


def test_bill_and_report_say_what_they_are() -> None:
    cells, fixed = load(None), load({"device": "fixed"})
    bank = load({"device": "switched", "smallest_ohm": 2e4, "largest_ohm": 2e5, "bits": 3})
    ((cell,), (switched,), (soldered,)) = (bill(loaded) for loaded in (cells, bank, fixed))
    assert cell.part == "programmed cell, 5 bits, 1 kOhm or more, no tolerance assumed"
    assert switched.part == "bank of switched resistors, 3 bits, 20 kOhm to 200 kOhm, no tolerance assumed"
    assert soldered.part == "resistor, no tolerance assumed"
    assert (cell.buy, switched.buy, soldered.buy) == (None, None, 40200.0)
    assert cell.design_low == switched.design_low == pytest.approx(4e4)
    said = [str(loaded.report).split("damping  ")[1].splitlines()[0].strip() for loaded in (cells, bank, fixed)]
    assert said[1] == "3 switched resistors of 24.29 uS, 25 uS wanted"
    assert said[2] == "3 fixed resistors of 25 uS, 25 uS wanted"
    assert said[0].startswith("3 cells of ")
    report = bank.report.to_dict()["support"][0]
    assert report["device"] == "switched"
    assert report["wanted_siemens"] == pytest.approx([25e-6, 25e-6])


def test_the_quantisation_of_a_bank_is_a_loss_of_its_own() -> None:
    """3 steps of a bank, by hand: |x(lambda of the bank) - x(lambda)|/|x|."""
    bank = {"device": "switched", "smallest_ohm": 2e4, "largest_ohm": 2e5, "bits": 3}
    loaded = load(bank, programming={}, memory={})
    A: np.ndarray = J.T @ H[0] @ J
    b, eye = np.array([1.0, -0.5, 0.3]), np.eye(3)
    written = (5e-6 + 3 * 45e-6 / 7) / G0
    exact: np.ndarray = np.linalg.solve(A + 0.1 * eye, b)
    found: np.ndarray = np.linalg.solve(A + written * eye, b)
    loss = loaded.report.expected_loss
    assert loss is not None
    expected = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    assert (loss.quantisation, loss.total) == pytest.approx((expected, expected), rel=1e-9)
