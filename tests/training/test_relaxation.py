"""The device at the network's size against dense linear algebra in numpy: filter, starts, delay, averaging, noise."""

import math

import numpy as np
import pytest
import torch

from tngd_hw.outcome import MisuseError, Outcome
from tngd_hw.training import AnalogSchedule, AnalogStart, relax, run_schedule

N, LAMBDA = 9, 0.05


def case():
    """A symmetric A with eigenvalues 0.05 to about 8, a gradient and another vector of no special direction."""
    g = np.random.default_rng(4)
    W = g.normal(size=(6, N))
    return W.T @ W / 3 + LAMBDA * np.eye(N), g.normal(size=N), g.normal(size=N)


def product_of(A):
    matrix = torch.from_numpy(A)
    return lambda v: matrix @ v


def filtered(A, g, x0, t):
    """Eq. 19 of the paper with damping, through the eigenvalues."""
    mu, Q = np.linalg.eigh(A)
    return Q @ (np.exp(-mu * t) * (Q.T @ x0) - np.expm1(-mu * t) / mu * (Q.T @ g))


def tensor(*arrays):
    return tuple(torch.from_numpy(np.asarray(a)) for a in arrays)


def schedule(**options):
    return AnalogSchedule(**{"tolerance": 1e-11, **options})


@pytest.mark.parametrize("t", [1e-6, 0.3, 5.0, 50.0, 1e4])
def test_it_is_the_finite_time_filter_from_any_start(t):
    A, g, x0 = case()
    found = relax(product_of(A), *tensor(g, x0), t, tolerance=1e-11)
    expected = filtered(A, g, x0, t)
    assert found.status.ok
    assert np.linalg.norm(found.reading.numpy() - expected) < 1e-9 * np.linalg.norm(expected)
    late = filtered(A, g, x0, 1.05 * t)  # the comparison can fail
    if 0.1 < t < 100:
        assert np.linalg.norm(late - expected) > 1e-4 * np.linalg.norm(expected)


def test_from_the_gradient_a_short_time_is_sgd_and_a_long_one_the_damped_natural_gradient():
    A, g, _ = case()
    run = {t: run_schedule(product_of(A), *tensor(g), schedule(duration_tau=t)).reading.numpy() for t in (1e-9, 1e5)}
    assert np.allclose(run[1e-9], g, rtol=1e-7)
    assert np.allclose(run[1e5], np.linalg.solve(A, g), rtol=1e-8)


def test_each_start_is_where_it_says():
    A, g, x0 = case()
    for start, begin in ((AnalogStart.PREVIOUS, x0), (AnalogStart.GRADIENT, g), (AnalogStart.ZERO, 0 * g)):
        found = run_schedule(product_of(A), *tensor(g), schedule(duration_tau=2.0, start=start), previous=tensor(x0)[0])
        assert np.allclose(found.reading.numpy(), filtered(A, g, begin, 2.0), rtol=1e-9, atol=1e-12)
    first = run_schedule(product_of(A), *tensor(g), schedule(duration_tau=2.0))
    assert np.allclose(first.reading.numpy(), filtered(A, g, g, 2.0), rtol=1e-9, atol=1e-12)


def test_a_delay_moves_the_state_on_the_old_matrix_and_not_the_reading():
    A, g, x0 = case()
    plan = schedule(duration_tau=1.5, delay_tau=0.7)
    found = run_schedule(product_of(A), *tensor(g), plan, previous=tensor(x0)[0])
    assert np.allclose(found.reading.numpy(), filtered(A, g, x0, 1.5), rtol=1e-9, atol=1e-12)
    assert np.allclose(found.state.numpy(), filtered(A, g, x0, 2.2), rtol=1e-9, atol=1e-12)


def test_readouts_are_averaged_at_their_times():
    A, g, x0 = case()
    plan = schedule(duration_tau=1.0, readouts=3, spacing_tau=0.4)
    found = run_schedule(product_of(A), *tensor(g), plan, previous=tensor(x0)[0])
    expected = np.mean([filtered(A, g, x0, t) for t in (1.0, 1.4, 1.8)], axis=0)
    assert np.allclose(found.reading.numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("start", [AnalogStart.ZERO, AnalogStart.GRADIENT])
@pytest.mark.parametrize("t", [0.3, 50.0, 1e4])
def test_the_gain_without_curvature_is_what_the_device_reads(start, t):
    g = tensor(case()[1])[0]
    plan = schedule(duration_tau=t, start=start, readouts=3, spacing_tau=7.0)
    read = run_schedule(lambda v: LAMBDA * v, g, plan).reading
    torch.testing.assert_close(read, plan.flat_gain(LAMBDA) * g, rtol=1e-9, atol=0)
    other = schedule(duration_tau=1.05 * t, start=start, readouts=3, spacing_tau=7.0)
    if t < 100:  # the comparison can fail
        assert abs(other.flat_gain(LAMBDA) / plan.flat_gain(LAMBDA) - 1) > 1e-3


def test_the_gain_by_hand():
    """(1 - e^-1)/0.05 = 12.6424, and e^-1 more from the gradient."""
    assert schedule(duration_tau=20.0, start=AnalogStart.ZERO).flat_gain(0.05) == pytest.approx(12.6424, abs=1e-4)
    assert schedule(duration_tau=20.0, start=AnalogStart.GRADIENT).flat_gain(0.05) == pytest.approx(13.0103, abs=1e-4)
    with pytest.raises(MisuseError, match="start = 'previous'"):
        schedule(duration_tau=20.0).flat_gain(0.05)
    with pytest.raises(MisuseError, match="damping = 0"):
        schedule(start=AnalogStart.ZERO).flat_gain(0)


def test_noise_has_the_covariance_of_the_finite_time():
    """Along the eigenvectors: the mean ratio over draws and modes has the standard error sqrt(2/(draws N))."""
    A, g, x0 = case()
    kappa, t, draws = 0.02, 1.3, 250
    mean = filtered(A, g, x0, t)
    mu, Q = np.linalg.eigh(A)
    rows = [
        relax(product_of(A), *tensor(g, x0), t, kappa=kappa, seed=5, use=k, tolerance=1e-6).reading.numpy() - mean
        for k in range(draws)
    ]
    expected = -kappa * np.expm1(-2 * mu * t) / mu
    ratios = np.square(np.stack(rows) @ Q).mean(axis=0) / expected
    one_mode, all_modes = 4 * math.sqrt(2 / draws), 4 * math.sqrt(2 / (draws * N))
    assert np.all(np.abs(ratios - 1) < one_mode)
    assert abs(ratios.mean() - 1) < all_modes
    stationary = ratios * expected * mu / kappa  # the law it would have at rest is another one, and is seen to be
    assert abs(stationary.mean() - 1) > all_modes


def test_a_seed_and_a_step_give_one_draw():
    A, g, _ = case()
    plan = schedule(duration_tau=1.0, kappa=0.1, readouts=2, tolerance=1e-6)
    one, same = (run_schedule(product_of(A), *tensor(g), plan, seed=3, use=7) for _ in range(2))
    other = run_schedule(product_of(A), *tensor(g), plan, seed=3, use=8)
    assert torch.equal(one.reading, same.reading)
    assert not torch.equal(one.reading, other.reading)


def test_a_budget_that_runs_out_is_an_outcome():
    A, g, _ = case()
    found = run_schedule(product_of(A), *tensor(g), schedule(duration_tau=50.0, max_products=3))
    assert found.status.outcome is Outcome.NOT_SETTLED


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"duration_tau": 0.0}, "duration_tau = 0.0"),
        ({"duration_tau": math.nan}, "duration_tau = nan"),
        ({"kappa": -1.0}, "kappa = -1.0"),
        ({"readouts": 0}, "readouts = 0"),
        ({"delay_tau": 1.0, "start": AnalogStart.ZERO}, "a reset forgets"),
    ],
)
def test_misuse_names_field_value_and_remedy(options, says):
    with pytest.raises(MisuseError, match=says):
        AnalogSchedule(**options)


def test_a_state_of_another_model_is_refused():
    A, g, _ = case()
    with pytest.raises(MisuseError, match="another model"):
        run_schedule(product_of(A), *tensor(g), schedule(), previous=torch.zeros(3, dtype=torch.float64))


def test_noise_is_not_drawn_where_the_mean_has_no_answer():
    """A product that is not symmetric and a budget of 3: what is spent is the mean's."""
    matrix = torch.diag(torch.linspace(1.0, 50.0, 12, dtype=torch.float64))
    matrix[0, 5] = 3.0
    plan = AnalogSchedule(5.0, AnalogStart.ZERO, kappa=0.1, tolerance=1e-8, max_products=3)
    found = run_schedule(
        lambda v: matrix @ v, torch.ones(12, dtype=torch.float64), plan, adjoint=lambda v: matrix.T @ v
    )
    assert found.status.outcome is Outcome.NOT_SETTLED
    assert found.products <= 3
