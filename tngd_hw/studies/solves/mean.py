"""A x = b read from the mean of a circuit that settles to the answer."""

from __future__ import annotations

import torch
from torch import Tensor

from tngd_hw.linear_sde import state_mean_at, stationary_mean
from tngd_hw.studies.solves.converted_readings import deviations, draw_count, normals, said_averages
from tngd_hw.studies.solves.parts_of_error import Dies, ErrorParts, exact_answer, parts_of_error
from tngd_hw.studies.solves.readings import AverageLaw, Reading, average_of_readings

__all__ = ["errors_by_mean"]

_LOOKS = 8
"""Saturation is looked for at so many times of the noise-free run."""


def errors_by_mean(dies: Dies, reading: Reading, times: Tensor) -> ErrorParts:
    """The parts of the error of the average of readings.

    Args:
        dies: The stable dies.
        reading: How often they are read.
        times: Of the readings, seconds, shape (N,).

    Returns:
        Every part with the batch of the equations, or with one entry a die where an ADC acts.
    """
    loaded, sde, inputs = dies.loaded, dies.sde, dies.inputs
    end, _ = stationary_mean(sde, inputs)
    first = float(times[0])
    looks = torch.arange(1, _LOOKS + 1, dtype=torch.float64) * (first / _LOOKS)
    states = state_mean_at(sde, looks, x0=dies.state, u=inputs)
    feed = (sde.D @ inputs.unsqueeze(-1)).squeeze(-1)
    law = average_of_readings(
        sde, first=first, spacing=reading.spacing_tau * loaded.tau, count=reading.samples,
        deviation=states[..., -1, :] - end, noisy=dies.noisy, covariance0=dies.start.covariance,
    )  # fmt: skip
    settled = (sde.C @ end.unsqueeze(-1)).squeeze(-1) + feed
    limit = loaded.voltage_limit
    limit = limit if limit.ndim == 1 or bool(dies.stable.all()) else limit[dies.stable]
    excess = ((states @ sde.C.mT + feed.unsqueeze(-2)).abs().amax(-2) / limit).amax(-1)
    clipped = torch.zeros_like(excess)
    variance = torch.diagonal(law.covariance, dim1=-2, dim2=-1)
    now = settled + law.mean
    if loaded.chip.hardware.adc.effects():
        now, settled, variance, clipped = _as_said(dies, reading, times, law, settled)
    exact = exact_answer(loaded.problem)
    to_unknown = loaded.unknowns(torch.ones(loaded.n, dtype=torch.float64))
    off = loaded.unknowns(settled) - exact
    away = loaded.unknowns(now - settled)
    return parts_of_error(exact, off, away, (variance * to_unknown**2).sum(-1), excess=excess, clipped=clipped)


def _as_said(
    dies: Dies, reading: Reading, times: Tensor, law: AverageLaw, settled: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean now, mean in the end, variance and share clipped as the ADC says them, of every die."""
    loaded, sde, inputs = dies.loaded, dies.sde, dies.inputs
    variance = torch.diagonal(law.covariance, dim1=-2, dim2=-1)
    means = state_mean_at(sde, times, x0=dies.state, u=inputs) @ sde.C.mT
    means = means + (sde.D @ inputs.unsqueeze(-1)).mT
    draws, around = draw_count(loaded, reading, noisy=dies.noisy), None
    if draws > 1 and dies.noisy:
        around = dies.drawn_of_all(
            deviations(
                sde, law.first_spread, normals(dies.seed, dies.numbers), spacing=reading.spacing_tau * loaded.tau,
                count=reading.samples, draws=draws,
            )
        )  # fmt: skip
    now, end, spread = (dies.of_all(value) for value in (means, settled, variance))
    said = said_averages(loaded, now, end, around, spread, draws=draws, seed=dies.seed)
    now, end, spread, clipped = (dies.of_stable(value) for value in (said.now, said.end, said.variance, said.clipped))
    share = clipped / (reading.samples * loaded.n)
    return now, end, spread, torch.where(clipped >= 0.5, share, 0.0)
