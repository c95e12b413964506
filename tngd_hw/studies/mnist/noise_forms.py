"""``python -m tngd_hw.studies.mnist.noise_forms OUT``: the same injected noise in the primal and in both dual forms.

A noise of kappa at every node of a chip means another noise of the direction in every form.  With the matrices
A = J^T H J + lambda I and K of the dual form, and x = R^T y what is made of its answer, after a time t

    primal                 Cov(x) = kappa A^-1 (1 - e^(-2 A t)):  every flat direction has (1 - e^(-2 lambda t))/lambda
    symmetric dual         Cov(x) = kappa R^T K^-1 (1 - e^(-2 K t)) R,   R = H^(1/2) J:  flat directions have none
    output dual            Cov(x) = kappa R^T P_t R, dP_t/dt = 2 I - K P_t - P_t K^T,  R = J,  K not symmetric

(t in units of tau, where A and K are dimensionless; arXiv 2405.13817 shows the primal at t = tau, Fig. 7).  A reset to
the gradient is one more node of the dual forms, with noise like the others.  Finished cells are kept in OUT/cells.
"""

from __future__ import annotations

import enum
import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from tngd_hw.engines import Behavioral
from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError, TngdError
from tngd_hw.report.style import save_figure, styled, tidy
from tngd_hw.storage import finite_data, write_json
from tngd_hw.studies.curves.cells import curve_parser, kept_cells
from tngd_hw.studies.curves.curves import Curve, curves_of, draw_curves
from tngd_hw.tasks import MNIST_FILES, ClassificationTask, mnist_task, obtain_data
from tngd_hw.topologies import manufacture
from tngd_hw.training import (
    TNGD,
    AnalogSchedule,
    AnalogSolver,
    AnalogStart,
    DualChip,
    DualForm,
    NaturalGradientMethod,
    RelaxedDevice,
    TrainingRecord,
    train_tngd,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RUNS", "FirstDirection", "FormRun", "NoiseForm", "first_direction", "forms_figure", "main", "train_run"]

BATCH_SIZE: Final = 16
DAMPING: Final = 0.01
LEARNING_RATE: Final = 0.01
_CLASSES: Final = 10
_KAPPAS: Final = (0.0, 0.001, 0.01, 0.1)
_TIMES_TAU: Final = (1.0, 50.0)


class NoiseForm(enum.Enum):
    """Where the noise acts."""

    PRIMAL = "primal"
    SYMMETRIC = "symmetric dual"
    OUTPUT = "output dual"


_DUAL: Final = {NoiseForm.SYMMETRIC: DualForm.SYMMETRIC, NoiseForm.OUTPUT: DualForm.OUTPUT}


@dataclass(frozen=True)
class FormRun:
    """One curve.

    Attributes:
        form: What stands on the chip.
        duration_tau: Analog time t in tau.
        kappa: Injected noise.
    """

    form: NoiseForm
    duration_tau: float
    kappa: float

    @property
    def name(self) -> str:
        """For tables; unique."""
        return f"{self.form.value}, t = {self.duration_tau:g} tau, kappa = {self.kappa:g}"

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        plan = {"form": self.form.value, "duration_tau": self.duration_tau, "kappa": self.kappa}
        return {**plan, "batch_size": BATCH_SIZE, "damping": DAMPING, "lr": LEARNING_RATE}

    def method(self, seed: int) -> NaturalGradientMethod[Any]:
        """A perfect device or chip, reset to the gradient at every step."""
        if self.form is NoiseForm.PRIMAL:
            plan = AnalogSchedule(self.duration_tau, AnalogStart.GRADIENT, kappa=self.kappa, tolerance=1e-4)
            return RelaxedDevice(plan, seed)
        chip = manufacture("integrator", BATCH_SIZE * _CLASSES + 1, presets.ideal(), seed=seed)
        solver = AnalogSolver(chip, Behavioral(), self.duration_tau, self.kappa, seed, AnalogStart.GRADIENT)
        return DualChip(solver, _DUAL[self.form])


RUNS: Final = tuple(FormRun(form, t, kappa) for t in _TIMES_TAU for form in NoiseForm for kappa in _KAPPAS)


def _task(form: NoiseForm, data_dir: str | None) -> ClassificationTask:
    return mnist_task(data_dir=data_dir, dtype=torch.float32 if form is NoiseForm.PRIMAL else torch.float64)


def train_run(run: FormRun, seed: int, steps: int, *, data_dir: str | None = None) -> TrainingRecord:
    """Train one curve; network, batches and noise have the number ``seed``.  Cost: 0.2 s a step of a dual form."""
    return train_tngd(
        lambda parameters: TNGD(parameters, run.method(seed), lr=LEARNING_RATE, damping=DAMPING),
        _task(run.form, data_dir),
        network_seed=seed,
        batches_seed=seed,
        batch_size=BATCH_SIZE,
        steps=steps,
        evaluate_every=steps,
        name=run.name,
    )


@dataclass(frozen=True)
class FirstDirection:
    """What the noise does to the first direction.

    Attributes:
        relative_noise: |noise of the direction|/|direction without noise|, one draw of all N numbers.
        v0_volt: Volts on a node for an unknown of 1; kappa v0^2 is the variance of a node with an eigenvalue of 1.
            None for the primal, which is no circuit here.
    """

    relative_noise: float
    v0_volt: float | None


def first_direction(run: FormRun, *, data_dir: str | None = None) -> FirstDirection:
    """At the first step of seed 0, with and without noise."""
    task = _task(run.form, data_dir)
    batch = next(iter(task.minibatches(BATCH_SIZE, 1, 0)))
    clean, noisy = (
        FormRun(run.form, run.duration_tau, kappa)
        .method(0)
        .natural_gradient(task.make_network(0), nn.CrossEntropyLoss(), batch, damping=DAMPING)
        for kappa in (0.0, run.kappa)
    )
    square = (noisy.direction - clean.direction).square().sum() / clean.direction.square().sum()
    return FirstDirection(float(square.sqrt()), noisy.log().get("v0_volt"))


def forms_figure(curves: Mapping[FormRun, Curve], window: int) -> Figure:
    """Rows: t; columns: forms; lines: kappa."""
    from matplotlib.figure import Figure

    times = sorted({run.duration_tau for run in curves})
    forms = [form for form in NoiseForm if any(run.form is form for run in curves)]
    with styled():
        figure = Figure(figsize=(11.0, 3.4 * len(times) + 0.6), layout="constrained")
        charts = figure.subplots(len(times), len(forms), sharex=True, sharey=True, squeeze=False)
        for row, t in zip(charts, times, strict=True):
            for axes, form in zip(row, forms, strict=True):
                shown = {run.kappa: curve for run, curve in curves.items() if (run.form, run.duration_tau) == (form, t)}
                labels = [f"kappa = {kappa:g}: {_ending(curve)}" for kappa, curve in shown.items()]
                draw_curves(axes, list(shown.values()), window, labels, dash_controls=False)
                axes.set_title(f"{form.value}, t = {t:g} tau", fontsize=10)
                axes.label_outer()
                tidy(axes)
                axes.legend(fontsize=8, loc="lower left")
        charts[0, 0].set_ylim(0, 4.0)
        seeds = len(next(iter(curves.values())).loss)
        figure.suptitle(
            f"MNIST, injected noise in three forms, batches of {BATCH_SIZE}: mean of up to {window} mini-batches,\n"
            f"mean and standard deviation over {seeds} seeds; in the legends the final held-out accuracy",
            fontsize=10,
        )
    return figure


def _ending(curve: Curve) -> str:
    lost = sum(math.isnan(accuracy) for accuracy in curve.accuracy)
    return f"{lost} of {len(curve.accuracy)} diverged" if lost else f"{100 * fmean(curve.accuracy):.1f} %"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit codes 0, and 2 for a wrong call."""
    parser = curve_parser("tngd_hw.studies.mnist.noise_forms", __doc__, seeds=3)
    parser.add_argument("--steps", type=int, default=100)
    given = parser.parse_args(arguments)
    seeds, window = list(range(given.seeds)), max(1, given.steps // 5)
    try:
        cells = kept_cells(
            RUNS,
            seeds,
            given.steps,
            given.out,
            functools.partial(train_run, data_dir=given.data_dir),
            workers=given.workers,
            prepare=functools.partial(obtain_data, MNIST_FILES, given.data_dir),
            label="noise in three forms",
        )
        curves = dict(zip(RUNS, curves_of(RUNS, seeds, given.steps, cells), strict=True))
        rows: list[dict[str, Any]] = [
            {**curve.to_dict(window), **vars(first_direction(run, data_dir=given.data_dir))}
            for run, curve in curves.items()
        ]
        save_figure(forms_figure(curves, window), given.out / "noise_forms.png")
        summary = {"steps": given.steps, "seeds": seeds, "window": window, "runs": rows}
        write_json(given.out / "summary.json", finite_data(summary))
    except TngdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, MisuseError) else 1
    print(f"{'run':<45} {'loss':>7} {'accuracy':>9} {'noise/direction':>16} {'v0':>9}")
    for row in rows:
        accuracy, noise = 100 * fmean(row["final_accuracy"]), row["relative_noise"]
        volts = "" if row["v0_volt"] is None else f"{1e3 * row['v0_volt']:.3g} mV"
        print(f"{row['run']:<45} {row['final_loss_mean']:7.3f} {accuracy:7.2f} % {noise:16.3g} {volts:>9}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
