"""Matrix-free noise against dense covariances: the law exactly, by feeding unit vectors, and the reported error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from cases import nonnormal_matrices, spd_matrix
from scipy.integrate import quad_vec
from scipy.linalg import expm
from torch import Tensor

from tngd_hw.linear_sde import krylov_noise
from tngd_hw.linear_sde.faber import apply_plan, plan_noise
from tngd_hw.linear_sde.faber_steps import plan_steps, stepped_noise
from tngd_hw.linear_sde.numerical_range import box_around
from tngd_hw.outcome import MisuseError, Outcome

Array = npt.NDArray[np.float64]
N = 30
DRIFTS = nonnormal_matrices(N)


def _products(F: Array) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    matrix = torch.from_numpy(F)
    return lambda v: matrix @ v, lambda v: matrix.mT @ v


def _covariance(F: Array, t: float) -> Array:
    """Integral of e^(F s) e^(F^T s): adaptive quadrature over a short time, doubled up to t."""
    pieces = max(0, int(np.ceil(np.log2(np.linalg.norm(F, 2) * t))))
    h = t * 2.0**-pieces
    P, _ = quad_vec(lambda s: expm(F * s) @ expm(F * s).T, 0.0, h, epsabs=0.0, epsrel=1e-13)
    Phi = expm(F * h)
    for _ in range(pieces):
        P, Phi = P + Phi @ P @ Phi.T, Phi @ Phi
    return P


@pytest.mark.parametrize("name", list(DRIFTS))
@pytest.mark.parametrize("t", [0.1, 5.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_the_map_from_normals_to_noise_has_the_dense_covariance(name: str, t: float, tolerance: float) -> None:
    """M M^T for the whole linear map M: no statistics; what the plan says it leaves out bounds the difference."""
    F = DRIFTS[name]
    product, adjoint = _products(F)
    plan = plan_noise(box_around(product, adjoint, N, 300, 1.0 / t), t, tolerance, 500)
    r = plan.weights.shape[1]
    M = apply_plan(product, plan, torch.eye(r * N, dtype=torch.float64).reshape(r, N, r * N)).numpy()
    P = _covariance(F, t)
    left_out, size = plan.error * np.sqrt(N), np.sqrt(np.linalg.norm(P, 2))
    difference = np.linalg.norm(M @ M.T - P)
    assert plan.error <= tolerance * np.sqrt(np.trace(P) / N)
    assert difference <= 2.0 * size * left_out + left_out**2 + 1e-12 * np.linalg.norm(P)
    assert difference <= 3.0 * tolerance * np.sqrt(N) * np.linalg.norm(P)
    assert np.linalg.norm(1.05 * M @ M.T - P) > 0.04 * np.linalg.norm(P)


@pytest.mark.parametrize("name", list(DRIFTS))
def test_draws_follow_the_dense_law(name: str) -> None:
    """Draws whitened with the dense covariance: their mean square is 1 within 5 standard errors, sqrt(2/900) each.

    Noise whose variance is 50 % too large shows as 10 of them; the exact map is tested above.
    """
    F, t = DRIFTS[name], 3.0
    product, adjoint = _products(F)
    lower, rng = np.linalg.cholesky(0.3 * _covariance(F, t)), np.random.default_rng(5)
    draws = [
        krylov_noise(product, t, size=N, noise=0.3, generator=rng, adjoint=adjoint, tolerance=1e-3) for _ in range(30)
    ]
    white = np.linalg.solve(lower, np.stack([draw.value.numpy() for draw in draws], axis=1))
    assert all(draw.status.ok for draw in draws)
    assert abs((white**2).mean() - 1.0) < 5.0 * np.sqrt(2.0 / white.size)
    again = krylov_noise(
        product, t, size=N, noise=0.3, generator=np.random.default_rng(5), adjoint=adjoint, tolerance=1e-3
    )
    np.testing.assert_array_equal(again.value.numpy(), draws[0].value.numpy())


@pytest.mark.parametrize("name", list(DRIFTS))
def test_the_box_holds_the_numerical_range(name: str) -> None:
    F = DRIFTS[name]
    box = box_around(*_products(F), N, 300, 0.1)
    edges = np.linalg.eigvalsh(0.5 * (F + F.T))
    height = np.linalg.norm(0.5 * (F - F.T), 2)
    slack = 1e-12 * np.linalg.norm(F, 2)
    spread = edges[-1] - edges[0]
    assert box.left <= edges[0] + slack
    assert box.right >= edges[-1] - slack
    assert box.height >= height - slack
    assert box.right <= edges[-1] + 0.02 + 0.1 * spread + slack
    assert box.height <= 1.2 * height + 0.1 * spread + slack


def test_a_large_mismatched_operator_never_becomes_a_matrix() -> None:
    """100,000 states, two arrays 2 % apart: the variance of the many modes outside the span is known."""
    rng = np.random.default_rng(0)
    U = torch.from_numpy(rng.standard_normal((100_000, 8)) / 200.0)
    V = U * torch.linspace(0.98, 1.02, 8, dtype=torch.float64)
    ours = krylov_noise(
        lambda v: -0.1 * v - U @ (V.mT @ v),
        20.0,
        size=100_000,
        noise=1.0,
        generator=rng,
        adjoint=lambda v: -0.1 * v - V @ (U.mT @ v),
        tolerance=1e-4,
    )
    level = 5.0 * -np.expm1(-4.0)
    assert ours.status.ok
    assert float(ours.value.var()) == pytest.approx(level, rel=5.0 * np.sqrt(2.0 / 100_000))


def test_a_budget_too_small_is_not_settled_and_the_error_says_by_how_much() -> None:
    F = DRIFTS["rotating"]
    product, adjoint = _products(F)
    ours = krylov_noise(
        product, 5.0, size=N, noise=1.0, generator=np.random.default_rng(0), adjoint=adjoint, max_products=60
    )
    assert ours.status.outcome is Outcome.NOT_SETTLED
    assert ours.products <= 60
    assert ours.error > 1e-6 * np.linalg.norm(ours.value.numpy())


LONG = {
    "growing_first": 40.0,
    "mismatched_rows": 1e3,
    "beyond_its_spectrum": 60.0,
    "rotating": 300.0,
    "transport": 30.0,
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("later", [1.0, 20.0])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_steps_are_joined_as_well_as_they_say(name: str, later: float, tolerance: float) -> None:
    """The joined draw against the same noises of the steps carried on by dense exponentials, and what was left out.

    Symmetric parts have eigenvalues up to 0.49: over t = 1200 the bound of their growth would be e^588.
    """
    F, t, rng = DRIFTS[name], later * LONG[name], np.random.default_rng(3)
    product, adjoint = _products(F)
    plan = plan_steps(box_around(product, adjoint, N, 300, 1.0 / t), t, tolerance, 10_000)
    blocks: list[Tensor] = []

    def draw(rows: int) -> Tensor:
        blocks.append(torch.from_numpy(rng.standard_normal((rows, N))))
        return blocks[-1]

    ours = stepped_noise(product, plan, tolerance, most=10_000, draw=draw)
    P, x = _covariance(F, t), np.zeros(N)
    for block in blocks:
        x = expm(F * plan.h) @ x + apply_plan(product, plan.noise, block).numpy()
    size = np.sqrt(np.trace(P))
    left_out = np.trace(P - _covariance(F, plan.h * len(blocks)))
    assert plan.count > 1
    assert ours.relative <= tolerance
    assert np.linalg.norm(ours.value.numpy() - x) <= ours.relative * size
    assert left_out <= (ours.relative * size) ** 2 + 1e-13 * np.trace(P)
    assert 0.3 < ours.size / size < 3.0


@pytest.mark.parametrize("name", ["growing_first", "beyond_its_spectrum", "transport"])
def test_the_noise_of_a_step_is_right_in_every_direction(name: str) -> None:
    """Whitened with the covariance of the step, no direction is off by more than the plan says: so joining is safe."""
    F = DRIFTS[name]
    product, adjoint = _products(F)
    plan = plan_steps(box_around(product, adjoint, N, 300, 1e-3), 1000.0, 1e-4, 10_000)
    r = plan.noise.weights.shape[1]
    M = apply_plan(product, plan.noise, torch.eye(r * N, dtype=torch.float64).reshape(r, N, r * N)).numpy()
    Q = _covariance(F, plan.h)
    assert np.linalg.eigvalsh(Q)[0] >= (1.0 - 1e-10) * plan.level**2
    lower = np.linalg.cholesky(Q)
    white = np.linalg.solve(lower, np.linalg.solve(lower, M @ M.T - Q).T)
    theta = plan.noise.error / plan.level
    assert np.linalg.norm(white, 2) <= 2.0 * theta + theta**2 + 1e-10


@pytest.mark.parametrize("name", ["growing_first", "beyond_its_spectrum"])
def test_a_very_long_time_is_the_stationary_law_and_costs_no_more(name: str) -> None:
    """Mean square of whitened draws within 5 standard errors of 1; t = 1e9 takes the products of t = 1e3."""
    F = DRIFTS[name]
    product, adjoint = _products(F)
    lower, rng = np.linalg.cholesky(_covariance(F, 1e3)), np.random.default_rng(6)
    options = {"size": N, "noise": 1.0, "generator": rng, "adjoint": adjoint, "tolerance": 1e-3}
    draws = [krylov_noise(product, 1e9, **options) for _ in range(10)]
    white = np.linalg.solve(lower, np.stack([draw.value.numpy() for draw in draws], axis=1))
    assert all(draw.status.ok for draw in draws)
    assert abs((white**2).mean() - 1.0) < 5.0 * np.sqrt(2.0 / white.size)
    products = [krylov_noise(product, t, **options).products for t in (1e3, 1e9)]
    assert products[1] <= 1.3 * products[0]


def test_an_unstable_drift_is_drawn_up_to_its_time() -> None:
    F = np.array([[0.3, 1.0], [-1.0, -0.1]])
    product, adjoint = _products(F)
    P, rng = _covariance(F, 60.0), np.random.default_rng(1)
    draws = [
        krylov_noise(product, 60.0, size=2, noise=1.0, generator=rng, adjoint=adjoint, tolerance=1e-3)
        for _ in range(20)
    ]
    white = np.linalg.solve(np.linalg.cholesky(P), np.stack([draw.value.numpy() for draw in draws], axis=1))
    assert all(draw.status.ok for draw in draws)
    assert abs((white**2).mean() - 1.0) < 5.0 * np.sqrt(2.0 / white.size)


def test_growth_that_leaves_no_digit_is_not_settled() -> None:
    """200 states in a chain: transients of 1e10 at t = 50, and a rounding error of F makes it unstable."""
    product, adjoint = _products(-np.eye(200) + np.diag(1.5 * np.ones(199), 1))
    ours = krylov_noise(product, 200.0, size=200, noise=1.0, generator=np.random.default_rng(0), adjoint=adjoint)
    assert ours.status.outcome is Outcome.NOT_SETTLED
    assert ours.error > 1e-6 * np.linalg.norm(ours.value.numpy())


@pytest.mark.parametrize("condition", [1e3, 1e1])
@pytest.mark.parametrize("t", [0.5, 20.0])
def test_symmetric_noise_is_the_symmetric_root_and_its_error_is_honest(condition: float, t: float) -> None:
    size = 200
    F = -spd_matrix(size, 0, condition=condition)
    matrix = torch.from_numpy(F)
    options = {"size": size, "noise": 0.3, "tolerance": 1e-5, "max_products": size}
    ours = krylov_noise(lambda v: matrix @ v, t, generator=np.random.default_rng(8), **options)
    z = np.random.default_rng(8).standard_normal(size)
    values, axes = np.linalg.eigh(F)
    exact = axes @ (np.sqrt(0.3 * np.expm1(2.0 * values * t) / (2.0 * values)) * (axes.T @ z))
    error = float(np.linalg.norm(ours.value.numpy() - exact))
    assert ours.status.ok
    assert error <= 3.0 * ours.error + 1e-10 * np.linalg.norm(exact)
    assert error <= 3e-5 * np.linalg.norm(exact)
    assert np.linalg.norm(np.sqrt(1.05) * ours.value.numpy() - exact) > 1e-2 * np.linalg.norm(exact)


def test_products_rounded_to_float32_are_symmetric_enough() -> None:
    """Of 5e-6: passes at the tolerance 1e-4 and does not show; 1e-4, or 1e-7 at a fine tolerance, is refused."""
    generator, size = np.random.default_rng(9), 200
    values = np.where(np.arange(size) < 12, -np.geomspace(23.0, 0.5, size), -0.01)
    axes = np.linalg.qr(generator.normal(size=(size, size)))[0]
    skew = np.triu(generator.normal(size=(size, size)), 1)
    skew = (skew - skew.T) / np.linalg.norm(skew - skew.T, 2) * 23.0

    def drawn(rounding: float, tolerance: float) -> Array:
        F = torch.from_numpy(axes * values @ axes.T + rounding * skew)
        found = krylov_noise(
            lambda v: F @ v, 50.0, size=size, noise=0.2, generator=np.random.default_rng(8), tolerance=tolerance
        )
        assert found.status.ok
        return found.value.numpy()

    z = np.random.default_rng(8).standard_normal(size)
    exact = axes @ (np.sqrt(0.2 * np.expm1(100.0 * values) / (2.0 * values)) * (axes.T @ z))
    assert np.linalg.norm(drawn(5e-6, 1e-4) - exact) < 3e-4 * np.linalg.norm(exact)
    for rounding, tolerance in ((1e-4, 1e-4), (1e-7, 1e-8)):
        with pytest.raises(MisuseError, match="product is not symmetric"):
            drawn(rounding, tolerance)


def test_misuse() -> None:
    options = {"noise": 1.0, "generator": np.random.default_rng(0)}
    skew = torch.tensor([[-1.0, 1.0], [-1.0, -2.0]], dtype=torch.float64)
    with pytest.raises(MisuseError, match="product is not symmetric: give"):
        krylov_noise(lambda v: skew @ v, 1.0, size=2, **options)
    with pytest.raises(MisuseError, match="adjoint is not the transpose"):
        krylov_noise(lambda v: skew @ v, 1.0, size=2, adjoint=lambda v: skew @ v, **options)
    with pytest.raises(MisuseError, match=r"product gave torch\.float64 of shape \(1,\)"):
        krylov_noise(lambda v: v[:1], 1.0, size=2, adjoint=lambda v: v, **options)
    with pytest.raises(MisuseError, match=r"noise = -1\.0"):
        krylov_noise(lambda v: -v, 1.0, size=2, noise=-1.0, generator=np.random.default_rng(0))
    still = krylov_noise(lambda v: -v, 1.0, size=2, noise=0.0, generator=np.random.default_rng(0))
    assert (still.status.ok, still.value.tolist()) == (True, [0.0, 0.0])
    with pytest.raises(MisuseError, match="size = 0"):
        krylov_noise(lambda v: -v, 1.0, size=0, **options)
