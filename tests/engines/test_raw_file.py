"""The raw-file reader against files written by hand here: every plot, real and complex, and nothing but whole files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tngd_hw.engines.spice.raw_file import RawFileError, read_raw


def plot(name: str, names: list[str], values: np.ndarray, flags: str = "real") -> bytes:
    rows = "".join(f"\t{k}\t{n}\tvoltage\n" for k, n in enumerate(names))
    header = (
        f"Title: * any: title\nDate: Mon Jan 1 00:00:00 2024\nPlotname: {name}\nFlags: {flags}\n"
        f"No. Variables: {len(names)}\nNo. Points: {len(values)}\nVariables:\n{rows}Binary:\n"
    )
    return header.encode() + values.tobytes()


REAL = np.random.default_rng(0).normal(size=(5, 3))
COMPLEX = REAL[:, :2] + 1j * REAL[:, 1:]


def test_every_plot_in_order(tmp_path: Path) -> None:
    whole = plot("Transient Analysis", ["time", "V(A)", "v(b)"], REAL) + plot(
        "AC Analysis", ["frequency", "v(a)"], COMPLEX, "complex"
    )
    (tmp_path / "x.raw").write_bytes(whole)
    first, second = read_raw(tmp_path / "x.raw")
    assert (first.name, first.names) == ("Transient Analysis", ("time", "v(a)", "v(b)"))
    assert np.array_equal(first.values, REAL)
    assert (second.name, second.names) == ("AC Analysis", ("frequency", "v(a)"))
    assert np.array_equal(second.values, COMPLEX)


def test_numbers_that_look_like_the_marker_do_not_confuse(tmp_path: Path) -> None:
    """The eight bytes of the marker are a double too."""
    values = np.full((2, 2), np.frombuffer(b"Binary:\n")[0])
    (tmp_path / "x.raw").write_bytes(plot("Transient", ["time", "v(a)"], values) * 2)
    assert [found.values.tolist() for found in read_raw(tmp_path / "x.raw")] == [values.tolist()] * 2


@pytest.mark.parametrize("kept", [0, 10, 60, -200, -9, -8, -1])
def test_cut_files_are_refused(kept: int, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(plot("Transient", ["time", "v(a)", "v(b)"], REAL)[:kept])
    with pytest.raises(RawFileError, match="the raw file"):
        read_raw(tmp_path / "x.raw")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"No. Points: 5", b"No. Points: x"),
        (b"No. Variables: 3", b"No. Variables: 2"),
        (b"No. Points: 5", b"Points: 5"),
    ],
)
def test_headers_that_do_not_fit_are_refused(old: bytes, new: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(plot("Transient", ["time", "v(a)", "v(b)"], REAL).replace(old, new))
    with pytest.raises(RawFileError, match="the raw file"):
        read_raw(tmp_path / "x.raw")
