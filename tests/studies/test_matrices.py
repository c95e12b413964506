"""Matrix families: what they are said to be, by other means than the code that makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tngd_hw.outcome import MisuseError
from tngd_hw.studies.sweeps.fisher import TrainingStage, TrainingStages, training_stages
from tngd_hw.studies.sweeps.matrices import MatrixFamily, MatrixSource, make_problem
from tngd_hw.tasks import digits_task
from tngd_hw.topologies import find_topology

WORDS = ["wishart_n", "wishart_2n", "wishart_4n", "ill_conditioned:100", "laplacian"]


def made(word: str, n: int = 12, repetition: int = 0, stages: TrainingStages | None = None, seed: int = 3):
    problem = make_problem(MatrixSource.parse(word), n, seed=seed, repetition=repetition, stages=stages)
    assert problem.b is not None
    return problem.dense_matrix().numpy(), problem.b.numpy()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> TrainingStages:
    return training_stages(tmp_path_factory.mktemp("training") / "training.npz", seed=1)


@pytest.mark.parametrize("word", WORDS)
def test_every_answer_has_the_same_size(word: str) -> None:
    A, b = made(word)
    assert np.sqrt(np.mean(np.linalg.solve(A, b) ** 2)) == pytest.approx(1, rel=1e-9)
    assert np.abs(A - A.T).max() == 0
    assert np.linalg.eigvalsh(A)[0] > 0


@pytest.mark.parametrize("word", WORDS)
def test_seed_and_number_make_the_matrix(word: str) -> None:
    A, b = made(word)
    again, _ = made(word)
    other, _ = made(word, repetition=1)
    seeded, _ = made(word, seed=4)
    assert np.array_equal(A, again)
    assert not np.isclose(A, other).all()
    assert not np.isclose(A, seeded).all()
    assert b.shape == (12,)


@pytest.mark.parametrize(("word", "ratio"), [("wishart_n", 1), ("wishart_2n", 2), ("wishart_4n", 4)])
def test_wishart_spectra_fill_the_band_of_marchenko_and_pastur(word: str, ratio: int) -> None:
    """X X^T/n with m = ratio n samples: eigenvalues between (sqrt(ratio) - 1)^2 and (sqrt(ratio) + 1)^2, mean ratio."""
    values = np.linalg.eigvalsh(made(word, n=300)[0])
    assert values.mean() == pytest.approx(ratio, rel=0.03)
    assert values[-1] == pytest.approx((np.sqrt(ratio) + 1) ** 2, rel=0.06)
    assert values[0] == pytest.approx((np.sqrt(ratio) - 1) ** 2, rel=0.15, abs=1e-3)


def test_ill_conditioned_has_the_spectrum_that_was_asked_for() -> None:
    A, _ = made("ill_conditioned:1e4", n=5)
    assert np.linalg.eigvalsh(A) == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0], rel=1e-9)
    assert np.abs(A - np.diag(np.diag(A))).max() > 0.05  # rotated


def test_laplacian_is_what_capacitors_and_resistors_can_hold() -> None:
    A, _ = made("laplacian")
    assert (A - np.diag(np.diag(A))).max() <= 0
    assert A.sum(1) == pytest.approx(0.1, rel=1e-9)
    problem = make_problem(MatrixSource.parse("laplacian"), 12, seed=3, repetition=0)
    for name in ("passive_rc", "rlc_spu"):
        assert find_topology(name).own_scaling(problem) is None


def test_training_went_somewhere(stages: TrainingStages) -> None:
    assert stages.accuracy[TrainingStage.START] < 0.25
    assert stages.accuracy[TrainingStage.END] > 0.9


def test_fisher_matrix_by_a_loop_over_samples(stages: TrainingStages) -> None:
    """K = W W^T + 0.1 I from one gradient a class: W_(s,c) = sqrt(1/B) sum_d (H_s^(1/2))_(c,d) grad z_(s,d)."""
    n, repetition, seed = 14, 2, 3  # two samples, the second one cut
    A, b = made("fisher_middle", n=n, repetition=repetition, stages=stages)
    task = digits_task()
    network = task.make_network(stages.seed)
    nn.utils.vector_to_parameters(stages.parameters[TrainingStage.MIDDLE], network.parameters())
    from tngd_hw.random import derived_seed

    inputs, targets = next(task.minibatches(2, 1, derived_seed(seed, "study.fisher.batch", repetition)))
    rows, hessian_roots, residuals = [], [], []
    for x, y in zip(inputs, targets, strict=True):
        z = network(x)
        p = torch.softmax(z, 0).detach()
        gradients = [torch.autograd.grad(z[c], list(network.parameters()), retain_graph=True) for c in range(10)]
        rows.append(torch.stack([torch.cat([g.ravel() for g in one]) for one in gradients]))
        hessian_roots.append((torch.diag(p) - torch.outer(p, p)) / 2)
        residuals.append((p - nn.functional.one_hot(y, 10)) / 2)
    J, H = torch.cat(rows), torch.block_diag(*hessian_roots)
    whole = J.T @ H @ J  # the same nonzero spectrum as the dual, for the full batch of 20 rows
    full, _ = made("fisher_middle", n=20, repetition=repetition, stages=stages)
    largest = np.linalg.eigvalsh(whole.numpy())[-18:]  # softmax blocks have rank 9
    undamped = np.linalg.eigvalsh(full)[-18:] - 0.1
    assert undamped == pytest.approx(largest, rel=1e-6, abs=1e-9)
    assert np.abs(A - full[:n, :n]).max() < 1e-12
    assert b.shape == (n,)
    assert np.linalg.eigvalsh(A)[0] == pytest.approx(0.1, rel=1e-6)


def test_stages_differ_and_survive_the_file(stages: TrainingStages, tmp_path: Path) -> None:
    stages.save(tmp_path / "kept.npz")
    kept = TrainingStages.load(tmp_path / "kept.npz")
    start, middle, end = (made(f"fisher_{word}", stages=kept)[0] for word in ("start", "middle", "end"))
    assert np.array_equal(middle, made("fisher_middle", stages=stages)[0])
    assert np.abs(start - middle).max() > 0.1
    assert np.abs(end - middle).max() > 0.01


def test_a_training_run_of_another_seed_or_kind_is_refused(stages: TrainingStages, tmp_path: Path) -> None:
    stages.save(tmp_path / "kept.npz")
    with pytest.raises(MisuseError, match="of seed 1, not 2"):
        training_stages(tmp_path / "kept.npz", seed=2)
    (tmp_path / "other.npz").write_text("nothing")
    with pytest.raises(MisuseError, match="not the training run of a study"):
        training_stages(tmp_path / "other.npz", seed=1)


def test_files_of_ones_own(tmp_path: Path) -> None:
    A, b = np.array([[2.0, -0.5], [0.25, 1.0]]), np.array([1.0, 3.0])
    np.save(tmp_path / "mine.npy", A)
    np.savez(tmp_path / "both.npz", A=A, b=b)
    held, drawn = made(str(tmp_path / "mine.npy"), n=2)
    assert np.array_equal(held, A)
    _, given = made(str(tmp_path / "both.npz"), n=2)
    assert given / np.linalg.norm(given) == pytest.approx(b / np.linalg.norm(b))
    assert abs(drawn[1] / drawn[0]) != pytest.approx(3)


def test_a_changed_file_is_another_source(tmp_path: Path) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, np.eye(2))
    before = MatrixSource.parse(str(path))
    np.save(path, 2 * np.eye(2))
    assert MatrixSource.parse("mine.npy", tmp_path) != before
    assert str(before) == f"mine.npy ({before.digest[:8] if before.digest else ''})"


@pytest.mark.parametrize("word", [*WORDS, "fisher_start"])
def test_the_word_comes_back(word: str) -> None:
    assert str(MatrixSource.parse(word)) == word


def test_every_family_but_files_is_a_word() -> None:
    words = {str(MatrixSource.parse(f.value)).partition(":")[0] for f in MatrixFamily if f is not MatrixFamily.FILE}
    assert words == {family.value for family in MatrixFamily} - {"file"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("wishart", "the families are wishart_n"),
        ("wishart_2n:3", "the families are"),
        ("file", "the families are"),
        ("ill_conditioned:1", "above 1"),
        ("ill_conditioned:nan", "above 1"),
        ("ill_conditioned:", "above 1"),
        ("nothing.npy", "cannot be read"),
    ],
)
def test_wrong_words(text: str, sentence: str) -> None:
    with pytest.raises(MisuseError, match=sentence):
        MatrixSource.parse(text)


def test_wrong_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", matrix=np.eye(2))
    (tmp_path / "text.npy").write_text("1 2 3")
    np.save(tmp_path / "three.npy", np.eye(3))
    for name, sentence in (("named.npz", "no array A"), ("text.npy", "not an array file"), ("three.npy", "has 3 rows")):
        with pytest.raises(MisuseError, match=sentence):
            made(str(tmp_path / name), n=2)
    with pytest.raises(MisuseError, match="pass its stages"):
        made("fisher_end")
