import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from matplotlib import image
from matplotlib import pyplot as plt

from tngd_hw.outcome import MisuseError
from tngd_hw.report import integrator_cell


def test_both_files_are_written_and_readable(tmp_path: Path):
    svg, png = integrator_cell(tmp_path / "cell.v1")
    assert (svg, png) == (tmp_path / "cell.v1.svg", tmp_path / "cell.v1.png")
    root = ET.parse(svg).getroot()
    assert root.tag.endswith("svg")
    pixels = image.imread(png)
    assert pixels.shape[0] > 700
    assert pixels.shape[1] > 1500
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cell.v1.png", "cell.v1.svg"]


def test_nothing_is_cut_off(tmp_path: Path):
    _, png = integrator_cell(tmp_path / "cell")
    pixels = image.imread(png)[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 1


def test_the_schematic_is_repeatable_and_leaves_pyplot_alone(tmp_path: Path):
    first, second = (integrator_cell(tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second
    assert plt.get_fignums() == []


def test_a_directory_that_is_not_there(tmp_path: Path):
    with pytest.raises(MisuseError, match="cannot be written"):
        integrator_cell(tmp_path / "missing" / "cell")
