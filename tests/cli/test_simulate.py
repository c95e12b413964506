"""``simulate``: a deck in, tables and files out; whatever is no deck is refused in a sentence."""

from __future__ import annotations

import json
import math
import re
import time
from pathlib import Path

import pytest

from tngd_hw.storage import load_dataset

pytestmark = pytest.mark.usefixtures("folder")

RC = """low-pass
V1 a 0 DC 2 PULSE(0 1 1u 1n 1n 50u 200u) AC 1
R1 a b 1k
C1 b 0 1n
.tran 0.1u 20u
.ac dec 40 1k 100meg
.noise v(b) V1 dec 10 1 1g
.end
"""


@pytest.fixture(autouse=True)
def deck(folder: Path) -> None:
    (folder / "rc.cir").write_text(RC)


def simulated(cli, *arguments: str) -> dict:
    result = cli("simulate", *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.mark.parametrize("engine", ["state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_the_document(cli, engine: str) -> None:
    """Corner 1/(2 pi R C); kT/C over a band from far below to far above it; v(b) = 1 - e^(-19) at the end."""
    found = simulated(cli, "rc.cir", "--engine", engine)
    assert (found["outcome"], found["title"], found["engine"]) == ("ok", "low-pass", engine)
    assert found["elements"] == {"V": 1, "R": 1, "C": 1}
    assert found["operating_point"]["voltage_volt"] == pytest.approx({"a": 2.0, "b": 2.0})
    assert found["operating_point"]["current_ampere"] == pytest.approx({"v1": 0.0}, abs=1e-9)
    transient, ac, noise = found["analyses"]
    b = transient["nodes"][1]
    assert b["node"] == "b"
    assert b["final"] == pytest.approx(1 - math.exp(-19), abs=1e-4)
    assert b["minimum"] == pytest.approx(0.0, abs=1e-6)
    assert ac["nodes"][1]["high_hz"] == pytest.approx(1 / (2 * math.pi * 1e-6), rel=1e-3)
    assert ac["nodes"][1]["low_hz"] is None
    assert noise["output_total_volt"] == pytest.approx(math.sqrt(1.380649e-23 * 300.15 / 1e-9), rel=2e-3)
    assert (noise["output"], noise["source"], noise["input_total_unit"]) == ("b", "v1", "V")


def test_what_people_see(cli) -> None:
    text = cli("simulate", "rc.cir").stdout
    for piece in ("low-pass", "3 elements (1 V, 1 R, 1 C), state_space", "operating point", "branch", "rms [V]",
                  "-3 dB above", "159.1 kHz", "uV rms at v(b)"):  # fmt: skip
        assert piece in text
    assert cli("simulate", "rc.cir", "-q").stdout == "v(a) 2.0\nv(b) 2.0\n"
    lines = "".join(f"R{k} n{k} n{k + 1} 1k\n" for k in range(30))
    Path("long.cir").write_text(f"ladder\nV1 n0 0 1\n{lines}Rend n30 0 1k\n.end\n")
    text = cli("simulate", "long.cir").stdout
    assert "11 more; --verbose shows all" in text
    assert "note: the deck asks for no analysis" in text
    assert "n30" in cli("simulate", "long.cir", "-v").stdout


def test_files(cli) -> None:
    text = cli("simulate", "rc.cir", "--out", "deep/waves").stdout
    names = {f"{stem}.{kind}" for stem in ("transient", "ac", "noise") for kind in ("csv", "nc")}
    assert {path.name for path in Path("deep/waves").iterdir()} == names
    assert all(str(Path("deep/waves") / name) in text for name in names)
    data = load_dataset("deep/waves/transient.nc", "deck_transient")
    assert data["voltage_volt"].sel(node="b").values[-1] == pytest.approx(1 - math.exp(-19), abs=1e-4)


def test_an_unstable_deck_is_shown_and_fails(cli) -> None:
    Path("up.cir").write_text("up\nR1 b 0 1k\nC1 b 0 1n ic=1m\nG1 0 b b 0 2m\n.tran 10n 10u uic\n.end\n")
    result = cli("simulate", "up.cir")
    assert result.exit_code == 1
    assert "transient (unstable)" in result.stdout
    assert result.stderr.startswith("failed: unstable: a mode of the circuit grows as e^(t/1e-06 s)")


def test_no_ngspice(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TNGD_NGSPICE", "nowhere-to-be-found")
    line = refused(1, "simulate", "rc.cir", "--engine", "ngspice")
    assert line.startswith("failed: simulator_missing: TNGD_NGSPICE = 'nowhere-to-be-found' is no program")


@pytest.mark.ngspice
def test_a_deck_that_ngspice_cannot_solve(cli) -> None:
    Path("loop.cir").write_text("loop\nV1 a 0 1\nV2 a 0 2\nR1 a 0 1k\n.op\n.end\n")
    result = cli("simulate", "loop.cir", "--engine", "ngspice")
    assert result.exit_code == 1
    assert "simulator_failed" in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("t\n.control\nshell touch owned\n.endc\n.end\n", "deck.cir, line 2: .control is refused"),
        ("*#shell touch owned\nR1 a 0 1\n.end\n", "line 1: the first line is the title"),
        ("t\nR1 a 0 1k\n.include other.cir\n.end\n", "deck.cir, line 3: .include is refused"),
        ("t\nD1 a 0 dm\n.end\n", "deck.cir, line 2: no element D"),
        ("t\nR1 a 0 1k\nV1 a 0 1\n.dc V1 0 1 0.1\n.end\n", "deck.cir, line 4: .dc is refused"),
        ("t\nR1 a 0 0\nV1 a 0 1\n.end\n", "deck.cir, line 2"),
        ("", "has no element"),
        ("t\nV1 a 0 1\nR1 a b 1k\nC1 b c 1n\nC2 c 0 1n\nR2 b 0 1k\n.op\n.end\n", "node c floats at DC"),
        ("t\nV1 a 0 1\nV2 a 0 2\nR1 a 0 1k\n.op\n.end\n", "v1, v2 form a loop"),
        ("t\nV1 a 0 1\nR1 a 0 1k\nB1 b 0 v=v(a)\n.end\n", "b1 is nonlinear"),
        ("t\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\n.tran 1p 1\n.end\n", "1e+12 time steps, the limit is 1e+08"),
        ("t\nV1 a 0 1\nR1 a b 1k\nC1 b 0 1n\n.tran 100n 1\n.end\n", "1e+07 points, the limit is 2000000"),
    ],
)  # fmt: skip
def test_what_is_refused(refused, text: str, message: str) -> None:
    Path("deck.cir").write_text(text)
    line = refused(2, "simulate", "deck.cir")
    assert line.startswith("error: ")
    assert message in line
    assert not Path("owned").exists()


def test_what_is_no_deck_at_all(refused) -> None:
    assert "cannot be read" in refused(2, "simulate", "missing.cir")
    Path("dir.cir").mkdir()
    assert "cannot be read" in refused(2, "simulate", "dir.cir")
    Path("binary.cir").write_bytes(bytes(range(256)) * 20)
    refused(2, "simulate", "binary.cir")
    assert "cannot be read" in refused(2, "simulate", "x" * 300)
    assert "state_space or ngspice" in refused(2, "simulate", "rc.cir", "--engine", "spectre")
    assert "--out" in refused(2, "simulate", "rc.cir", "--out", "rc.cir")
    assert "timeout_s" in refused(2, "simulate", "rc.cir", "--timeout", "0")
    assert "exclude each other" in refused(2, "simulate", "rc.cir", "-q", "-v")


LONG = "long\nV1 a 0 SIN(0 1 1meg)\nR1 a b 1k\nC1 b 0 1n\n.tran 1u 1 0 1u\n.end\n"


@pytest.mark.ngspice
def test_a_deck_that_would_take_too_long_is_not_begun(cli, folder: Path) -> None:
    """1e6 periods of 80 steps: minutes, said with the figure and what else there is; --force begins it."""
    (folder / "long.cir").write_text(LONG)
    options = ["simulate", "long.cir", "--engine", "ngspice", "--timeout", "1"]
    begun = time.perf_counter()
    result = cli(*options)
    assert time.perf_counter() - begun < 1.0
    assert result.exit_code == 1
    assert re.search(r"timed_out: ngspice would take about [0-9.e+]+ s, more than the 1 s allowed", result.stderr)
    assert "--force" in result.stderr
    assert "state_space" in result.stderr
    forced = cli(*options, "--force")
    assert forced.exit_code == 1
    assert "ngspice was stopped after 1 s" in forced.stderr
