"""The decks kept in netlists/ are the ones that the code writes, value by value, and ngspice runs them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tngd_hw.studies.reference_decks import reference_decks

NETLISTS = Path(__file__).parents[2] / "netlists"
DECKS = sorted(reference_decks())


def parsed(text: str) -> list[list[float | str]]:
    """Cards as words, numbers as floats."""

    def word(token: str) -> float | str:
        try:
            return float(token)
        except ValueError:
            return token

    return [[word(token) for token in re.split(r"[\s=]+", line)] for line in text.splitlines() if line[:1] != "*"]


@pytest.mark.parametrize("name", DECKS)
def test_the_kept_deck_is_the_written_one(name):
    kept, written = parsed((NETLISTS / name).read_text()), parsed(reference_decks()[name])
    assert len(kept) == len(written) > 15
    for old, new in zip(kept, written, strict=True):
        assert len(old) == len(new)
        for a, b in zip(old, new, strict=True):
            assert a == pytest.approx(b, rel=1e-12) if isinstance(a, float) else a == b


def test_no_deck_is_left_over():
    assert sorted(str(path.relative_to(NETLISTS)) for path in NETLISTS.rglob("*.cir")) == DECKS


@pytest.mark.ngspice
@pytest.mark.parametrize("name", DECKS)
def test_ngspice_runs_the_deck_as_it_is(name, tmp_path):
    shutil.copy(NETLISTS / name, tmp_path / "deck.cir")
    done = subprocess.run(["ngspice", "-b", "deck.cir"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Transient Analysis" in done.stdout
    last = [line.split() for line in done.stdout.splitlines() if re.match(r"\d+\s", line)][-1]
    # A^-1 b of the asymmetric matrix in reference_decks.py, times v0: the first component is positive.
    assert float(last[2]) > 0
