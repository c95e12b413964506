"""ngspice's own poles beside the eigenvalues of our state equations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import xarray

from tngd_hw import LinearProblem, manufacture, presets, program
from tngd_hw.engines.frequency import poles
from tngd_hw.engines.spice.poles import ngspice_poles
from tngd_hw.report import pole_figure, save_figure
from tngd_hw.topologies import TOPOLOGIES, LoadedChip

pytestmark = pytest.mark.ngspice

Complexes = npt.NDArray[np.complex128]


def load(topology: str, n: int) -> LoadedChip:
    rng = np.random.default_rng(n + 20)
    couple = np.triu(rng.uniform(0.1, 0.5, (n, n)), 1)
    couple = couple + couple.T
    problem = LinearProblem(np.diag(couple.sum(1) + 0.5) - couple, rng.normal(size=n))
    return program(manufacture(topology, n, presets.pcb_1k_1n(), seed=3), problem, x_max=20.0)


def values(data: xarray.Dataset) -> Complexes:
    return np.asarray(data["pole_real_per_s"].values + 1j * data["pole_imag_per_s"].values)


def farthest(ours: Complexes, theirs: Complexes) -> float:
    """Largest relative distance of a pole from its neighbour in the other set, each of which serves one pole."""
    free, worst = list(theirs), 0.0
    for pole in ours:
        near = min(range(len(free)), key=lambda k: abs(free[k] - pole))
        worst = max(worst, abs(free.pop(near) - pole) / abs(pole))
    return worst


@pytest.mark.parametrize(
    ("topology", "n"),
    [*((topology.name, 1 if topology.name == "three_array" else 2) for topology in TOPOLOGIES),
     ("gm_c", 8), ("passive_rc", 8)],
)  # fmt: skip
def test_poles_are_ngspices(topology: str, n: int) -> None:
    """A three_array of one node only: of two nodes ngspice loses one of two close poles."""
    loaded = load(topology, n)
    ours, theirs = values(poles(loaded)), values(ngspice_poles(loaded))
    assert len(theirs) == len(ours) >= n
    assert farthest(ours, theirs) < 1e-9


def test_another_circuit_has_other_poles() -> None:
    assert farthest(values(poles(load("rlc_spu", 1))), values(ngspice_poles(load("rlc_spu", 2)))) > 1e-3


def test_one_cell_by_hand() -> None:
    """Poles of an LC cell: s^2 + s/(R C) + 1/(L C) = 0."""
    loaded = program(manufacture("rlc_spu", 1, presets.ideal()), LinearProblem([[1.0]], [1.0]))
    expected = np.roots([1.0, 1 / (1e3 * 1e-9), 1 / (1e-5 * 1e-9)])
    assert farthest(np.asarray(expected, dtype=np.complex128), values(ngspice_poles(loaded))) < 1e-9


def test_figure_has_both(tmp_path: Path) -> None:
    loaded = load("integrator", 2)
    figure = pole_figure({"state_space": poles(loaded), "ngspice .pz": ngspice_poles(loaded)})
    (axes,) = figure.axes
    crosses, rings = (np.sort_complex(np.asarray(line.get_xdata()) + 1j * np.asarray(line.get_ydata()))
                      for line in axes.lines[:2])  # fmt: skip
    np.testing.assert_allclose(rings.real, crosses.real, rtol=1e-9)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [word.split(",")[0] for word in words] == ["state_space: 6 poles", "ngspice .pz: 6 poles"]
    save_figure(figure, tmp_path / "poles.png")
    assert (tmp_path / "poles.png").stat().st_size > 10_000
