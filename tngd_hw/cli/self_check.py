"""A run from end to end on two unknowns: does this installation give right answers?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tngd_hw.outcome import Outcome, Status

__all__ = ["SelfCheck", "self_check"]

_A, _B = [[2.0, -1.0], [-1.0, 2.0]], [1.0, 0.5]
_ANSWER = (2.5 / 3.0, 2.0 / 3.0)  # by hand: A^-1 = [[2, 1], [1, 2]]/3
_TOLERANCE = 1e-4
"""Settling leaves 1e-6; ngspice's final values are within 1e-5 of the largest voltage."""


@dataclass(frozen=True)
class SelfCheck:
    """The largest deviation from the answer by hand; None for a simulator that was not run.

    Attributes:
        state_space_error: Of the engine state_space.
        ngspice_error: Of ngspice.
        difference: Between the two.
        tolerance: What each may be.
        ngspice_status: What ngspice's run came to; OK where there is no ngspice to run.
    """

    state_space_error: float
    ngspice_error: float | None
    difference: float | None
    tolerance: float
    ngspice_status: Status = field(default_factory=Status)

    @property
    def status(self) -> Status:
        """OK, or what is broken.  A missing ngspice is not broken."""
        if not self.state_space_error <= self.tolerance:
            return Status(Outcome.CHECK_FAILED, f"state_space is off by {self.state_space_error:.2g} on two unknowns")
        if not self.ngspice_status.ok:
            return self.ngspice_status
        if self.ngspice_error is not None and not self.ngspice_error <= self.tolerance:
            return Status(Outcome.SIMULATOR_FAILED, f"ngspice is off by {self.ngspice_error:.2g} on two unknowns")
        return Status()

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "state_space_error": self.state_space_error,
            "ngspice_error": self.ngspice_error,
            "difference": self.difference,
            "tolerance": self.tolerance,
            "outcome": self.status.outcome.value,
        }

    def __str__(self) -> str:
        lines = [f"self check: state_space is {self.state_space_error:.1e} from the answer by hand"]
        if self.ngspice_error is not None:
            lines.append(f"self check: ngspice is {self.ngspice_error:.1e} from it, {self.difference:.1e} apart")
        else:
            lines.append(
                "self check: ngspice gave no answer" if not self.ngspice_status.ok else "self check: no ngspice"
            )
        return "\n".join(lines)


def self_check() -> SelfCheck:
    """Solve two equations with state_space and, where there is one, with ngspice."""
    import numpy as np

    from tngd_hw.api import solve
    from tngd_hw.engines import find_ngspice

    exact = np.array(_ANSWER)
    first = solve(_A, _B, engine="state_space").value.numpy()
    own = float(np.abs(first - exact).max())
    if find_ngspice() is None:
        return SelfCheck(own, None, None, _TOLERANCE)
    estimate = solve(_A, _B, engine="ngspice")
    if not estimate.status.ok:
        return SelfCheck(own, None, None, _TOLERANCE, estimate.status)
    second = estimate.value.numpy()
    return SelfCheck(own, float(np.abs(second - exact).max()), float(np.abs(second - first).max()), _TOLERANCE)
