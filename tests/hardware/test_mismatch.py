"""Deviations that components share: their laws by closed forms, their draws independent of batch and of each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tngd_hw import HardwareSpec, MisuseError, manufacture, presets, solve
from tngd_hw.hardware import Die, Role
from tngd_hw.hardware.mismatch import Corner, Mismatch, _correlated, corners
from tngd_hw.problem import LinearProblem
from tngd_hw.topologies import program

BUILT: Mapping[Role, tuple[int, int]] = {
    Role.ARRAY: (3, 4), Role.INPUT: (3, 1), Role.INTEGRATION: (3, 1), Role.TRANSCONDUCTOR: (2, 5),
}  # fmt: skip
DIES = 6000
A = np.array([[1.0, 0.3, 0.2], [0.2, 0.8, -0.1], [0.2, 0.1, 0.6]])
B = np.array([1.0, -0.5, 0.3])


def drawn(mismatch: Mismatch, dies: int, *roles: Role) -> dict[Role, NDArray[np.float64]]:
    """Deviations of many dies, shape (dies, rows, columns) of every role."""
    built = {role: BUILT[role] for role in roles}
    each = [mismatch.draw(Die(built, 17, chip))["deviation"] for chip in range(dies)]
    return {role: torch.stack([one[role] for one in each]).numpy() for role in each[0]}


def agrees(found: float, wanted: float, standard_error: float) -> bool:
    return abs(found - wanted) < 4 * standard_error


def spec_with(**mismatch: object) -> HardwareSpec:
    return HardwareSpec(name="test", mismatch=Mismatch(**mismatch))  # pyright: ignore[reportArgumentType] - checked there


def test_global_factor_is_one_a_kind_and_die() -> None:
    mismatch = Mismatch(resistance_global_dtod=0.02, capacitance_global_dtod=0.05)
    few = drawn(mismatch, 3, Role.ARRAY, Role.INPUT, Role.INTEGRATION)
    for role, same in ((Role.ARRAY, Role.INPUT), (Role.INPUT, Role.ARRAY), (Role.INTEGRATION, Role.INTEGRATION)):
        np.testing.assert_array_equal(few[role], np.broadcast_to(few[same][:, :1, :1], few[role].shape))
    found = drawn(mismatch, 2 * DIES, Role.INPUT, Role.INTEGRATION)
    resistance, capacitance = found[Role.INPUT][:, 0, 0], found[Role.INTEGRATION][:, 0, 0]
    for value, sigma in ((resistance, 0.02), (capacitance, 0.05)):
        error = sigma / np.sqrt(2 * 2 * DIES)
        assert agrees(value.std(), sigma, error)
        assert not agrees(value.std(), 1.05 * sigma, error)
        assert agrees(value.mean(), 0, sigma / np.sqrt(2 * DIES))
    assert agrees(float(np.corrcoef(resistance, capacitance)[0, 1]), 0, 1 / np.sqrt(2 * DIES))


def test_gradient_is_a_plane_through_the_middle() -> None:
    found = drawn(Mismatch(gradient_dtod=0.1), 500, Role.ARRAY, Role.INPUT, Role.TRANSCONDUCTOR)
    plane = found[Role.ARRAY]
    down, across = np.diff(plane, axis=1), np.diff(plane, axis=2)
    np.testing.assert_allclose(down, np.broadcast_to(down[:, :1, :1], down.shape), atol=1e-16)
    np.testing.assert_allclose(across, np.broadcast_to(across[:, :1, :1], across.shape), atol=1e-16)
    np.testing.assert_allclose(plane.mean((1, 2)), 0, atol=1e-16)
    # the inputs, one column, have the rows' part of the same plane; the array of transconductors another plane
    np.testing.assert_allclose(found[Role.INPUT][..., 0], plane.mean(2), atol=1e-16)
    assert abs(np.corrcoef(found[Role.TRANSCONDUCTOR][:, 0, 0], plane[:, 0, 0])[0, 1]) < 4 / np.sqrt(500)


def test_gradient_from_edge_to_edge() -> None:
    """Both spans together are |s w|, of mean square s^2; either alone s^2/2, with E (w cos t)^4 = 3 x 3/8."""
    plane = drawn(Mismatch(gradient_dtod=0.1), DIES, Role.ARRAY)[Role.ARRAY]
    down, across = plane[:, -1, 0] - plane[:, 0, 0], plane[:, 0, -1] - plane[:, 0, 0]
    size = np.sqrt((down**2 + across**2).mean())
    assert agrees(size, 0.1, 0.1 / np.sqrt(2 * DIES))
    assert not agrees(size, 1.05 * 0.1, 0.1 / np.sqrt(2 * DIES))
    error = 0.01 * np.sqrt((9 / 8 - 1 / 4) / DIES)
    for span in (down, across):
        assert agrees((span**2).mean(), 0.01 / 2, error)
        assert agrees(span.mean(), 0, 0.1 / np.sqrt(2 * DIES))
    assert agrees((down * across).mean(), 0, 0.01 * np.sqrt(3 / 8 / DIES))  # E (w^2 cos t sin t)^2 = 3/8


def kernel(count: int, cells: float) -> NDArray[np.float64]:
    place = np.arange(count)
    return np.exp(-np.abs(place[:, None] - place[None, :]) / cells)


@pytest.mark.parametrize("cells", [0.3, 2.0, 1e9])
def test_correlated_field_has_the_stated_covariance(cells: float) -> None:
    """The map from white to correlated is linear: its matrix M, from unit inputs, has M M^T = K_rows x K_columns."""
    units = np.eye(12).reshape(12, 3, 4)
    M = np.stack([_correlated(unit, cells).ravel() for unit in units], axis=1)
    np.testing.assert_allclose(M @ M.T, np.kron(kernel(3, cells), kernel(4, cells)), atol=1e-14)


def test_correlated_draws_have_the_covariance() -> None:
    """All 78 covariances within 4.5 standard errors, (1 + rho^2)/n each; a field 5 % larger is refused."""
    sigma = 0.03
    found = (
        drawn(Mismatch(correlated_dtod=sigma, correlation_cells=2.0), DIES, Role.ARRAY)[Role.ARRAY].reshape(DIES, 12)
        / sigma
    )
    wanted = np.kron(kernel(3, 2.0), kernel(4, 2.0))
    error = np.sqrt((1 + wanted**2) / DIES)
    assert (np.abs(found.T @ found / DIES - wanted) / error).max() < 4.5
    assert (np.abs(1.05**2 * found.T @ found / DIES - wanted) / error).max() > 4.5
    assert wanted[0, 1] == pytest.approx(0.6065, abs=1e-4)  # one column apart: exp(-1/2)
    assert wanted[0, 4 + 1] == pytest.approx(0.3679, abs=1e-4)  # a row and a column apart: exp(-2/2)


def test_arrays_have_fields_of_their_own() -> None:
    found = drawn(Mismatch(correlated_dtod=0.03), 1000, Role.ARRAY, Role.INPUT)
    correlation = np.corrcoef(found[Role.ARRAY][:, 0, 0], found[Role.INPUT][:, 0, 0])[0, 1]
    assert agrees(float(correlation), 0, 1 / np.sqrt(1000))


@pytest.mark.parametrize("number", [0, 5])
def test_die_is_the_same_in_batches_of_8_and_of_1000(number: int) -> None:
    spec = spec_with(resistance_global_dtod=0.01, gradient_dtod=0.02, correlated_dtod=0.03)
    few, many = (manufacture("integrator", 3, spec, seed=2, chips=k).deviations["mismatch"] for k in (8, 1000))
    for role, value in few["deviation"].items():
        assert torch.equal(value[number], many["deviation"][role][number])
        assert not torch.equal(value[0], value[1])


def test_effects_add_up_and_none_moves_another() -> None:
    settings = {"resistance_global_dtod": 0.01, "gradient_dtod": 0.02, "correlated_dtod": 0.03}
    together = drawn(Mismatch(**settings), 3, Role.ARRAY)[Role.ARRAY]
    alone = [drawn(Mismatch(**{name: value}), 3, Role.ARRAY)[Role.ARRAY] for name, value in settings.items()]
    np.testing.assert_allclose(sum(alone), together, atol=1e-16)
    assert all(np.abs(part).max() > 1e-3 for part in alone)


def test_switching_on_moves_no_draw_of_the_tolerance() -> None:
    plain = presets.pcb_1k_1n()
    mixed = plain.with_value("mismatch.gradient_dtod", 0.02).with_value("mismatch.correlated_dtod", 0.02)
    one, two = (manufacture("integrator", 4, spec, seed=6).deviations for spec in (plain, mixed))
    for part in ("resistors", "capacitors", "amplifiers"):
        for quantity, roles in one[part].items():
            assert all(torch.equal(value, two[part][quantity][role]) for role, value in roles.items())


def test_off_draws_nothing() -> None:
    assert Mismatch().draw(Die(BUILT, 0, 0)) == {}
    assert Mismatch(resistance_corner=1.2, correlation_cells=3.0).draw(Die(BUILT, 0, 0)) == {}


def test_a_component_below_zero_is_refused() -> None:
    with pytest.raises(
        MisuseError, match=r"mismatch: chip \d+ of seed 0 would have an array resistor below 0 .*smaller"
    ):
        manufacture("integrator", 30, spec_with(correlated_dtod=0.6), chips=20)


def test_components_of_the_die_have_what_was_drawn() -> None:
    """R = corner R0 (1 + deviation), C likewise, at the row and column of each component."""
    spec = spec_with(
        resistance_corner=1.25, capacitance_corner=0.9, gradient_dtod=0.1, correlated_dtod=0.01
    )  # transconductors: below
    chip = manufacture("integrator", 3, spec, seed=4)
    nominal = program(manufacture("integrator", 3, presets.ideal()), LinearProblem(A, B)).elements
    real = chip.realise(nominal)
    deviation = chip.deviations["mismatch"]["deviation"]
    array = nominal.components[Role.ARRAY]
    for k, (row, column) in enumerate(zip(array.row.tolist(), array.column.tolist(), strict=True)):
        ratio = float(array.value[k] / real.value(Role.ARRAY)[k])
        assert ratio == pytest.approx(1.25 * (1 + float(deviation[Role.ARRAY][row, column])), rel=1e-14)
    for k in range(3):
        ratio = float(real.value(Role.INTEGRATION)[k] / nominal.value(Role.INTEGRATION)[k])
        assert ratio == pytest.approx(0.9 * (1 + float(deviation[Role.INTEGRATION][k, 0])), rel=1e-14)


def test_transconductors_have_their_corner() -> None:
    problem = LinearProblem(A, B)
    nominal = program(manufacture("gm_c", 3, presets.ideal()), problem).elements
    real = manufacture("gm_c", 3, spec_with(transconductance_corner=0.8, resistance_corner=3.0)).realise(nominal)
    for role in (Role.TRANSCONDUCTOR, Role.INPUT_TRANSCONDUCTOR):
        np.testing.assert_allclose(real.value(role).numpy(), 0.8 * nominal.value(role).numpy(), rtol=1e-15)


def settled(spec: HardwareSpec, duration: float) -> NDArray[np.float64]:
    return np.asarray(solve(A, B, topology="integrator", hardware=spec, engine="state_space", duration=duration).value)


def test_what_all_resistors_share_moves_no_settled_answer() -> None:
    """x = G^-1 G_in b: a factor on all of G and G_in cancels, a gradient does not."""
    exact = np.linalg.solve(A, B)
    shared = spec_with(resistance_corner=1.3, resistance_global_dtod=0.1)
    np.testing.assert_allclose(settled(shared, 1e-3), exact, atol=1e-12)
    assert np.abs(settled(spec_with(gradient_dtod=0.1), 1e-3) - exact).max() > 1e-3


def test_corners_stretch_time_by_rc() -> None:
    """R and C 1.2 and 1.12 times as large: the state at 1.2 x 1.12 t is the nominal one at t."""
    found = corners(presets.ideal())
    assert list(found) == [Corner.SLOW, Corner.TYPICAL, Corner.FAST]
    nominal = settled(found[Corner.TYPICAL], 1e-6)
    np.testing.assert_allclose(settled(found[Corner.SLOW], 1.2 * 1.12e-6), nominal, rtol=1e-12)
    np.testing.assert_allclose(settled(found[Corner.FAST], 0.8 * 0.88e-6), nominal, rtol=1e-12)
    assert np.abs(nominal - settled(found[Corner.SLOW], 1e-6)).max() > 1e-2


def test_corners_of_a_spec_with_corners_multiply() -> None:
    base = presets.ideal().with_value("mismatch.transconductance_corner", 0.5).with_value("resistors.largest_ohm", 1e7)
    slow = corners(base, transconductance=0.1, resistance=0.0)[Corner.SLOW]
    assert slow.mismatch.transconductance_corner == pytest.approx(0.45)
    assert slow.mismatch.resistance_corner == 1.0
    assert set(slow.differences(base)) == {"mismatch.transconductance_corner", "mismatch.capacitance_corner"}


@pytest.mark.parametrize("part", [-0.1, 1.0, True, "0.1", float("nan")])
def test_bad_corner(part: object) -> None:
    with pytest.raises(MisuseError, match=r"resistance = .*\[0, 1\)"):
        corners(presets.ideal(), resistance=part)  # pyright: ignore[reportArgumentType] - the point


def three_array(*, shared: bool) -> dict[str, Mapping[Role, torch.Tensor]]:
    spec = HardwareSpec(
        name="test", resistors=presets.pcb_1k_1n().resistors,
        mismatch=Mismatch(gradient_dtod=0.02, correlated_dtod=0.02, shared_arrays=shared),
    )  # fmt: skip
    chip = manufacture("three_array", 5, spec, seed=8, outputs=3, chips=2)
    return {
        "tolerance": chip.deviations["resistors"]["tolerance"],
        "deviation": chip.deviations["mismatch"]["deviation"],
    }


def test_shared_arrays_have_the_same_deviations_transposed() -> None:
    apart, together = three_array(shared=False), three_array(shared=True)
    for quantity in ("tolerance", "deviation"):
        assert together[quantity][Role.TRANSPOSE].shape == (2, 5, 3)
        assert torch.equal(together[quantity][Role.TRANSPOSE], together[quantity][Role.JACOBIAN].mT)
        assert not torch.equal(apart[quantity][Role.TRANSPOSE], apart[quantity][Role.JACOBIAN].mT)
        for role, value in apart[quantity].items():
            assert role is Role.TRANSPOSE or torch.equal(value, together[quantity][role])
