"""A die keeps its deviations for life: the same in any batch, each part's draws its own, with the stated statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tngd_hw import HardwareSpec, MisuseError, manufacture, presets
from tngd_hw.hardware import Chip, Role

NODES = 6


def varied(**changes: float) -> HardwareSpec:
    """pcb_1k_1n with other tolerances: ``resistors=0.01`` and so on."""
    document = presets.pcb_1k_1n().to_dict()
    for part, value in changes.items():
        field = "offset_volt_dtod" if part == "amplifiers" else "tolerance_dtod"
        document[part][field] = value
    return HardwareSpec.from_dict(document)


def everything(chip: Chip) -> dict[str, torch.Tensor]:
    return {
        f"{p}/{role.name}": value
        for p, d in chip.deviations.items()
        for roles in d.values()
        for role, value in roles.items()
    }


def test_every_role_of_the_die_has_its_draws() -> None:
    drawn = everything(manufacture("integrator", NODES, presets.pcb_1k_1n()))
    shapes = {name: tuple(value.shape) for name, value in drawn.items()}
    column = (NODES, 1)
    assert shapes == {
        "resistors/ARRAY": (NODES, NODES),
        "resistors/INPUT": column,
        "resistors/INVERTER_INPUT": column,
        "resistors/INVERTER_FEEDBACK": column,
        "capacitors/INTEGRATION": column,
        "amplifiers/INTEGRATOR_AMPLIFIER": column,
        "amplifiers/INVERTER_AMPLIFIER": column,
    }


def test_no_two_roles_share_draws() -> None:
    values = [
        value.flatten()[:NODES].numpy() for value in everything(manufacture("integrator", NODES, varied())).values()
    ]
    for k, one in enumerate(values):
        for other in values[:k]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 0.999


@pytest.mark.parametrize("number", [0, 1])
def test_die_is_the_same_in_batches_of_two_and_of_five(number: int) -> None:
    spec = presets.pcb_1k_1n()
    two, five = (everything(manufacture("integrator", NODES, spec, seed=3, chips=k)) for k in (2, 5))
    for name in two:
        assert two[name].shape[0] == 2
        assert torch.equal(two[name][number], five[name][number])


def test_single_die_is_die_0() -> None:
    spec = presets.pcb_1k_1n()
    alone = everything(manufacture("integrator", NODES, spec, seed=3))
    batch = everything(manufacture("integrator", NODES, spec, seed=3, chips=2))
    for name in alone:
        assert torch.equal(alone[name], batch[name][0])
        assert not torch.equal(batch[name][0], batch[name][1])


def test_seed_makes_another_die() -> None:
    one, two = (everything(manufacture("integrator", NODES, presets.pcb_1k_1n(), seed=s)) for s in (3, 4))
    assert all(not torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("off", ["resistors", "capacitors", "amplifiers"])
def test_switching_one_tolerance_off_moves_no_other_draw(off: str) -> None:
    full = everything(manufacture("integrator", NODES, varied(), seed=5))
    less = everything(manufacture("integrator", NODES, varied(**{off: 0.0}), seed=5))
    for name, value in full.items():
        if name.startswith(off):
            assert name not in less or not less[name].any()
        else:
            assert torch.equal(less[name], value)


def test_scaling_a_tolerance_scales_its_draws() -> None:
    one, two = (everything(manufacture("integrator", NODES, varied(resistors=s), seed=5)) for s in (0.01, 0.02))
    torch.testing.assert_close(two["resistors/ARRAY"], 2 * one["resistors/ARRAY"], rtol=1e-14, atol=0)


def standard_deviation(spec: HardwareSpec, part: str, role: Role) -> tuple[float, float, int]:
    """Mean, standard deviation and number of draws of a role on a large die (a batch of dies for one-column roles)."""
    quantity = "offset" if part == "amplifiers" else "tolerance"
    nodes, chips = (100, 1) if role is Role.ARRAY else (100, 100)
    drawn = manufacture("integrator", nodes, spec, seed=11, chips=chips).deviations[part][quantity][role]
    return float(drawn.mean()), float(drawn.std()), drawn.numel()


@pytest.mark.parametrize(
    ("part", "role", "sigma"),
    [
        ("resistors", Role.ARRAY, 0.02),
        ("resistors", Role.INPUT, 0.02),
        ("capacitors", Role.INTEGRATION, 0.03),
        ("amplifiers", Role.INTEGRATOR_AMPLIFIER, 1e-3),
        ("amplifiers", Role.INVERTER_AMPLIFIER, 1e-3),
    ],
)
def test_statistics_of_the_draws(part: str, role: Role, sigma: float) -> None:
    """10,000 draws: the mean has a standard error of 1 % and sigma one of 0.7 %; both within four of them.

    A tolerance wrong by 5 % is seven standard errors away, and fails.
    """
    mean, found, count = standard_deviation(varied(**{part: sigma}), part, role)
    assert abs(mean) < 4 * sigma / count**0.5
    tolerance = 4 / (2 * count) ** 0.5
    assert abs(found / sigma - 1) < tolerance
    assert not abs(1.05 * found / sigma - 1) < tolerance


def test_a_tolerance_that_would_turn_a_resistor_negative_is_refused() -> None:
    with pytest.raises(MisuseError, match=r"tolerance_dtod = 0.4: chip 0 of seed 0 .*below 0"):
        manufacture("integrator", 100, varied(resistors=0.4))


@pytest.mark.parametrize("chips", [0, -1, True, 2.0, "3"])
def test_bad_number_of_chips(chips: object) -> None:
    with pytest.raises(MisuseError, match=r"chips = .*at least 1 chip"):
        manufacture("integrator", 2, presets.ideal(), chips=chips)  # pyright: ignore[reportArgumentType] - the point


@pytest.mark.parametrize("nodes", [0, -1, True, 2.0, "3", None])
def test_bad_number_of_nodes(nodes: object) -> None:
    with pytest.raises(MisuseError, match=r"nodes = .*integer number of nodes"):
        manufacture("integrator", nodes, presets.ideal())  # pyright: ignore[reportArgumentType] - the point


def test_bad_seed() -> None:
    with pytest.raises(MisuseError, match="seed = -1"):
        manufacture("integrator", 2, presets.ideal(), seed=-1)


def test_unknown_topology_offers_the_nearest() -> None:
    with pytest.raises(MisuseError, match=r"topology = 'integrater'.*did you mean 'integrator'\?"):
        manufacture("integrater", 2, presets.ideal())
