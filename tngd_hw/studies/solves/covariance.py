r"""A x = b read from the covariance of a circuit that gives no solution by its mean: x = Cov(x) b / kappa.

With readings y_1 ... y_N of zero mean, x_hat = (1/N) sum_k y_k (y_k . b) / kappa.  Readings far enough apart are
independent, and Gaussian.  Of covariance S and mean m (what a charge left by the reset still does), P = S + m m^T,

    E x_hat = P b / kappa,      tr Cov x_hat = (tr P  b.P b + |P b|^2 - 2 |m|^2 (m.b)^2) / (N kappa^2).

settling is |(P - S_inf) b| / kappa over |x*|, systematic |S_inf b / kappa - x*|, sampling the root of the trace: of a
perfect ADC kappa drops out of all three.  The first reading comes after the duration, every other one a duration after
the last (from rest again), so that all have the law S, m and none knows of another.

What an ADC sees is Gaussian too, with (1 + gain) S (1 + gain) + noise^2 and (1 + gain) m + offset in the places of S
and m.  What its levels change is taken from draws, see :mod:`tngd_hw.studies.solves.converted_readings`.

Source: the moments of a Gaussian of fourth order (Isserlis); hardware.md 1.4 has the same law for the whole matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde import covariance_at, mean_at, stationary_covariance
from tngd_hw.linear_sde.dense import solve
from tngd_hw.linear_sde.gaussian import square_root
from tngd_hw.readout.digitise import converted
from tngd_hw.studies.solves.converted_readings import corrected, draw_count, normals, slope_and_noise
from tngd_hw.studies.solves.parts_of_error import Dies, ErrorParts, parts_of_error
from tngd_hw.studies.solves.readings import Reading

__all__ = ["errors_by_covariance"]


@dataclass(frozen=True, eq=False)
class _Law:
    """Mean (..., n) and covariance (..., n, n) of one reading."""

    mean: Tensor
    covariance: Tensor

    def scaled(self, factor: Tensor) -> _Law:
        """That of every reading times ``factor``, (..., n)."""
        return _Law(self.mean * factor, self.covariance * (factor.unsqueeze(-1) * factor.unsqueeze(-2)))

    def answer(self, right: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of y (y . b), shape (..., n), and the trace of its covariance, shape (...)."""
        P = self.covariance + self.mean.unsqueeze(-1) * self.mean.unsqueeze(-2)
        mean = P @ right
        trace = torch.diagonal(P, dim1=-2, dim2=-1).sum(-1)
        known = self.mean.square().sum(-1) * (self.mean @ right).square()
        return mean, trace * (mean * right).sum(-1) + mean.square().sum(-1) - 2 * known


def errors_by_covariance(dies: Dies, right: Tensor, reading: Reading, duration: Tensor) -> ErrorParts:
    """The parts of the error.

    Args:
        dies: Stable dies, programmed with A and noise, without b.
        right: b, shape (n,); it meets the readings outside the chip.
        reading: How often they are read.
        duration: Seconds from rest to a reading, no axis.
    """
    loaded, sde = dies.loaded, dies.sde
    stationary, _ = stationary_covariance(sde)
    spread = covariance_at(sde, float(duration), covariance0=dies.start.covariance)
    mean = mean_at(sde, duration.reshape(1), x0=dies.state, u=dies.inputs).squeeze(-2)
    now, end = _Law(mean, sde.C @ spread @ sde.C.mT), _Law(torch.zeros_like(mean), sde.C @ stationary @ sde.C.mT)
    scale = loaded.unknowns(torch.ones(loaded.n, dtype=torch.float64)) / loaded.kappa**0.5
    clipped = torch.zeros(sde.batch_shape, dtype=torch.float64)
    if loaded.chip.hardware.adc.effects():
        answer, variance, clipped = _as_said(dies, now, right, scale, reading)
        limit, _, _ = _as_said(dies, end, right, scale, reading)
    else:
        answer, variance = now.scaled(scale).answer(right)
        limit, _ = end.scaled(scale).answer(right)
    exact = solve(loaded.problem.dense_matrix(), right.unsqueeze(-1)).squeeze(-1)
    return parts_of_error(
        exact, limit - exact, answer - limit, variance / reading.samples,
        excess=torch.zeros(sde.batch_shape, dtype=torch.float64), clipped=clipped,
    )  # fmt: skip


def _as_said(dies: Dies, law: _Law, right: Tensor, scale: Tensor, reading: Reading) -> tuple[Tensor, Tensor, Tensor]:
    """Mean answer, N times the trace of its covariance and the share clipped, as the ADC says them, of every die."""
    loaded = dies.loaded
    adc, own = loaded.chip.hardware.adc, loaded.chip.deviations["adc"]
    volt = _Law(dies.of_all(law.mean), dies.of_all(law.covariance))
    slope, noise = slope_and_noise(loaded)
    seen = volt.scaled(slope)
    offset = adc.seen(torch.zeros_like(volt.mean)[:, None, :, None], own, None)[:, 0, :, 0]
    seen = _Law(seen.mean + offset, seen.covariance + noise * torch.eye(loaded.n, dtype=torch.float64))
    mean, variance = seen.scaled(scale).answer(right)
    if adc.is_linear:
        return dies.of_stable(mean), dies.of_stable(variance), dies.of_stable(torch.zeros_like(variance))
    count, draws = reading.samples, draw_count(loaded, reading, noisy=True)
    normal = dies.drawn_of_all(normals(dies.seed, dies.numbers)(loaded.n, count * draws))
    drawn = square_root(volt.covariance) @ normal
    drawn = drawn.reshape(-1, loaded.n, count, draws).movedim(2, 1)
    found = converted(volt.mean[:, None, :, None] + drawn, loaded, seed=dies.seed)

    def answers(readings: Tensor) -> Tensor:
        y = readings * scale[:, None]
        return (y * (y * right[:, None]).sum(-2, keepdim=True)).mean(1)

    mean, total = corrected(mean, variance.unsqueeze(-1), answers(found.said), answers(found.seen))
    clipped = torch.where(found.clipped * count * loaded.n >= 0.5, found.clipped, 0.0)
    return dies.of_stable(mean), dies.of_stable(total.squeeze(-1)), dies.of_stable(clipped)
