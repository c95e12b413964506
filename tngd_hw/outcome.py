"""What came of a computation (data), and what a caller did wrong (exceptions).

A *numerical outcome* (a matrix the circuit cannot hold, a run that did not settle, a simulator that died) is data: an
:class:`Outcome` inside a :class:`Status`, carried by reports, trajectories and estimates.  *Misuse* (a wrong shape, a
NaN, an unknown name) raises :class:`MisuseError` with one sentence that names the field, the value and the remedy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["DivergedError", "MisuseError", "Outcome", "OutcomeError", "Status", "TngdError"]


class Outcome(enum.Enum):
    """How a run ended.  The value is the name used in JSON; :attr:`remedy` says what to do about it."""

    OK = "ok"
    NOT_SETTLED = "not_settled"
    SATURATED = "saturated"
    UNSTABLE = "unstable"
    SINGULAR = "singular"
    NOT_REALIZABLE = "not_realizable"
    SIMULATOR_MISSING = "simulator_missing"
    SIMULATOR_FAILED = "simulator_failed"
    TIMED_OUT = "timed_out"
    CHECK_FAILED = "check_failed"

    @property
    def remedy(self) -> str:
        """One clause: what the user can change."""
        return _REMEDIES[self]


_REMEDIES: dict[Outcome, str] = {
    Outcome.OK: "nothing to do",
    Outcome.NOT_SETTLED: "run longer, or raise the damping so that the slowest mode is faster",
    Outcome.SATURATED: "scale the drive down (larger x_max), or choose an amplifier with a larger output range",
    Outcome.UNSTABLE: "every eigenvalue of A needs a positive real part; raise the damping, or use a faster amplifier",
    Outcome.SINGULAR: "add damping so that A is invertible",
    Outcome.NOT_REALIZABLE: "choose a topology or a chip that can hold this matrix",
    Outcome.SIMULATOR_MISSING: (
        "install ngspice (Debian and Ubuntu: apt-get install ngspice; macOS: brew install ngspice), "
        "or use the engine state_space, which needs none"
    ),
    Outcome.SIMULATOR_FAILED: "read the simulator's message, or run the same netlist with state_space",
    Outcome.CHECK_FAILED: "read what was reported; the results were written where the run writes any",
    Outcome.TIMED_OUT: "raise the time limit, shorten the run, or use the engine state_space",
}


@dataclass(frozen=True)
class Status:
    """An outcome with the sentence that explains it.

    Attributes:
        outcome: What came of it.
        detail: The facts of this case (which row, which value); empty when all is well.
        advice: What to do in this case, where the outcome's own remedy does not fit; empty: that remedy.
    """

    outcome: Outcome = Outcome.OK
    detail: str = ""
    advice: str = ""

    @property
    def remedy(self) -> str:
        """One clause: what the user can change."""
        return self.advice or self.outcome.remedy

    @property
    def ok(self) -> bool:
        """True when the result can be used as it is."""
        return self.outcome is Outcome.OK

    def __str__(self) -> str:
        """The whole sentence: outcome, detail, remedy."""
        if self.ok:
            return "ok"
        return f"{self.outcome.value}: {self.detail}; {self.remedy}"

    def require_ok(self) -> None:
        """Raise :class:`OutcomeError` unless the outcome is OK (for callers who cannot go on without a result)."""
        if not self.ok:
            raise OutcomeError(self)


class TngdError(Exception):
    """Base of the exceptions of this package."""


class MisuseError(TngdError, ValueError):
    """An argument that cannot be meant: one sentence with field, value and remedy.  Exit code 2 on the command line."""


class DivergedError(MisuseError):
    """A network whose parameters or outputs are beyond what a curvature can be taken of; loops end there."""


class OutcomeError(TngdError, RuntimeError):
    """A failed outcome where the caller required a result.  Exit code 1 on the command line.

    Attributes:
        status: The outcome and its detail.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(str(status))
        self.status = status
