"""ngspice on a text, and its plots by name: for tests that hold our text against ngspice's own reading."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from tngd_hw.engines.spice.raw_file import Plot, read_raw

KINDS = {
    "op": "Operating Point",
    "ac": "AC Analysis",
    "tran": "Transient",
    "noise": "Noise Spectral",
    "total": "Integrated",
}


def plots(deck: str) -> dict[str, Plot]:
    """Every plot of ``deck``, by the name of its analysis; ``total`` is the integrated noise."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "deck.cir").write_text(deck)
        command = ["ngspice", "-b", "-n", "-r", "out.raw", "deck.cir"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        assert "rror" not in done.stderr, done.stderr[-2000:]
        found = read_raw(Path(folder, "out.raw"))
    return {short: plot for plot in found for short, name in KINDS.items() if plot.name.startswith(name)}
