"""The mark of tests that run PySpice: skipped, and counted by pytest, where it or ngspice's library is missing."""

from __future__ import annotations

import importlib.util

import pytest

from tngd_hw.engines.pyspice import find_library

__all__ = ["needs_pyspice"]

_MISSING = importlib.util.find_spec("PySpice") is None or find_library() is None

needs_pyspice = pytest.mark.skipif(
    _MISSING, reason="no PySpice, or no libngspice, on this machine (pip install PySpice, apt-get install libngspice0)"
)
