"""The natural gradient from imperfect arrays at the size of a network: what bits, mismatch and noise do to training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from tngd_hw.curvature import GGNOperator, ggn_operator, output_jacobian
from tngd_hw.hardware import Die, Draws, HardwareSpec, Role
from tngd_hw.problem import Factors
from tngd_hw.random import derived_seed
from tngd_hw.training.method import Batch, Loss, check_damping, check_step, fill_gradients
from tngd_hw.training.relaxation import Relaxed, run_schedule
from tngd_hw.training.relaxed_gradient import gain_of
from tngd_hw.training.schedule import AnalogSchedule, AnalogStart
from tngd_hw.training.written_arrays import ArrayDie, WrittenArrays

__all__ = ["ArrayDevice", "ArrayGradient"]


@dataclass(frozen=True, eq=False)
class ArrayGradient:
    """One natural gradient and how it came about.

    Attributes:
        loss: Batch loss before the update.
        direction: What the ADC read, shape (N,), float64.
        gradient: The plain gradient g, shape (N,), before the DAC.
        state: x when the next matrix arrives, shape (N,).
        operator: The damped curvature of the batch as computed, at the parameters before the update.
        arrays: What the die held.
        relaxed: The device's step.
    """

    loss: float
    direction: Tensor
    gradient: Tensor
    state: Tensor
    operator: GGNOperator
    arrays: WrittenArrays
    relaxed: Relaxed

    def curvature(self, v: Tensor) -> Tensor:
        """J^T H J v, shape (N,).  Cost: one curvature product."""
        return replace(self.operator, damping=0.0).apply(v)

    def log(self) -> Mapping[str, float]:
        """``products`` with the arrays, and the ``gain`` |x|/|g|."""
        return {"products": float(self.relaxed.products), "gain": gain_of(self.direction, self.gradient)}


@dataclass(frozen=True)
class ArrayDevice:
    """Three arrays around one node a parameter, with real resistors and converters and ideal amplifiers.

    The die is one for the whole training; every step writes it anew.  Mean and noise at the time t are exact up to the
    schedule's tolerance for any arrays, symmetric or not (Krylov subspaces of products with the written arrays).

    Attributes:
        hardware: Resistors, capacitors, programming, memory, damping, mismatch, temperature; levels, gain and INL of
            the converters, whose ranges are calibrated to what they carry.
        schedule: Analog time, start, delay, readouts, injected noise.
        seed: Of the die.
        noise_seed: Of what is drawn at every use: noise, write errors.
        tile_columns: Columns of a tile; see :mod:`tngd_hw.training.written_arrays`.
        exact: Roles that are held as computed, to ask what the others do.

    Raises:
        MisuseError: An effect of the hardware that is not modelled.
    """

    hardware: HardwareSpec
    schedule: AnalogSchedule
    seed: int = 0
    noise_seed: int = 0
    tile_columns: int = 1024
    exact: tuple[Role, ...] = ()

    def __post_init__(self) -> None:
        self._die()

    def natural_gradient(
        self, model: nn.Module, loss: Loss, batch: Batch, *, damping: float, state: Tensor | None = None, step: int = 0
    ) -> ArrayGradient:
        """Fill ``p.grad`` with x(t) as the ADC reads it.

        Raises:
            MisuseError: What curvature and hardware refuse, a damping not above 0.
            OutcomeError: The relaxation could not be simulated to its tolerance, with the step.

        Cost: the Jacobian, one writing, and 4 m N operations a product.  Memory: two arrays of 4 m N bytes (J of a
        float32 network becomes one of them), and 8 N bytes a product.
        """
        operator = ggn_operator(model, loss, batch, damping=check_damping(damping))
        g = operator.gradient()
        arrays = self._written(model, batch, operator, step)
        relaxed = self._run(arrays, self._put_on(g), state, step)
        check_step(relaxed.status, step)
        direction = self._read(arrays.rate * relaxed.reading)
        fill_gradients(model, direction)
        after = arrays.rate * relaxed.state
        return ArrayGradient(operator.loss, direction, g, after, operator, arrays, relaxed)

    def _written(self, model: nn.Module, batch: Batch, operator: GGNOperator, step: int) -> WrittenArrays:
        J = output_jacobian(model, batch[0], promote=False)[1]
        seed = derived_seed(self.noise_seed, "training.write", step)
        return self._die().write(Factors(J, operator.H, operator.damping), seed=seed, in_place=True)

    def _run(self, arrays: WrittenArrays, b: Tensor, state: Tensor | None, step: int) -> Relaxed:
        """The relaxation in the coordinates y = x/R."""
        schedule, x0 = self.schedule, state
        if schedule.start is AnalogStart.GRADIENT or (schedule.start is AnalogStart.PREVIOUS and state is None):
            x0 = b
        if schedule.start is AnalogStart.GRADIENT:
            schedule = replace(schedule, start=AnalogStart.PREVIOUS)
        return run_schedule(
            arrays.product,
            arrays.input_gain * b,
            schedule,
            previous=None if x0 is None else x0 / arrays.rate,
            adjoint=None if arrays.is_symmetric else arrays.adjoint,
            seed=self.noise_seed,
            use=step,
        )

    def _put_on(self, g: Tensor) -> Tensor:
        dac = self.hardware.dac
        return dac.output(g[None, None, :, None], self._ports("dac", len(g)), None)[0].reshape(-1)

    def _read(self, x: Tensor) -> Tensor:
        adc = self.hardware.adc
        return adc.reading(x[None, None, :, None], self._ports("adc", len(x)), None)[0].reshape(-1)

    def _ports(self, name: str, n: int) -> Draws:
        die = Die({Role.DAC: (n, 1), Role.ADC: (n, 1)}, self.seed, 0)
        return self.hardware.ports()[name].draw(die)

    def _die(self) -> ArrayDie:
        return ArrayDie(self.hardware, self.seed, self.tile_columns, exact=self.exact)
