"""The ngspice that a run uses, or the sentence that says what is missing."""

from __future__ import annotations

import os

from tngd_hw.engines.spice.process import NgspiceVersion, find_ngspice, ngspice_version
from tngd_hw.outcome import Outcome, OutcomeError, Status

__all__ = ["required_ngspice", "usable_ngspice"]

_OLDEST = 39
_VARIABLE = "TNGD_NGSPICE"


def usable_ngspice() -> tuple[NgspiceVersion | None, Status]:
    """The program that TNGD_NGSPICE or the search path names; None and SIMULATOR_MISSING where there is none to use."""
    path, chosen = find_ngspice(), os.environ.get(_VARIABLE)
    if path is None and chosen:
        detail = f"{_VARIABLE} = {chosen!r} is no program that can be run"
        advice = f"correct or unset it; else {Outcome.SIMULATOR_MISSING.remedy}"
        return None, Status(Outcome.SIMULATOR_MISSING, detail, advice)
    if path is None:
        return None, Status(Outcome.SIMULATOR_MISSING, "there is no ngspice on this machine")
    version = ngspice_version(path)
    if version.major < _OLDEST:
        said = f"it says version {version.major}" if version.major else "it does not answer --version as ngspice does"
        return None, Status(Outcome.SIMULATOR_MISSING, f"{path} is not ngspice {_OLDEST} or newer ({said})")
    return version, Status()


def required_ngspice() -> NgspiceVersion:
    """As :func:`usable_ngspice`; OutcomeError(SIMULATOR_MISSING) where there is none."""
    version, status = usable_ngspice()
    if version is None:
        raise OutcomeError(status)
    return version
