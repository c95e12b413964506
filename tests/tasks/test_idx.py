import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import parse_idx, read_idx

# 2 x 3 bytes, written out by hand: 1 2 3 / 4 5 255
SMALL = bytes.fromhex("00000802 00000002 00000003 010203 0405ff")


@pytest.mark.parametrize(
    ("content", "values", "dtype"),
    [
        (SMALL, [[1, 2, 3], [4, 5, 255]], np.uint8),
        (bytes.fromhex("00000901 00000002 80 7f"), [-128, 127], np.int8),
        (bytes.fromhex("00000b01 00000002 0102 fffe"), [258, -2], np.int16),
        (bytes.fromhex("00000c01 00000001 01020304"), [16909060], np.int32),
        (bytes.fromhex("00000d01 00000002 3fc00000 c0000000"), [1.5, -2.0], np.float32),
        (bytes.fromhex("00000e01 00000001 3ff8000000000000"), [1.5], np.float64),
        (bytes.fromhex("00000803 00000001 00000002 00000002 01020304"), [[[1, 2], [3, 4]]], np.uint8),
    ],
)
def test_values_order_and_type(content: bytes, values: list[object], dtype: type):
    array = parse_idx(content, "small")
    assert array.tolist() == values
    assert array.dtype == dtype
    assert array.dtype.isnative
    assert array.flags.writeable


@pytest.mark.parametrize("name", ["small.idx", "small.gz", "packed-without-the-ending"])
def test_files_plain_and_packed(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_bytes(SMALL if name == "small.idx" else gzip.compress(SMALL))
    assert read_idx(path).tolist() == read_idx(str(path)).tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"no IDX file \(it begins with nothing\)"),
        (b"\0\0\x08", "no IDX file"),
        (b"<html>", r"no IDX file \(it begins with 3c 68 74 6d\)"),
        (b"\0\0\x0a\x01\0\0\0\x01\0", "no IDX file"),  # there is no type 0A
        (b"\0\0\x08\0", "0 dimensions"),
        (b"\0\0\x08\xff" + b"\0\0\0\x01" * 255 + b"\0", "255 dimensions"),
        (SMALL[:11], "truncated in its header, after 11 of 12 bytes"),
        (SMALL[:-1], "truncated, 17 bytes where its header says 18"),
        (SMALL[:12], "truncated, 12 bytes"),
        (SMALL + b"\0", "too long, 19 bytes"),
        (b"\0\0\x08\x02" + struct.pack(">II", 0, 7), r"holds no values, its shape is \(0, 7\)"),
        (b"\0\0\x0e\x04" + b"\xff" * 16 + b"\0" * 64, "truncated"),  # 2.7e39 bytes announced
    ],
)
def test_broken_content_is_refused_by_name(content: bytes, message: str):
    with pytest.raises(MisuseError, match=f"^broken.idx: .*{message}"):
        parse_idx(content, "broken.idx")


def test_every_beginning_of_a_packed_file_is_refused_by_name(tmp_path: Path):
    packed, path = gzip.compress(SMALL), tmp_path / "cut.gz"
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(MisuseError, match=r"cut\.gz: "):
            read_idx(path)


def test_a_flipped_bit_in_a_packed_file_never_gives_other_values(tmp_path: Path):
    path = tmp_path / "flipped.gz"
    outcomes = [_with_a_flipped_bit(path, place) for place in range(len(gzip.compress(SMALL)))]
    assert set(outcomes) == {"the same", "refused by name"}
    # gzip's header holds a date (4 bytes), two hints of the compressor and flags: flipped, they may mean nothing
    assert outcomes.count("the same") <= 7


def _with_a_flipped_bit(path: Path, place: int) -> str:
    broken = bytearray(gzip.compress(SMALL))
    broken[place] ^= 0x10
    path.write_bytes(broken)
    try:
        values = read_idx(path).tolist()
    except MisuseError as error:
        return "refused by name" if str(error).startswith(str(path)) else str(error)
    return "the same" if values == [[1, 2, 3], [4, 5, 255]] else "other values"


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(MisuseError, match=r"none\.idx: cannot be read \(No such file or directory\)"):
        read_idx(tmp_path / "none.idx")
    with pytest.raises(MisuseError, match="cannot be read"):
        read_idx(tmp_path)
