"""``solve`` and ``simulate`` draw a bar of how long ngspice has taken and will take, and only where that is long."""

from __future__ import annotations

import importlib
import io
import sys

import pytest
from rich.console import Console

from tngd_hw.cli.output import Output
from tngd_hw.cli.progress import Progress
from tngd_hw.engines import Ngspice, RunEstimate, StateSpace

WATCHED = "_watched"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


def drawn(elapsed_s: float, predicted_s: float) -> str:
    """What stands on a terminal after :meth:`Progress.tell`."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    with console.status("ngspice ...") as spinner:
        Progress("ngspice ...", spinner).tell(elapsed_s, RunEstimate(predicted_s, 1, 1))
        console.print(spinner.renderable)
    return screen.getvalue()


def test_a_long_run_has_a_bar_and_a_short_one_has_none() -> None:
    long = drawn(15.0, 60.0)
    assert "15 s of about 60 s" in long
    assert "━" * 7 in long
    assert "of about" not in drawn(1.0, 4.9)
    assert "75 s of about 60 s" in drawn(75.0, 60.0)


def test_solve_tells_ngspice_alone() -> None:
    watched = getattr(importlib.import_module("tngd_hw.cli.solve"), WATCHED)
    progress = Progress("ngspice ...", None)
    engine = watched("ngspice", progress, force=True)
    assert isinstance(engine, Ngspice)
    assert engine.progress == progress.tell
    assert engine.force
    assert not watched("ngspice", progress, force=False).force
    assert isinstance(watched("state_space", progress, force=True), StateSpace)


@pytest.mark.parametrize(
    ("as_json", "quiet", "terminal"), [(True, False, True), (False, True, True), (False, False, 0)]
)
def test_where_nothing_is_drawn(as_json: bool, quiet: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Output(as_json=as_json, quiet=quiet, verbose=False).working("ngspice ...") as progress:
        progress.tell(3.0, RunEstimate(9.0, 1, 1))
    assert stream.getvalue() == ""


def test_on_a_terminal_something_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with Output(as_json=False, quiet=False, verbose=False).working("ngspice ...") as progress:
        progress.tell(3.0, RunEstimate(9.0, 1, 1))
    assert stream.getvalue() != ""
