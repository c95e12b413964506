"""Which runs the Poisson study makes, and how a setting is chosen for each method.

Every method has one number to choose: a learning rate, or a damping.  First order gets thirteen values, no natural
gradient more than thirteen.  The choice is by the training loss after the last step of one search network, which is not
among those of the final runs; the held-out error is never looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tngd_hw.hardware import HardwareSpec, presets
from tngd_hw.studies.poisson.runs import FirstOrderRun, NaturalRun, PoissonRun, Rule
from tngd_hw.studies.poisson.solvers import Arrays, Conjugate, Device, DualDie
from tngd_hw.training import DigitalOptimizer

__all__ = ["CHIPS", "CHIP_DAMPINGS", "MAP_DAMPINGS", "MAP_TIMES", "METHODS", "SEARCH_SEED", "Method", "chip_runs"]

SEARCH_SEED: Final = 1000
"""Of the network that settings are chosen on."""

_DAMPINGS: Final = tuple(10.0**-k for k in range(13))
MAP_DAMPINGS: Final = tuple(10.0**-k for k in range(7))
MAP_TIMES: Final = (5.0, 50.0, 500.0, 5e3, 5e4, 5e5)
"""In tau."""

CHIP_DAMPINGS: Final = tuple(10.0**-k for k in range(5))
_SETTLED: Final = 10.0
"""Analog time of a chip in units of tau/lambda."""


@dataclass(frozen=True)
class Method:
    """A method and the values among which its setting is chosen.

    Attributes:
        name: For legends and tables.
        make: From name and setting to the run.
        settings: To try.
    """

    name: str
    make: Callable[[str, float], PoissonRun]
    settings: tuple[float, ...]

    @property
    def is_natural(self) -> bool:
        """False for first order, whose runs are longer."""
        return isinstance(self.make("", self.settings[0]), NaturalRun)

    def trials(self) -> list[PoissonRun]:
        """One run a setting."""
        return [self.make(f"{self.name}, {setting:.3g}", setting) for setting in self.settings]

    def chosen(self, found: Mapping[tuple[str, int], dict[str, Any]]) -> PoissonRun:
        """The run with the lowest training loss at the end of its trial, under the method's name."""
        best = min(self.trials(), key=lambda run: trial_score(found[run.name, SEARCH_SEED]))
        return replace(best, name=self.name)


def trial_score(cell: Mapping[str, Any]) -> float:
    """Training loss after the last step; infinite for a run that stopped."""
    extra: dict[str, list[float | None]] = cell["record"]["extra"]
    last = extra["loss_at"][-1]
    stopped = any(name.startswith("stopped") for name in extra)
    return math.inf if last is None or stopped else last


def _first(optimizer: DigitalOptimizer, cosine: bool = False) -> Callable[[str, float], PoissonRun]:
    return lambda name, lr: FirstOrderRun(name, optimizer, lr, cosine)


def _natural(
    solver: Conjugate | Device | None = None, rule: Rule = Rule.LINE_SEARCH
) -> Callable[[str, float], PoissonRun]:
    return lambda name, damping: NaturalRun(name, damping, solver, rule)


_ADAM, _SGD = DigitalOptimizer.ADAM, DigitalOptimizer.SGD

METHODS: Final = (
    Method("SGD", _first(_SGD), _SGD.default_grid),
    Method("Adam", _first(_ADAM), _ADAM.default_grid),
    Method("Adam, rate falls to 0", _first(_ADAM, cosine=True), _ADAM.default_grid),
    Method("steepest descent, line search", _natural(Conjugate(1)), (1e-6,)),
    Method("NGD-CG, 20 iterations", _natural(Conjugate(20)), _DAMPINGS),
    Method("NGD, exact", _natural(), _DAMPINGS),
    Method("NGD, exact, rate 1", _natural(rule=Rule.ONE), _DAMPINGS),
    Method("NGD, exact, Levenberg-Marquardt", _natural(rule=Rule.LEVENBERG_MARQUARDT), _DAMPINGS),
    *(Method(f"TNGD, t = {t:g} tau", _natural(Device(t)), MAP_DAMPINGS) for t in MAP_TIMES),
    *(
        Method(f"TNGD, t = {t:g} tau, state kept", _natural(Device(t, keeps_state=True)), (1e-2, 1e-4, 1e-6))
        for t in (5.0, 50.0, 500.0)
    ),
)
"""All that is trained with perfect parts."""


def _dual(spec: HardwareSpec, damping: float) -> DualDie:
    return DualDie(spec, _SETTLED / damping)


def _arrays(spec: HardwareSpec, damping: float) -> Arrays:
    return Arrays(spec, _SETTLED / damping)


def _chips() -> dict[str, Callable[[float], DualDie | Arrays]]:
    board, ideal = presets.pcb_1k_1n(), presets.ideal()
    trimmed = board.with_value("amplifiers.offset_volt_dtod", 0.0)
    loose = board.with_value("resistors.tolerance_dtod", 0.01)
    rounded = ideal.with_value("programming.bits", 8)
    arrays = ideal.with_value("resistors.tolerance_dtod", 0.001).with_value("mismatch.shared_arrays", True)
    return {
        "dual, perfect parts": lambda damping: _dual(ideal, damping),
        "dual, pcb_1k_1n (0.1 %)": lambda damping: _dual(board, damping),
        "dual, pcb_1k_1n, offsets trimmed": lambda damping: _dual(trimmed, damping),
        "dual, pcb_1k_1n with 1 %": lambda damping: _dual(loose, damping),
        "dual, 8 bits": lambda damping: _dual(rounded, damping),
        "dual, 12 bits": lambda damping: _dual(ideal.with_value("programming.bits", 12), damping),
        "arrays J, J^T shared, 0.1 %": lambda damping: _arrays(arrays, damping),
        "arrays J, J^T apart, 0.1 %": lambda damping: _arrays(
            arrays.with_value("mismatch.shared_arrays", False), damping
        ),
    }


CHIPS: Final = _chips()
"""Chips by name; from a damping to what the natural gradient is asked of."""


def chip_runs() -> list[NaturalRun]:
    """Every chip at every damping."""
    return [
        NaturalRun(f"{name}, {damping:.3g}", damping, make(damping))
        for name, make in CHIPS.items()
        for damping in CHIP_DAMPINGS
    ]


def runs_of(methods: Sequence[Method]) -> list[PoissonRun]:
    """All trials of several methods."""
    return [run for method in methods for run in method.trials()]
