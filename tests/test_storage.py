"""Files appear whole or not at all; saved results say what they are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import xarray

from tngd_hw.outcome import MisuseError
from tngd_hw.storage import (
    FORMAT_VERSION,
    atomic_path,
    load_dataset,
    make_directory,
    save_dataset,
    write_json,
    write_text,
)


def test_text_is_written_over_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    write_text(target, "Ω new")
    assert target.read_text(encoding="utf-8") == "Ω new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_have_the_usual_permissions(tmp_path: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    write_text(tmp_path / "a.txt", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_places_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=r"nowhere/a\.txt: cannot be written \(No such file"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")
    with pytest.raises(MisuseError, match=r"cannot be written \(Is a directory"):
        write_text(tmp_path, "x")
    assert list(tmp_path.parent.glob(f".{tmp_path.name}*")) == []


def test_make_directory(tmp_path: Path) -> None:
    assert make_directory(tmp_path / "a" / "b", "out").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(MisuseError, match=r"out = .*file: cannot be written \(File exists\); choose another"):
        make_directory(tmp_path / "file", "out")
    with pytest.raises(MisuseError, match=r"out = .*sub: cannot be written \(Not a directory\)"):
        make_directory(tmp_path / "file" / "sub", "out")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_json_refuses_nan_and_leaves_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": [1.5, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1.5, None]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_datasets_come_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4))
    values[0, 0] = np.nan
    save_dataset(xarray.Dataset({"v": (("a", "b"), values)}, attrs={"note": "µ"}), tmp_path / "x.nc", "example")
    found = load_dataset(tmp_path / "x.nc", "example")
    assert found["v"].values.tobytes() == values.tobytes()
    assert found.attrs["note"] == "µ"
    assert found.attrs["tngd_hw_format"] == FORMAT_VERSION


def test_another_kind_a_newer_format_and_foreign_files_are_refused(tmp_path: Path) -> None:
    data = xarray.Dataset({"v": ("a", np.zeros(2))})
    save_dataset(data, tmp_path / "x.nc", "example")
    with pytest.raises(MisuseError, match=r"holds 'example', expected 'other'"):
        load_dataset(tmp_path / "x.nc", "other")
    data.assign_attrs(tngd_hw_kind="example", tngd_hw_format=FORMAT_VERSION + 1).to_netcdf(
        tmp_path / "new.nc", engine="h5netcdf"
    )
    with pytest.raises(MisuseError, match=rf"has format {FORMAT_VERSION + 1}.*update tngd_hw"):
        load_dataset(tmp_path / "new.nc", "example")
    data.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(MisuseError, match="holds None"):
        load_dataset(tmp_path / "foreign.nc", "example")
    (tmp_path / "text.nc").write_text("no netCDF")
    with pytest.raises(MisuseError, match=r"text\.nc: not a readable netCDF file"):
        load_dataset(tmp_path / "text.nc", "example")
    with pytest.raises(MisuseError, match=r"missing\.nc"):
        load_dataset(tmp_path / "missing.nc", "example")
