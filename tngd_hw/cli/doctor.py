"""``tngd-hw doctor``: what is installed, what is missing, how to get it, and whether it works."""

from __future__ import annotations

from tngd_hw.cli.machine import inspect_machine
from tngd_hw.cli.options import JsonOption
from tngd_hw.cli.output import Output
from tngd_hw.cli.self_check import self_check
from tngd_hw.outcome import Outcome, Status

__all__ = ["doctor"]


def doctor(as_json: JsonOption = False) -> Status:
    """Say what this machine can run, and try it on a system of two unknowns.

    The exit code is 0 also when something optional is missing (ngspice, PySpice, a GPU), 1 when something is broken.
    """
    output = Output(as_json, quiet=False, verbose=False)
    with output.working("looking ..."):
        machine, check = inspect_machine(), self_check()
    status = check.status
    if machine.missing_packages:
        names = ", ".join(machine.missing_packages)
        status = Status(Outcome.CHECK_FAILED, f"packages that tngd-hw needs are missing: {names}")
    output.document(
        {
            "outcome": status.outcome.value,
            "message": str(status),
            **machine.to_dict(),
            "self_check": check.to_dict(),
        }
    )
    output.say(str(machine))
    output.say(str(check))
    return status
