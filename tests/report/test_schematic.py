"""Schematics: both files of every topology, whole, readable and the same every time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib import image
from matplotlib import pyplot as plt

from tngd_hw.outcome import MisuseError
from tngd_hw.report import draw_array, draw_cell
from tngd_hw.report.schematic_sheet import DIRECT, INVERTED
from tngd_hw.topologies.registry import TOPOLOGIES

NAMES = [topology.name for topology in TOPOLOGIES]
DRAW = {"cell": draw_cell, "array": draw_array}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every schematic, drawn once."""
    place = tmp_path_factory.mktemp("schematics")
    for name in NAMES:
        for what, draw in DRAW.items():
            draw(name, place / f"{name}_{what}.v1")
    return place


def test_a_name_with_a_dot_keeps_it(tmp_path: Path) -> None:
    svg, png = draw_cell("integrator", tmp_path / "cell.v1")
    assert (svg, png) == (tmp_path / "cell.v1.svg", tmp_path / "cell.v1.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.v1.png", "cell.v1.svg"]


@pytest.mark.parametrize("what", list(DRAW))
@pytest.mark.parametrize("name", NAMES)
def test_every_topology_has_both_pictures(folder: Path, name: str, what: str) -> None:
    """Whole (nothing touches an edge), of a size to read, with both colours where there are both signs."""
    assert ET.parse(folder / f"{name}_{what}.v1.svg").getroot().tag.endswith("svg")
    pixels = image.imread(folder / f"{name}_{what}.v1.png")[..., :3]
    assert pixels.shape[0] > 700
    assert pixels.shape[1] > 1300
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 1
    text = (folder / f"{name}_{what}.v1.svg").read_text()
    assert DIRECT in text
    assert INVERTED in text


@pytest.mark.parametrize("what", list(DRAW))
@pytest.mark.parametrize("name", ["rlc_spu", "three_array"])
def test_the_same_drawing_gives_the_same_bytes(folder: Path, tmp_path: Path, name: str, what: str) -> None:
    for path in DRAW[what](name, tmp_path / "again"):
        assert path.read_bytes() == (folder / f"{name}_{what}.v1{path.suffix}").read_bytes()
    assert plt.get_fignums() == []


def test_pictures_differ(folder: Path) -> None:
    contents = [path.read_bytes() for path in folder.glob("*.png")]
    assert len(set(contents)) == len(contents) == 2 * len(NAMES)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="cannot be written"):
        draw_cell("integrator", tmp_path / "missing" / "cell")


def test_a_topology_without_a_drawing(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"topology = 'abacus': there are drawings of .*integrator"):
        draw_array("abacus", tmp_path / "array")
