"""``demo`` on the command line: options in, the document out, endings as everywhere; the job has its own tests."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import tngd_hw.demo
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list:
    """The options that the job was given; it answers with a number that JSON does not have."""
    given: list = []

    def run(chosen: object) -> dict[str, object]:
        given.append(chosen)
        return {"accuracy": 0.9, "loss": math.nan}

    monkeypatch.setattr(tngd_hw.demo, "run_demo", run)
    return given


def test_options_and_document(cli, options: list) -> None:
    result = cli("demo", "--out", "here", "--engine", "state_space", "--steps", "3", "--seed", "7", "-q", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"accuracy": 0.9, "loss": None}
    (chosen,) = options
    assert (chosen.out, chosen.engine, chosen.steps, chosen.seed, chosen.quiet) == (
        Path("here"),
        "state_space",
        3,
        7,
        True,
    )


def test_defaults(cli, options: list) -> None:
    assert cli("demo").exit_code == 0
    assert options == [tngd_hw.demo.DemoOptions()]


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (MisuseError("steps = 0: expected at least 1"), 2, "error: steps = 0: expected at least 1"),
        (OutcomeError(Status(Outcome.TIMED_OUT, "slow")), 1, "failed: timed_out: slow; "),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device"),
    ],
)
def test_endings(cli, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, line: str) -> None:
    def run(_: object) -> dict[str, object]:
        raise raised

    monkeypatch.setattr(tngd_hw.demo, "run_demo", run)
    result = cli("demo")
    assert result.exit_code == code
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_failed_gate_is_in_the_document(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> dict[str, object]:
        raise OutcomeError(Status(Outcome.SIMULATOR_FAILED, "gone"))

    monkeypatch.setattr(tngd_hw.demo, "run_demo", run)
    assert json.loads(cli("demo", "--json").stdout)["outcome"] == "simulator_failed"


def test_what_nobody_foresaw_is_not_hidden(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_: object) -> dict[str, object]:
        raise RuntimeError("a bug")

    monkeypatch.setattr(tngd_hw.demo, "run_demo", run)
    with pytest.raises(RuntimeError, match="a bug"):
        cli("demo")
