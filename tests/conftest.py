"""What every test relies on: no display, one torch thread, repeatable hypothesis runs, and skips that are counted."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator

os.environ["MPLBACKEND"] = "Agg"  # before anything can import matplotlib

import pytest
import torch
from hypothesis import settings
from real_data import NO_DATA, NO_MODEL

settings.register_profile("tngd", deadline=None, derandomize=True)  # the same examples on every machine
settings.load_profile("tngd")

NO_NGSPICE = "no ngspice on this machine (apt-get install ngspice, or brew install ngspice)"


def pytest_configure() -> None:
    """One thread: small matrices gain nothing from two, and lose up to 50 times when another process has the core."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_open_figures() -> Generator[None]:
    """Figures that a test left open in pyplot are not the next one's."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(trylast=True)  # after -m and -k have chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked ``ngspice`` where there is none."""
    if shutil.which("ngspice") is not None:
        return
    for item in items:
        if item.get_closest_marker("ngspice") is not None:
            item.add_marker(pytest.mark.skip(reason=NO_NGSPICE))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line each that counts what was skipped for want of ngspice or of data: a green run cannot hide it."""
    skipped = terminalreporter.stats.get("skipped", [])
    count = sum(NO_NGSPICE in str(report.longrepr) for report in skipped)
    if count:
        terminalreporter.write_line(f"{count} ngspice tests skipped: {NO_NGSPICE}", yellow=True)
    reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
    for reason, what in ((NO_MODEL, "question-answering tests"), (NO_DATA, "tests of real data")):
        absent = [text.partition(reason)[2] for text in reasons if reason in text]
        if absent:
            names = ", ".join(sorted({name for names in absent for name in names.split(", ")}))
            terminalreporter.write_line(f"{len(absent)} {what} skipped: {reason}{names}", yellow=True)
