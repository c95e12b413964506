"""Keyed random streams: every draw has an address, so no draw can move another.

``stream(seed, part, chip, use)`` is the generator of one part on one chip at one use.  Switching a part off, adding
chips or reordering code changes no other stream; chip 5 is the same in a batch of 8 or of 1,000.
"""

from __future__ import annotations

import hashlib

import numpy as np

from tngd_hw.outcome import MisuseError

__all__ = ["check_seed", "derived_seed", "stream"]


def check_seed(seed: int, field: str = "seed") -> int:
    """Return ``seed`` if it is an integer of 0 or more, else raise MisuseError naming ``field``."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise MisuseError(f"{field} = {seed!r}: a seed is an integer of 0 or more, for example 0")
    return int(seed)


def stream(seed: int, part: str, chip: int = 0, use: int = 0) -> np.random.Generator:
    """The random generator of ``part`` on chip number ``chip`` at its ``use``-th use.

    Args:
        seed: The user's seed, an integer of 0 or more.
        part: The name of what draws, for example ``"resistors.tolerance"``; different parts never share draws.
        chip: Number of the die in its batch.
        use: 0 for what is drawn once in a chip's life (``_dtod``); a counter for what is drawn at every use (``_std``).

    Returns:
        A Philox generator whose 128-bit key is a BLAKE2 hash of the address.  Cost: microseconds.
    """
    address = f"{check_seed(seed)}/{part}/{int(chip)}/{int(use)}".encode()
    key = int.from_bytes(hashlib.blake2b(address, digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def derived_seed(seed: int, purpose: str, index: int = 0) -> int:
    """A seed of 63 bits for a sub-task (step ``index`` of ``purpose``), independent of every other such seed."""
    address = f"{check_seed(seed)}:{purpose}:{int(index)}".encode()
    return int.from_bytes(hashlib.blake2b(address, digest_size=8).digest(), "little") >> 1
