"""Reading arrays that people name, whatever is in the files."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import write_array_header_1_0

from tngd_hw.cli.arrays import read_matrix, read_right_hand_side
from tngd_hw.outcome import MisuseError

MATRIX = np.array([[1.0, -2.0], [0.5, 4.0]])


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "f4", "f2", "g", "<i4", ">i2", "u1", "?"])
def test_every_real_type_becomes_native_float64(tmp_path: Path, dtype: str) -> None:
    stored = np.abs(MATRIX).astype(dtype)
    np.save(tmp_path / "A.npy", stored)
    array = read_matrix(tmp_path / "A.npy")
    assert array.dtype == np.float64
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, stored.astype(np.float64))


def test_text_is_read_with_all_its_shapes(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text("# a comment\n1, -2\n0.5, 4\n")
    (tmp_path / "A.txt").write_text("1 -2\n0.5 4\n")
    (tmp_path / "one.csv").write_text("3\n")
    (tmp_path / "row.csv").write_text("1,2,3\n")
    (tmp_path / "column.txt").write_text("1\n2\n3\n")
    np.testing.assert_array_equal(read_matrix(tmp_path / "A.csv"), MATRIX)
    np.testing.assert_array_equal(read_matrix(tmp_path / "A.txt"), MATRIX)
    assert read_matrix(tmp_path / "one.csv").shape == (1, 1)
    assert read_right_hand_side(tmp_path / "one.csv").shape == (1,)
    assert read_right_hand_side(tmp_path / "row.csv").shape == (3,)
    assert read_right_hand_side(tmp_path / "column.txt").shape == (3,)
    assert read_right_hand_side(tmp_path / "A.csv").shape == (2, 2)


def test_a_column_vector_is_one_right_hand_side(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.ones((3, 1)))
    assert read_right_hand_side(tmp_path / "b.npy").shape == (3,)


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path("sprung").touch, ())


def test_a_pickle_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("object.npy", np.array([_Trap()], dtype=object), allow_pickle=True)
    Path("raw.npy").write_bytes(pickle.dumps(_Trap()))
    for name in ("object.npy", "raw.npy"):
        with pytest.raises(MisuseError, match=rf"A = {name}: not an array of numbers"):
            read_matrix(Path(name))
    assert not Path("sprung").exists()


def test_an_archive_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "A.npz", A=MATRIX)
    with pytest.raises(MisuseError, match=r"ends in \.npy"):
        read_matrix(tmp_path / "A.npz")
    (tmp_path / "A.npz").rename(tmp_path / "A.npy")
    with pytest.raises(MisuseError, match="not an array of numbers"):
        read_matrix(tmp_path / "A.npy")


def test_damaged_files_are_misuse_or_another_array(tmp_path: Path) -> None:
    """3,000 damaged headers and bodies: never another exception, and never a warning."""
    np.save(tmp_path / "A.npy", np.eye(3))
    whole = (tmp_path / "A.npy").read_bytes()
    source = random.Random(0)
    refused = 0
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            data[source.randrange(len(data))] = (
                source.choice(b"(){}[]',0123456789<fO |:") if source.random() < 0.5 else 0
            )
        if source.random() < 0.2:
            data = data[: source.randrange(len(data))]
        (tmp_path / "A.npy").write_bytes(data)
        try:
            read_matrix(tmp_path / "A.npy")
        except MisuseError:
            refused += 1
    assert refused > 1000


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    for shape in ((3, 4), (10**6, 10**6), (10**12, 10**12)):
        with (tmp_path / "A.npy").open("wb") as file:
            write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
            file.write(np.eye(3).tobytes())
        with pytest.raises(MisuseError, match=r"A = .*A\.npy: "):
            read_matrix(tmp_path / "A.npy")
