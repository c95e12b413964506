"""Tests of real data: skipped where it is absent, and counted and named at the end of the run (tests/conftest.py)."""

from __future__ import annotations

import pytest

from tngd_hw.tasks import DATA_VARIABLE, DataFile, find_data

__all__ = ["NO_DATA", "needs_data"]

NO_DATA = f"no data (set {DATA_VARIABLE} to its folder): "


def needs_data(*files: DataFile) -> pytest.MarkDecorator:
    """Skip a test where one of ``files`` lies nowhere; nothing is downloaded for a test."""
    absent = [str(file) for file in files if find_data(file) is None]
    return pytest.mark.skipif(bool(absent), reason=NO_DATA + ", ".join(absent))
