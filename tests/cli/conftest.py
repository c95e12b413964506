"""A folder with a small system, and the command line called in this process or as one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from typer.testing import CliRunner

from tngd_hw.cli.app import app

A = np.array([[2.0, -0.5, 0.25], [-0.5, 1.5, 0.5], [0.25, 0.5, 1.0]])  # entries of either sign, lambda_min = 0.53
B = np.array([1.0, -0.5, 0.25])

_PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background would ignore it, and so would we
from tngd_hw.cli import main
main()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with ``A.npy`` and ``b.npy``."""
    np.save(tmp_path / "A.npy", A)
    np.save(tmp_path / "b.npy", B)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli() -> Callable[..., object]:
    """``cli("solve", "A.npy", ...)`` in this process; the result has exit_code, stdout and stderr."""

    def call(*arguments: str):
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception  # what a user would see as a traceback
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def refused(cli) -> Callable[..., str]:
    """Call, demand an exit code, nothing on stdout and one line on stderr; returns that line."""

    def call(code: int, *arguments: str) -> str:
        result = cli(*arguments)
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr.strip()

    return call


@pytest.fixture
def start(folder: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start ``tngd-hw`` as a process of its own, in ``folder``, with the signals a terminal would leave it."""

    def call(*arguments: str, stdout: int | IO[str] = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    return call
