"""What few bits do to an inverse: nearest, one stochastic rounding, and the mean over many of them.

Unbiased rounding has E[dA] = 0, so E[(A + dA)^-1] = A^-1 + A^-1 E[dA A^-1 dA] A^-1 + ...: the error of the mean falls
by 4 a bit where that of one rounding falls by 2, down to the statistical error of the mean (arXiv 2401.16231).  The
sign of an entry is the rail that it is connected to, so b bits with the sign are b - 1 bits of Programming.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from one_array import values_after

from tngd_hw.hardware.programming import Programming

MEMBERS = 2000
MATRICES = range(12)


def wishart(seed: int, d: int = 8) -> torch.Tensor:
    """W W^T/(4 d) of 4 d normal vectors."""
    W = torch.from_numpy(np.random.default_rng(seed).normal(size=(d, 4 * d)))
    return W @ W.T / (4 * d)


def written(A: torch.Tensor, part: Programming, copies: int) -> torch.Tensor:
    """A as it is programmed ``copies`` times: sizes between 0 and the largest, signs by the rail."""
    size = A.abs().flatten()
    found = values_after(part, size, (0.0, float(size.max())), copies=copies)
    return found.T.reshape(copies, *A.shape) * A.sign()


def errors(seed: int, bits_with_sign: int, members: int = MEMBERS) -> list[float]:
    """Relative Frobenius errors of the inverse: nearest, one stochastic rounding (rms), mean over the ensemble."""
    A = wishart(seed)
    exact = torch.linalg.inv(A)
    part = Programming(bits=bits_with_sign - 1, stochastic_rounding=True)
    nearest = torch.linalg.inv(written(A, part.changed({"stochastic_rounding": False}), 1)[0])
    inverses = torch.linalg.inv(written(A, part, members))
    once = torch.linalg.matrix_norm(inverses - exact).square().mean().sqrt()
    found = torch.stack([(nearest - exact).norm(), once, (inverses.mean(0) - exact).norm()])
    return (found / exact.norm()).tolist()


def typical(bits_with_sign: int) -> list[float]:
    """Geometric means of the errors over the matrices."""
    return np.exp(np.mean(np.log([errors(seed, bits_with_sign) for seed in MATRICES]), 0)).tolist()


def test_the_mean_of_many_roundings_gains_two_bits_a_bit() -> None:
    """5 to 8 bits; between 5 and 6 the mean is far above its statistical floor, once/sqrt(2000)."""
    nearest, once, mean = zip(*(typical(bits) for bits in (5, 6, 7, 8)), strict=True)
    assert [once[k] / once[k + 1] for k in range(3)] == pytest.approx([2.0, 2.0, 2.0], rel=0.15)
    assert [nearest[k] / nearest[k + 1] for k in range(3)] == pytest.approx([2.0, 2.0, 2.0], rel=0.25)
    assert mean[0] > 2.5 * once[0] / MEMBERS**0.5
    assert mean[0] / mean[1] == pytest.approx(4.0, rel=0.15)
    assert mean[1] < nearest[1] / 4


def test_the_mean_reaches_its_statistical_floor() -> None:
    """At 12 bits the bias is gone: what is left is the error of one rounding over the square root of the members."""
    found = [errors(seed, 12, members=400) for seed in range(40)]
    squares = [(mean * 400**0.5 / once) ** 2 for _, once, mean in found]
    assert np.mean(squares) == pytest.approx(1.0, rel=0.25)
