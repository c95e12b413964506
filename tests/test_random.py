"""Keyed streams: an address gives the same draws everywhere, and no two addresses share any."""

from __future__ import annotations

import numpy as np
import pytest

from tngd_hw.outcome import MisuseError
from tngd_hw.random import check_seed, derived_seed, stream


def test_stream_is_pinned() -> None:
    """Golden values: results of earlier versions stay reproducible."""
    drawn = stream(7, "resistors", chip=2, use=3).integers(0, 2**32, 3).tolist()
    assert drawn == [4025239895, 149953518, 2439919947]
    assert derived_seed(7, "step", 5) == 7692487202749790720


def test_every_part_of_the_address_matters() -> None:
    addresses = [
        (s, p, c, u) for s in (0, 1, 10) for p in ("a", "b", "a/1", "a/1/0") for c in (0, 1, 10) for u in (0, 1, 10)
    ]
    first = {stream(s, p, c, u).integers(0, 2**63) for s, p, c, u in addresses}
    assert len(first) == len(addresses)


def test_streams_are_independent_and_normal() -> None:
    """Means and correlations of 200 neighbouring streams of 2,000 draws, within 5 standard errors."""
    draws = np.stack([stream(0, "part", chip).standard_normal(2000) for chip in range(200)])
    assert abs(draws.mean()) < 5 / np.sqrt(draws.size)
    assert abs(draws.var() - 1) < 5 * np.sqrt(2 / draws.size)
    correlation = (draws @ draws.T / 2000)[np.triu_indices(200, 1)]
    assert np.abs(correlation).max() < 6 / np.sqrt(2000)


def test_derived_seeds_are_seeds_and_differ() -> None:
    seeds = {derived_seed(3, purpose, k) for purpose in ("run", "step") for k in range(500)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("seed", [-1, 1.0, "0", None, True, np.float64(3), float("nan")])
def test_what_is_no_seed(seed: object) -> None:
    with pytest.raises(MisuseError, match=r"noise_seed = .*an integer of 0 or more"):
        check_seed(seed, "noise_seed")  # pyright: ignore[reportArgumentType] - the point of the test


def test_numpy_integers_are_seeds() -> None:
    assert check_seed(np.int64(5)) == 5  # pyright: ignore[reportArgumentType] - accepted at run time
    assert stream(5, "x").random() == stream(np.int64(5), "x").random()  # pyright: ignore[reportArgumentType] - as above
