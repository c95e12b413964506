"""The question-answering task: SQuAD's sample on a pre-trained encoder, its batches, and its scores."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import torch
from torch import Tensor, nn

from tngd_hw.curvature import SplitCrossEntropy
from tngd_hw.tasks.classification import minibatches
from tngd_hw.tasks.qa_model import load_tokenizer, model_folder, qa_network
from tngd_hw.tasks.qa_windows import Plane, QAWindows, Tokenizer, answer_windows, best_answers, make_windows, trimmed
from tngd_hw.tasks.squad import Question, exact_match, f1_score, split_by_article, squad_questions

__all__ = ["TEST_ARTICLES", "QAScores", "QATask", "make_qa_task", "qa_scores", "qa_task"]

TEST_ARTICLES: Final = ("Victoria_(Australia)",)
"""The held-out article of every reported number: 124 questions; the other four articles have 581."""

_WINDOWS_AT_ONCE: Final = 16


@dataclass(frozen=True, eq=False)
class QATask:
    """Data and model, ready for training.

    Attributes:
        train_inputs: One window a training question, the one with its answer: shape (train, 4, tokens), int64.
        train_targets: Tokens where the answer starts and ends, shape (train, 2), int64.
        test_questions: Held-out questions.
        test_windows: All their windows.
        test_answers: Windows that hold the answers, and start and end there, as :func:`answer_windows` gives them.
        name: Short name for tables and files.
        make_network: From a seed to a fresh network.
    """

    train_inputs: Tensor
    train_targets: Tensor
    test_questions: tuple[Question, ...]
    test_windows: QAWindows
    test_answers: tuple[Tensor, Tensor]
    name: str
    make_network: Callable[[int], nn.Module]

    def minibatches(self, batch_size: int, steps: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As :func:`tngd_hw.tasks.minibatches`; each batch is as long as its longest window."""
        batches = minibatches(self, batch_size, steps, seed)
        return ((trimmed(inputs), targets) for inputs, targets in batches)


@dataclass(frozen=True)
class QAScores:
    """Held-out scores.

    Attributes:
        loss: Mean cross-entropy of start and end on the windows that hold the answers.
        exact_match: Fraction of the questions answered as one of the annotators did.
        f1: Mean overlap with the nearest annotator's words.
    """

    loss: float
    exact_match: float
    f1: float


def qa_task(
    *,
    data_dir: str | Path | None = None,
    model_dir: str | Path | None = None,
    max_tokens: int = 384,
    rank: int = 2,
    alpha: float = 32.0,
) -> QATask:
    """SQuAD's five articles, one held out, on an encoder with LoRA (arXiv 2405.13817, section 5.3).

    Args:
        data_dir: Folder to look in first for the data.
        model_dir: Folder of the encoder; None: the package that ``make qa-model`` installs.
        max_tokens: Longest window.
        rank: r of the adapters.
        alpha: Numerator of their scale.

    Raises:
        MisuseError: Missing data, model or library, or a number out of range.

    Cost: about a second, without the networks.
    """
    folder = model_folder(model_dir)
    train, test = split_by_article(squad_questions(data_dir), TEST_ARTICLES)
    make = functools.partial(qa_network, model_dir=folder, rank=rank, alpha=alpha)
    return make_qa_task(train, test, load_tokenizer(folder, max_tokens), make)


def make_qa_task(
    train: Sequence[Question], test: Sequence[Question], tokenizer: Tokenizer, make_network: Callable[[int], nn.Module]
) -> QATask:
    """A task from any questions, tokenizer and network."""
    windows = make_windows(train, tokenizer)
    chosen, targets = answer_windows(windows, train)
    test_windows = make_windows(test, tokenizer)
    return QATask(
        train_inputs=windows.inputs[chosen],
        train_targets=targets,
        test_questions=tuple(test),
        test_windows=test_windows,
        test_answers=answer_windows(test_windows, test),
        name="squad",
        make_network=make_network,
    )


def qa_scores(network: nn.Module, task: QATask) -> QAScores:
    """Loss, exact match and F1 on the held-out questions.

    Cost: a forward pass of every held-out window; 10 to 20 s for MiniLM-L6 on one core.
    """
    logits = _logits(network, task.test_windows.inputs)
    chosen, targets = task.test_answers
    answers = best_answers(logits, task.test_windows, task.test_questions)
    pairs = [(answer, question.answers) for answer, question in zip(answers, task.test_questions, strict=True)]
    return QAScores(
        loss=float(SplitCrossEntropy(2)(logits[chosen], targets)),
        exact_match=fmean(exact_match(*pair) for pair in pairs),
        f1=fmean(f1_score(*pair) for pair in pairs),
    )


def _logits(network: nn.Module, inputs: Tensor) -> Tensor:
    """Outputs for all ``inputs``, shape (windows, 2 tokens), float64; windows of like lengths go together."""
    windows, _, tokens = inputs.shape
    logits = torch.full((windows, 2, tokens), -1e4, dtype=torch.float64)
    order = inputs[:, Plane.ATTENDED].sum(dim=1).argsort(stable=True)
    with torch.no_grad():
        for begin in range(0, windows, _WINDOWS_AT_ONCE):
            chosen = order[begin : begin + _WINDOWS_AT_ONCE]
            batch = trimmed(inputs[chosen])
            found: Tensor = network(batch)
            logits[chosen, :, : batch.shape[2]] = found.reshape(len(chosen), 2, -1).to(torch.float64)
    return logits.flatten(1)
