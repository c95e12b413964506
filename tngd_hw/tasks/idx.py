"""Read IDX files, the format of MNIST: a header of big-endian numbers, then an array in C order.

    bytes 0, 1      zero
    byte  2         type of the values: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
    byte  3         number of dimensions, k
    4 to 4 + 4 k    the k sizes, uint32
    the rest        the values, the last index fastest

Source: the description on Y. LeCun's page of the MNIST database.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks.data_files import file_content

__all__ = ["parse_idx", "read_idx"]

_TYPES: Final = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_MAX_DIMENSIONS: Final = 8


def read_idx(path: str | Path) -> npt.NDArray[Any]:
    """The array of an IDX file, plain or packed by gzip; a float64 file gives float64, an int16 file int16.

    Raises:
        MisuseError: The file is missing, truncated, corrupt or no IDX file; the sentence begins with ``path``.
    """
    return parse_idx(file_content(path), str(path))


def parse_idx(content: bytes, name: str) -> npt.NDArray[Any]:
    """The array in the bytes of an IDX file: one copy, in the machine's byte order, writable.

    Args:
        content: The whole file, unpacked.
        name: What errors call it.

    Raises:
        MisuseError: As :func:`read_idx`.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise MisuseError(f"{name}: no IDX file (it begins with {content[:4].hex(' ') or 'nothing'})")
    dimensions = content[3]
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise MisuseError(f"{name}: an IDX file of {dimensions} dimensions; 1 to {_MAX_DIMENSIONS} can be read")
    begin = 4 + 4 * dimensions
    if len(content) < begin:
        raise MisuseError(f"{name}: truncated in its header, after {len(content)} of {begin} bytes; get it again")
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", content[4:begin])
    dtype = np.dtype(_TYPES[content[2]])
    expected = begin + math.prod(shape) * dtype.itemsize
    if 0 in shape:
        raise MisuseError(f"{name}: holds no values, its shape is {shape}")
    if len(content) != expected:
        kind = "truncated" if len(content) < expected else "too long"
        raise MisuseError(f"{name}: {kind}, {len(content)} bytes where its header says {expected}; get it again")
    return np.frombuffer(content, dtype, offset=begin).reshape(shape).astype(dtype.newbyteorder("="))
