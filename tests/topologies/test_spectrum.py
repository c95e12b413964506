"""Extreme values of a matrix against numbers known by construction."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from cases import spd_matrix

from tngd_hw import Outcome
from tngd_hw.topologies import spectrum
from tngd_hw.topologies.spectrum import stable_and_regular


def of(A: object) -> torch.Tensor:
    return torch.tensor(np.asarray(A), dtype=torch.float64)


def test_symmetric() -> None:
    found = spectrum(of(spd_matrix(6, seed=2, condition=40.0) * 3))
    assert found.symmetric
    assert found.slowest == found.contraction == pytest.approx(3 / 40)
    assert found.fastest == pytest.approx(3.0)
    assert found.condition == pytest.approx(40.0)


def test_not_symmetric() -> None:
    """[[1, 4], [0, 2]]: eigenvalues 1 and 2, symmetric part (3 -+ sqrt(17))/2, singular values from trace and det."""
    found = spectrum(of([[1.0, 4.0], [0.0, 2.0]]))
    assert not found.symmetric
    assert found.slowest == pytest.approx(1.0)
    assert found.fastest == pytest.approx(2.0)
    assert found.contraction == pytest.approx((3 - math.sqrt(17)) / 2)
    high = math.sqrt((21 + math.sqrt(21**2 - 16)) / 2)
    assert found.condition == pytest.approx(high**2 / 2)


def test_complex_pair_is_judged_by_its_real_part() -> None:
    found = spectrum(of([[0.5, 3.0], [-3.0, 0.5]]))
    assert found.slowest == pytest.approx(0.5)
    assert found.fastest == pytest.approx(math.hypot(0.5, 3.0))


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_judgement_does_not_depend_on_the_scale(size: float) -> None:
    assert stable_and_regular(of(spd_matrix(4, 1) * size)).ok
    assert stable_and_regular(of(np.diag([1.0, 0.0]) * size)).outcome is Outcome.SINGULAR
    assert stable_and_regular(of(np.diag([1.0, -1e-3]) * size)).outcome is Outcome.UNSTABLE


def test_small_but_regular_is_ok() -> None:
    assert stable_and_regular(of(np.diag([1.0, 1e-12]))).ok
