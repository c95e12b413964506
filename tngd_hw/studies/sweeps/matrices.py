"""Families of matrices for studies: from a word such as ``wishart_2n`` to A and b of a given size and number.

    wishart_n, wishart_2n, wishart_4n   A = X X^T/n, X standard normal, n x n, n x 2n or n x 4n
    ill_conditioned:1e4                 A = Q diag(1 ... 1/1e4, equal steps of the logarithm) Q^T, Q a random rotation
    laplacian                           A = L + 0.1 I, L the Laplacian of a random graph: entries off the diagonal <= 0,
                                        diagonally dominant; what resistors or capacitors alone can hold
    fisher_start, _middle, _end         A = W W^T + 0.1 I of the digits network before, during and after its training
                                        (see :mod:`tngd_hw.studies.sweeps.fisher`), b its own right-hand side u
    FILE.npy, FILE.npz                  the user's A (in an archive: A, and b if it has one)

b is standard normal where the family has none of its own.  Every b is scaled so that the answer x = A^-1 b has the
root mean square 1: errors and kappa then mean the same in every family (for A = I one noisy reading has the relative
error sqrt(kappa)).
"""

from __future__ import annotations

import enum
import hashlib
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tngd_hw.outcome import MisuseError
from tngd_hw.problem import LinearProblem
from tngd_hw.random import stream
from tngd_hw.studies.sweeps.fisher import TrainingStage, TrainingStages

__all__ = ["MatrixFamily", "MatrixSource", "make_problem"]

Array = NDArray[np.float64]

_LAPLACIAN_DAMPING = 0.1
_EDGE_SHARE = 0.5
"""Share of the pairs of nodes of the random graph that are joined; a ring joins all of them besides."""

_WORD_FOR_FILE = "file"


class MatrixFamily(enum.Enum):
    """Where a matrix comes from; the value is the word in configurations."""

    WISHART_N = "wishart_n"
    WISHART_2N = "wishart_2n"
    WISHART_4N = "wishart_4n"
    ILL_CONDITIONED = "ill_conditioned"
    LAPLACIAN = "laplacian"
    FISHER_START = "fisher_start"
    FISHER_MIDDLE = "fisher_middle"
    FISHER_END = "fisher_end"
    FILE = _WORD_FOR_FILE

    @property
    def training_stage(self) -> TrainingStage | None:
        """The stage of the training run that this family is taken from, or None."""
        return _STAGES.get(self)


_STAGES = {
    MatrixFamily.FISHER_START: TrainingStage.START,
    MatrixFamily.FISHER_MIDDLE: TrainingStage.MIDDLE,
    MatrixFamily.FISHER_END: TrainingStage.END,
}
_SAMPLES = {MatrixFamily.WISHART_N: 1, MatrixFamily.WISHART_2N: 2, MatrixFamily.WISHART_4N: 4}
_WORDS = ", ".join(family.value for family in MatrixFamily if family.value != _WORD_FOR_FILE)


@dataclass(frozen=True)
class MatrixSource:
    """A family with what it needs.

    Attributes:
        family: Which.
        condition: Condition number, above 1; of ILL_CONDITIONED alone, else None.
        path: The user's file; of FILE alone, else None.
        digest: SHA-256 of that file, so that a changed file is another configuration.
    """

    family: MatrixFamily
    condition: float | None = None
    path: Path | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> MatrixSource:
        """From a word, or a file (relative to ``folder``).

        Raises:
            MisuseError: No such word or file, or a condition number that is none.
        """
        if Path(text).suffix.lower() in (".npy", ".npz"):
            path = Path(text) if folder is None else folder / text
            return cls(MatrixFamily.FILE, path=path, digest=_digest(path))
        word, colon, number = text.partition(":")
        if word == MatrixFamily.ILL_CONDITIONED.value:
            return cls(MatrixFamily.ILL_CONDITIONED, condition=_condition(text, number) if colon else 1e3)
        if colon or word == _WORD_FOR_FILE or word not in [family.value for family in MatrixFamily]:
            raise MisuseError(f"matrix = {text!r}: the families are {_WORDS}, or give a file that ends in .npy or .npz")
        return cls(MatrixFamily(word))

    def __str__(self) -> str:
        """The word that :meth:`parse` takes; a file by its name and the first digits of its contents' hash."""
        if self.family is MatrixFamily.ILL_CONDITIONED:
            return f"{self.family.value}:{self.condition:g}"
        if self.path is None or self.digest is None:
            return self.family.value
        return f"{self.path.name} ({self.digest[:8]})"


def make_problem(
    source: MatrixSource, n: int, *, seed: int, repetition: int, stages: TrainingStages | None = None
) -> LinearProblem:
    """Matrix and right-hand side number ``repetition`` of a family; one keyed stream each, so sizes share no draws.

    Args:
        source: The family.
        n: Number of unknowns.
        seed: Of the study.
        repetition: Number of the matrix.
        stages: The training run that Fisher matrices are taken from.

    Returns:
        A problem whose answer has the root mean square 1.  Cost: O(n^3).

    Raises:
        MisuseError: A file that does not hold a matrix of n rows, or no training run where one is needed.
    """
    rng = stream(seed, f"study.matrix.{source.family.value}.{n}", use=repetition)
    stage = source.family.training_stage
    if stage is not None:
        if stages is None:
            raise MisuseError(f"matrix = {source}: a Fisher matrix is taken from a training run; pass its stages")
        return _with_unit_answer(*stages.fisher(stage, n, seed=seed, repetition=repetition))
    if source.path is not None:
        A, b = _from_file(source.path, n)
        return _with_unit_answer(A, rng.standard_normal(n) if b is None else b)
    drawn = _drawn(source, n, rng)
    return _with_unit_answer(drawn, rng.standard_normal(n))


def _drawn(source: MatrixSource, n: int, rng: np.random.Generator) -> Array:
    if source.family in _SAMPLES:
        X = rng.standard_normal((n, _SAMPLES[source.family] * n))
        return X @ X.T / n
    if source.condition is not None:
        Q = _rotation(n, rng)
        A = (Q * np.geomspace(1.0, 1.0 / source.condition, n)) @ Q.T
        return (A + A.T) / 2
    weight = np.triu(rng.uniform(0.1, 1.0, (n, n)) * (rng.uniform(size=(n, n)) < _EDGE_SHARE), 1)
    ring = np.arange(n - 1)
    weight[ring, ring + 1] = np.maximum(weight[ring, ring + 1], 0.1)
    weight = (weight + weight.T) / max(1.0, _EDGE_SHARE * n)
    return np.diag(weight.sum(1) + _LAPLACIAN_DAMPING) - weight


def _rotation(n: int, rng: np.random.Generator) -> Array:
    """Uniform over the orthogonal matrices: QR of a normal matrix with the signs of R's diagonal taken out.

    Source: F. Mezzadri, How to generate random matrices from the classical compact groups, Notices AMS 54 (2007) 592.
    """
    Q, R = np.linalg.qr(rng.standard_normal((n, n)))
    return Q * np.sign(np.diag(R))


def _with_unit_answer(A: Array, b: Array) -> LinearProblem:
    """b scaled to |A^-1 b| = sqrt(n); as it is where A has no such answer (the cell's outcome will say so)."""
    try:
        size = float(np.linalg.norm(np.linalg.solve(A, b)))
    except np.linalg.LinAlgError:
        size = 0.0
    usable = math.isfinite(size) and size > 0
    return LinearProblem(A, b * (math.sqrt(len(b)) / size) if usable else b)


def _condition(text: str, number: str) -> float:
    try:
        condition = float(number)
    except ValueError:
        condition = math.nan
    if not 1 < condition < math.inf:
        raise MisuseError(f"matrix = {text!r}: a condition number is above 1, as in ill_conditioned:1e4")
    return condition


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise MisuseError(f"matrix = {path}: cannot be read ({error.strerror}); check the path") from None


def _from_file(path: Path, n: int) -> tuple[Array, Array | None]:
    """A and, from an archive, b; plain arrays alone, so that no file can run code."""
    try:
        content: Any = np.load(path, allow_pickle=False)
        arrays: dict[str, Any] = {"A": content} if isinstance(content, np.ndarray) else dict(content)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise MisuseError(f"matrix = {path}: not an array file ({error}); write one with numpy.save") from None
    if "A" not in arrays:
        raise MisuseError(f"matrix = {path}: has no array A (it has {', '.join(arrays) or 'none'}); name the matrix A")
    problem = LinearProblem(arrays["A"], arrays.get("b"))
    if problem.n != n or (problem.b is not None and problem.b.ndim != 1):
        raise MisuseError(f"matrix = {path}: A has {problem.n} rows, the study {n} nodes (and b one column); set sizes")
    return problem.dense_matrix().numpy(), None if problem.b is None else problem.b.numpy()
