"""The effective matrix of a filter from one noisy path: maximum likelihood of its recorded voltages.

In units of tau the outputs of a filter obey dx = (-A_eff x + c) dt + diag(sqrt(2 q)) dW.  A_eff, c and q are those of
largest exact likelihood of the recorded points (:func:`~tngd_hw.linear_sde.path_log_density`), found from the nominal
ones by L-BFGS; their standard errors are those of the observed information.  No known vectors are needed, only noise.
What a path shows and settled answers do not: an error of the capacitor of node i scales row i of A_eff and c_i.  What
it does not show: the gain of the inputs.  Fast poles of real amplifiers are taken as part of the filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from tngd_hw.engines import Trajectory
from tngd_hw.linear_sde import LinearSDE, path_log_density
from tngd_hw.linear_sde.dense import eigh, solve
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.readout.calibration import Calibration
from tngd_hw.topologies import LoadedChip

__all__ = ["PathFit", "fit_path"]

_PASSES = 200
_LARGEST = 12
"""Unknowns beyond which the information matrix of n^2 + 2 n parameters is no small problem."""


@dataclass(frozen=True, eq=False)
class PathFit:
    """Parameters of dx = (-A_eff x + c) dt/tau + diag(sqrt(2 q/tau)) dW.

    Attributes:
        nominal: A that was asked for, shape (n, n).
        matrix: A_eff, shape (n, n).
        matrix_stderr: Same shape.
        drive: c, shape (n,): the constant right-hand side with the offsets.
        drive_stderr: Same shape.
        noise: q, shape (n,): densities of the noise, kappa where all is nominal.
        noise_stderr: Same shape.
        log_density: Of the record, natural logarithm.
        status: OK, or NOT_SETTLED where the search has not ended, SINGULAR where the path does not tell.
        duration_s: Of the record.
    """

    nominal: Tensor
    matrix: Tensor
    matrix_stderr: Tensor
    drive: Tensor
    drive_stderr: Tensor
    noise: Tensor
    noise_stderr: Tensor
    log_density: float
    status: Status
    duration_s: float

    def calibration(self, b: Tensor | None = None) -> Calibration:
        """M = A_eff^-1 and o = M (c - b), with ``b`` what was driven during the record (default 0)."""
        M = solve(self.matrix, torch.eye(len(self.matrix), dtype=torch.float64))
        residue = self.drive if b is None else self.drive - b
        offset, square = M @ residue, M.square()
        spread = square @ self.matrix_stderr.square() @ square
        offset_square = square @ (self.drive_stderr.square() + self.matrix_stderr.square() @ offset.square())
        return Calibration(
            self.nominal, M, spread.sqrt(), offset, offset_square.sqrt(), self.status, 1, self.duration_s
        )


def fit_path(loaded: LoadedChip, trajectory: Trajectory, *, from_s: float = 0.0) -> PathFit:
    """Fit the filter to one recorded run.

    Args:
        loaded: The chip it was recorded on, for its nominal matrix and its scales.
        trajectory: One right-hand side, one chip, with noise.
        from_s: Points before this time are left out.

    Returns:
        A PathFit.  Cost: O(n^2 T + n^3) a step of the search, and as much for each of the n^2 + 2 n parameters at the
        end; for n up to 12.

    Raises:
        MisuseError: No noise, several chips or right-hand sides, a circuit that is no filter, too many unknowns.
    """
    if not loaded.topology.is_filter:
        raise MisuseError(f"topology = {loaded.chip.topology!r}: not dx/dt = -(A x - b)/tau at every time")
    if trajectory.chips is not None or trajectory.node_axis != -1:
        raise MisuseError("trajectory has several chips or right-hand sides: give one path")
    if not trajectory.noisy:
        raise MisuseError("trajectory has no noise: program with kappa above 0, or calibrate with known vectors")
    if loaded.n > _LARGEST:
        raise MisuseError(f"n = {loaded.n}: a path is fitted up to {_LARGEST} unknowns; calibrate with known vectors")
    chosen = trajectory.times_s >= from_s
    times = (trajectory.times_s[chosen] - from_s) / loaded.tau
    points = loaded.unknowns(trajectory.voltage_volt[chosen])
    if len(points) < 10 * (loaded.n + 2):
        raise MisuseError(
            f"trajectory has {len(points)} points from {from_s:g} s on: give {10 * (loaded.n + 2)} or more"
        )
    model = _Likelihood(times, points)
    nominal = loaded.problem.formed_matrix()
    start = torch.cat([nominal.flatten(), nominal @ points.mean(0), _first_noise(times, points).log()])
    best, ended = _search(model, start)
    information = cast("Tensor", torch.autograd.functional.hessian(model, best))
    values, vectors = eigh((information + information.T) / 2)
    status = Status()
    if float(values[0]) <= 0:
        status = Status(Outcome.SINGULAR, "the path does not determine every entry", "record a longer path")
    elif not ended:
        status = Status(Outcome.NOT_SETTLED, f"the search has not ended after {_PASSES} steps", "record a longer path")
    error = (vectors.square() / values.clamp_min(torch.finfo(torch.float64).tiny)).sum(-1).sqrt()
    n = loaded.n
    A, c, log_q = best[: n * n].reshape(n, n), best[n * n : n * n + n], best[n * n + n :]
    A_error, c_error, q_error = error[: n * n].reshape(n, n), error[n * n : n * n + n], error[n * n + n :]
    return PathFit(
        nominal, A, A_error, c, c_error, log_q.exp(), log_q.exp() * q_error, -float(model(best)), status,
        loaded.tau * float(times[-1] - times[0]),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """-log p of the record as a function of (A, c, log q)."""

    times: Tensor
    points: Tensor

    def __call__(self, parameters: Tensor) -> Tensor:
        n = self.points.shape[-1]
        A, c, log_q = parameters[: n * n].reshape(n, n), parameters[n * n : n * n + n], parameters[n * n + n :]
        sde = LinearSDE(-A, c[:, None], torch.diag((2.0 * log_q.exp()).sqrt()))
        value, _ = path_log_density(sde, self.times, self.points, u=torch.ones(1, dtype=torch.float64))
        return -value


def _first_noise(times: Tensor, points: Tensor) -> Tensor:
    """q from the squares of the increments, which the drift hardly moves on short steps."""
    return (points.diff(dim=0).square() / times.diff()[:, None]).mean(0) / 2


def _search(model: _Likelihood, start: Tensor) -> tuple[Tensor, bool]:
    """The parameters of largest likelihood, and whether the gradient has vanished there."""
    parameters = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [parameters], max_iter=_PASSES, history_size=50, tolerance_grad=1e-6, tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = model(parameters)
        loss.backward()
        return loss

    optimiser.step(closure)
    best = parameters.detach()
    gradient = cast("Tensor", torch.autograd.functional.jacobian(model, best))
    return best, float(gradient.abs().max()) < 1e-2 * len(model.times) ** 0.5
