"""Decks in the manner of textbooks: ngspice gives the same for the original and for what we read and wrote."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from ngspice_runs import plots

from tngd_hw.netlist import Kind, read_deck

DECKS = sorted((Path(__file__).parent / "decks").glob("*.cir"))
TOLERANCE = {"op": 1e-9, "ac": 1e-6, "tran": 1e-6, "noise": 1e-6, "total": 1e-6}


def test_there_are_decks_enough() -> None:
    assert len(DECKS) >= 8
    kinds = {table.kind for path in DECKS for table in read_deck(path).netlist.tables}
    assert kinds | {Kind.VCVS} == set(Kind)


@pytest.mark.ngspice
@pytest.mark.parametrize("path", DECKS, ids=lambda path: path.stem)
def test_ngspice_reads_ours_as_it_reads_theirs(path: Path) -> None:
    """Every node of every analysis; .save and .print are taken out, so that both keep all nodes."""
    original = re.sub(r"(?im)^\.(save|print|plot).*$", "", path.read_text())
    if path.stem == "gyrator":  # ngspice 39 leaves temp= out of a resistor's noise; dtemp says the same to both
        original = original.replace("temp=85", "dtemp=35")
    deck = read_deck(path)
    theirs = plots(original)
    ours = plots(re.sub(r"(?m)^\.save.*$", "", deck.text()))
    assert theirs.keys() == ours.keys()
    assert {"op", "ac"} <= theirs.keys()
    for kind, plot in theirs.items():
        names = [name for name in plot.names if name.startswith(("v(", "onoise"))]
        for name in names:
            renamed = next((f"v({our})" for our, other in deck.renamed.items() if name == f"v({other})"), name)
            a, b = plot.values[:, plot.names.index(name)], ours[kind].values[:, ours[kind].names.index(renamed)]
            assert np.abs(a - b).max() <= TOLERANCE[kind] * np.abs(a).max(), (kind, name)
        assert max(np.abs(plot.values[:, plot.names.index(name)]).max() for name in names) > 0
