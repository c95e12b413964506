"""Tests of real data or models: skipped where they are absent, counted and named at the end of the run.

See tests/conftest.py.
"""

from __future__ import annotations

import importlib.util

import pytest

from tngd_hw.tasks import DATA_VARIABLE, DataFile, find_data
from tngd_hw.tasks.qa_model import MODEL_PACKAGE

__all__ = ["NO_DATA", "NO_MODEL", "needs_data", "needs_model", "needs_transformers"]

NO_DATA = f"no data (set {DATA_VARIABLE} to its folder): "

NO_MODEL = "no question-answering model (make qa-model): "


def needs_data(*files: DataFile) -> pytest.MarkDecorator:
    """Skip a test where one of ``files`` lies nowhere; nothing is downloaded for a test."""
    absent = [str(file) for file in files if find_data(file) is None]
    return pytest.mark.skipif(bool(absent), reason=NO_DATA + ", ".join(absent))


def _needs_packages(*packages: str) -> pytest.MarkDecorator:
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(absent), reason=NO_MODEL + ", ".join(absent))


needs_transformers = _needs_packages("transformers", "tokenizers")
needs_model = _needs_packages("transformers", "tokenizers", MODEL_PACKAGE)
