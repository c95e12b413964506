"""``solve`` tells how long ngspice has taken and will take, and only where that is long."""

from __future__ import annotations

import importlib

import pytest

from tngd_hw.cli.output import Output
from tngd_hw.engines import Ngspice, StateSpace
from tngd_hw.engines.ngspice_estimate import RunEstimate

WATCHED = "_watched"


def test_a_long_run_is_told_and_a_short_one_is_not() -> None:
    shown: list[str] = []
    watched = getattr(importlib.import_module("tngd_hw.cli.solve"), WATCHED)
    engine = watched("ngspice", shown.append)
    assert isinstance(engine, Ngspice)
    assert engine.progress is not None
    engine.progress(1.0, RunEstimate(4.9, 1, 1))
    assert shown == []
    engine.progress(12.3, RunEstimate(61.2, 1, 1))
    assert shown == ["ngspice ... 12 s of about 61 s"]
    assert isinstance(watched("state_space", shown.append), StateSpace)


def test_without_a_terminal_there_is_no_spinner(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False, quiet=False, verbose=False).working("ngspice ...") as show:
        show("ngspice ... 3 s of about 9 s")
    assert capsys.readouterr() == ("", "")
