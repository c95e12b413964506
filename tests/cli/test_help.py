"""Help is there at once, and names what can be chosen."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tngd_hw import __version__
from tngd_hw.cli.app import COMMANDS
from tngd_hw.engines import ENGINES
from tngd_hw.hardware.presets import PRESETS
from tngd_hw.topologies import TOPOLOGIES

NAMES = [name for name, _ in COMMANDS]


@pytest.mark.parametrize("command", [[], *([name] for name in NAMES)], ids=["tngd-hw", *NAMES])
def test_help_comes_at_once(command: list[str]) -> None:
    """Half a second on an idle machine (0.25 s measured); three times that here, for a busy one."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tngd_hw.cli", *command, "--help"], capture_output=True, check=True
        )
        seconds.append(time.perf_counter() - started)
        assert b"Usage" in done.stdout
        assert done.stderr == b""
    print(f"{' '.join(command)} --help: {min(seconds):.2f} s")
    assert min(seconds) < 1.5


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['tngd-hw', 'solve', '--help']\n"
        "from tngd_hw.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'numpy', 'scipy', 'matplotlib', 'xarray', 'PySpice')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_names_every_choice(cli) -> None:
    text = cli("solve", "--help").stdout
    for name in [*(e.name for e in ENGINES), *(t.name for t in TOPOLOGIES), *PRESETS]:
        assert name in text
    assert all(name in cli("--help").stdout for name in NAMES)


def test_version(cli) -> None:
    assert cli("--version").stdout == f"tngd-hw {__version__}\n"


@pytest.mark.parametrize("arguments", [["bogus"], ["solve"], ["solve", "A.npy", "b.npy", "--seed", "x"], ["--bogus"]])
def test_usage_errors_are_misuse(cli, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr
