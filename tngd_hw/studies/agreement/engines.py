"""At every step of a training: does another engine give the same answer for the same programmed chip?"""

from __future__ import annotations

from dataclasses import dataclass, field

from tngd_hw.engines import Engine
from tngd_hw.outcome import MisuseError
from tngd_hw.training import NaturalGradient

__all__ = ["AgreementWatch", "EngineDifference"]


@dataclass(frozen=True)
class EngineDifference:
    """One comparison to make at every step.

    Attributes:
        label: Legend text.
        engine: The engine whose answer the running one is held against.
    """

    label: str
    engine: Engine


@dataclass(eq=False)
class AgreementWatch:
    """Collects |y - y_other| / |y_other| (2-norm over nodes) at every step, both engines on the same loaded chip.

    Attributes:
        comparisons: What to compare with.
        differences: Label to one relative difference a step.
        last: The last step seen.
    """

    comparisons: tuple[EngineDifference, ...]
    differences: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    last: NaturalGradient | None = None

    def last_step(self) -> NaturalGradient:
        """The last step seen; MisuseError before the first."""
        if self.last is None:
            raise MisuseError("no step was watched: train for at least one step")
        return self.last

    def watch(self, found: NaturalGradient) -> None:
        """Run the other engines on the chip of this step.  Cost: one run of each."""
        solve = found.solve
        duration = solve.trajectory.duration_s
        for comparison in self.comparisons:
            state = comparison.engine.init(solve.loaded)
            _, other = comparison.engine.run(state, duration=duration, times_s=[duration])
            other.status.require_ok()
            difference = float((solve.trajectory.final_volt - other.final_volt).square().sum().sqrt())
            size = float(other.final_volt.square().sum().sqrt())
            self.differences.setdefault(comparison.label, []).append(difference / size)
        self.last = found
