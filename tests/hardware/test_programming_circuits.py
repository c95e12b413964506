"""Programming and memory act once, on the elements: closed form and netlist have the same circuit, in any batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, LinearProblem, manufacture, presets, program
from tngd_hw.engines import find_engine
from tngd_hw.hardware import Elements
from tngd_hw.topologies import LoadedChip

TOPOLOGIES = ("integrator", "gm_c", "three_array", "passive_rc", "amc_inverse", "rlc_spu")

ROUGH: dict[str, dict[str, Any]] = {
    "programming": {"bits": 6, "stochastic_rounding": True, "error_std": 0.002},
    "memory": {"stuck_low": 0.05, "stuck_high": 0.03, "read_std": 0.01},
}

COUPLED = -np.array(
    [
        [0.0, 0.4, 0.006, 0.1, 0.2],
        [0.4, 0.0, 0.3, 0.004, 0.1],
        [0.006, 0.3, 0.0, 0.2, 0.005],
        [0.1, 0.004, 0.2, 0.0, 0.3],
        [0.2, 0.1, 0.005, 0.3, 0.0],
    ]
)
A = COUPLED + np.diag([1.6, 1.9, 1.3, 1.5, 2.0])
B = np.array([1.0, -0.5, 0.3, 0.8, -0.2])


def spec(topology: str, parts: dict[str, dict[str, Any]]) -> HardwareSpec:
    """The board with these parts; amc_inverse settles by its amplifiers, the others do not need them here."""
    document = presets.pcb_1k_1n().to_dict()
    if topology in ("gm_c", "passive_rc", "rlc_spu"):
        del document["amplifiers"]
    return HardwareSpec.from_dict(document | parts)


def load(
    topology: str, parts: dict[str, dict[str, Any]] = ROUGH, *, chips: int | None = None, seed: int = 7
) -> LoadedChip:
    chip = manufacture(topology, 5, spec(topology, parts), seed=2, chips=chips)
    return program(chip, LinearProblem(A, B), seed=seed)


def entries(elements: Elements, topology: str) -> torch.Tensor:
    roles = [role for role in elements.programmable if role in elements.components]
    assert roles, topology
    return torch.cat([elements.value(role) for role in roles], -1)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_closed_form_and_netlist_have_the_same_circuit(topology: str) -> None:
    """Whole paths within 1e-9 of the largest voltage, components that were rounded to nothing included."""
    loaded = load(topology)
    nominal = replace(loaded.nominal, programmable=loaded.elements.programmable)
    wanted, found = entries(nominal, topology), entries(loaded.elements, topology)
    assert not torch.allclose(found, wanted, rtol=0.02, atol=0)
    assert bool((found == 0).any()) or topology == "three_array"  # whose small entries are products
    duration = 20 * loaded.tau
    times = torch.linspace(0, duration, 30, dtype=torch.float64)
    paths = []
    for name in ("behavioral", "state_space"):
        engine = find_engine(name)
        _, path = engine.run(engine.init(loaded), duration=duration, times_s=times, x0=B)
        assert path.status.ok, path.status
        paths.append(path.voltage_volt)
    assert float((paths[0] - paths[1]).abs().max()) <= 1e-9 * float(paths[1].abs().max())


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_chip_5_of_8_is_chip_5_of_50(topology: str) -> None:
    few, many = load(topology, chips=8), load(topology, chips=50)
    for role, component in few.elements.components.items():
        if component.value.ndim > 1:
            assert torch.equal(component.value[5], many.elements.value(role)[5])
    alone = few.select(5).linear_sde().F
    torch.testing.assert_close(few.linear_sde().F[5], alone, rtol=1e-13, atol=0)


def test_every_programming_writes_anew_on_the_same_die() -> None:
    one, same, other = (load("integrator", seed=s) for s in (7, 7, 8))
    assert torch.equal(entries(one.elements, ""), entries(same.elements, ""))
    assert not torch.equal(entries(one.elements, ""), entries(other.elements, ""))
    stuck = {"memory": {"stuck_low": 0.1, "stuck_high": 0.1}}
    dies = [load("integrator", stuck, seed=s) for s in (7, 8)]
    assert torch.equal(entries(dies[0].elements, ""), entries(dies[1].elements, ""))


@pytest.mark.parametrize("effect", ["programming.levels", "programming.error", "memory.stuck", "memory.reading"])
def test_switching_one_effect_off_moves_no_other_draw(effect: str) -> None:
    full = spec("integrator", ROUGH)
    less = full.without(effect)
    chips = [manufacture("integrator", 5, hardware, seed=2) for hardware in (full, less)]
    for name, draws in chips[1].deviations.items():
        for quantity, roles in draws.items():
            for role, value in roles.items():
                assert torch.equal(value, chips[0].deviations[name][quantity][role])
    assert effect in full.effects()
    assert effect not in less.effects()


def test_tolerance_acts_on_what_was_written() -> None:
    """Levels first, then the die: every value is a level times 1/(1 + deviation)."""
    loaded = load("integrator", {"programming": {"bits": 3}, "resistors": {"tolerance_dtod": 0.01}})
    (role,) = loaded.elements.programmable
    component = loaded.elements.components[role]
    deviation = loaded.chip.deviations["resistors"]["tolerance"][role][component.row, component.column]
    levels = component.value * (1 + deviation) * 1e3 * 7
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-12)


def test_report_counts_what_was_rounded_away_and_names_the_loss() -> None:
    """Three bits, 7 steps: of A/2, whose entries below 1/14 are lost: 0.006, 0.004, 0.005 and 0.1 and their mirrors."""
    hardware = HardwareSpec.from_dict({"name": "x", "programming": {"bits": 3}})
    loaded = program(manufacture("integrator", 5, hardware), LinearProblem(A, B))
    report = loaded.report
    assert (report.entries_raised, report.entries_dropped, report.matrix_components) == (0, 10, 15)
    rounded = np.round(A / 2 * 7) / 7 * 2
    x = np.linalg.solve(A, B)
    loss = np.linalg.norm(np.linalg.solve(rounded, B) - x) / np.linalg.norm(x)
    assert report.expected_loss is not None
    assert report.expected_loss.quantisation == pytest.approx(loss, rel=1e-9)
    assert report.expected_loss.total == pytest.approx(loss, rel=1e-9)
    assert report.expected_loss.tolerance < 1e-12
    assert f"quantisation {loss:.2g}" in str(report)
    assert "dropped" in str(report)
