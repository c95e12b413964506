"""From questions and paragraphs to tensors of tokens and back: windows, positions of answers, the best stretch.

    [CLS] question [SEP] a window of the paragraph [SEP] padding

A paragraph longer than a window is cut into several that overlap by a third.  Inputs are one integer tensor, shape
(windows, 4, tokens); the planes are numbered by :class:`Plane`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks.squad import Answer, Question

__all__ = ["Encoding", "Plane", "QAWindows", "Tokenizer", "answer_windows", "best_answers", "make_windows", "trimmed"]


class Plane(enum.IntEnum):
    """Planes of the inputs: token numbers; 1 unless padding; 1 from the paragraph on; 1 where an answer may be."""

    TOKEN = 0
    ATTENDED = 1
    SEGMENT = 2
    CANDIDATE = 3


class Encoding(Protocol):
    """What is used of ``tokenizers.Encoding``: one window."""

    @property
    def ids(self) -> list[int]:
        """Token numbers."""
        ...

    @property
    def type_ids(self) -> list[int]:
        """Segments."""
        ...

    @property
    def sequence_ids(self) -> list[int | None]:
        """0 in the question, 1 in the paragraph, None at special tokens."""
        ...

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """First character and the one after the last, in the question or the paragraph."""
        ...

    @property
    def overflowing(self) -> Sequence[Encoding]:
        """The further windows."""
        ...


class Tokenizer(Protocol):
    """What is used of ``tokenizers.Tokenizer``; it cuts a paragraph into windows itself."""

    def encode(self, sequence: str, pair: str, /) -> Encoding:
        """The first window of a question and a paragraph, which holds the others."""
        ...


@dataclass(frozen=True, eq=False)
class QAWindows:
    """All windows of some questions.

    Attributes:
        inputs: Shape (windows, 4, tokens), int64, padded by 0; see :class:`Plane`.
        offsets: Characters of each token in its paragraph, shape (windows, tokens, 2); 0 outside the paragraph.
        question: Number of the question, shape (windows,), increasing.
    """

    inputs: Tensor
    offsets: Tensor
    question: Tensor


def make_windows(questions: Sequence[Question], tokenizer: Tokenizer) -> QAWindows:
    """Cut and number the questions' texts.

    Raises:
        MisuseError: No questions, or one that leaves no room for its paragraph.
    """
    if not questions:
        raise MisuseError("questions is empty: give at least one")
    found: list[tuple[int, Encoding]] = []
    for number, question in enumerate(questions):
        try:
            first = tokenizer.encode(question.text, question.context)
        except Exception as error:  # the library raises nothing more special
            raise MisuseError(f"question {question.text[:60]!r} cannot be tokenised ({error})") from error
        found += [(number, window) for window in (first, *first.overflowing)]
    tokens = max(len(window.ids) for _, window in found)
    inputs = torch.zeros(len(found), len(Plane), tokens, dtype=torch.int64)
    offsets = torch.zeros(len(found), tokens, 2, dtype=torch.int64)
    for k, (number, window) in enumerate(found):
        here = slice(len(window.ids))
        inside = torch.tensor([part == 1 for part in window.sequence_ids])
        if not bool(inside.any()):
            raise MisuseError(f"question {questions[number].text[:60]!r} comes without any token of its paragraph")
        inputs[k, Plane.TOKEN, here] = torch.tensor(window.ids)
        inputs[k, Plane.ATTENDED, here] = 1
        inputs[k, Plane.SEGMENT, here] = torch.tensor(window.type_ids)
        inputs[k, Plane.CANDIDATE, here] = inside.to(torch.int64)
        offsets[k, here] = torch.tensor(window.offsets) * inside[:, None]
    return QAWindows(inputs, offsets, torch.tensor([number for number, _ in found]))


def answer_windows(windows: QAWindows, questions: Sequence[Question]) -> tuple[Tensor, Tensor]:
    """Where the first answer of each question stands: the first window that holds it whole.

    Returns:
        Numbers of those windows, shape (n,), and tokens of start and end (the last one of the answer), shape (n, 2);
        n is smaller than the number of questions where an answer is longer than every window.
    """
    chosen: dict[int, tuple[int, list[int]]] = {}
    for k, number in enumerate(_numbers(windows)):
        if number not in chosen:
            span = _span(windows.offsets[k], windows.inputs[k, Plane.CANDIDATE].bool(), questions[number].answers[0])
            if span is not None:
                chosen[number] = (k, span)
    numbers, spans = [k for k, _ in chosen.values()], [span for _, span in chosen.values()]
    return torch.tensor(numbers, dtype=torch.int64), torch.tensor(spans, dtype=torch.int64).reshape(-1, 2)


def _span(offsets: Tensor, candidate: Tensor, answer: Answer) -> list[int] | None:
    """Tokens that begin and end ``answer``; None where it is not whole in this window."""
    begins, ends = offsets[:, 0], offsets[:, 1]
    if int(begins[candidate].min()) > answer.start or int(ends[candidate].max()) < answer.end:
        return None
    touched = torch.nonzero(candidate & (ends > answer.start) & (begins < answer.end)).reshape(-1)
    return [int(touched[0]), int(touched[-1])] if len(touched) else None


def best_answers(
    logits: Tensor, windows: QAWindows, questions: Sequence[Question], *, max_answer_tokens: int = 30
) -> list[str]:
    """One answer a question: start and end, in this order, at most ``max_answer_tokens`` long, of the largest sum.

    Args:
        logits: Start logits, then end logits, of every window: shape (windows, 2 tokens); low outside the candidates.
        windows: What they were computed from.
        questions: The questions of the windows.
        max_answer_tokens: Longest answer.

    Cost: windows tokens max_answer_tokens.
    """
    start, end = logits.chunk(2, dim=1)
    best: dict[int, tuple[float, str]] = {}
    for k, number in enumerate(_numbers(windows)):
        inside = torch.nonzero(windows.inputs[k, Plane.CANDIDATE]).reshape(-1)
        sums = start[k, inside, None] + end[k, None, inside]
        allowed = torch.ones_like(sums, dtype=torch.bool).triu().tril(max_answer_tokens - 1)
        place = int(sums.masked_fill(~allowed, -torch.inf).argmax())
        first, last = inside[place // len(inside)], inside[place % len(inside)]
        score = float(start[k, first] + end[k, last])
        if number not in best or score > best[number][0]:
            text = questions[number].context[int(windows.offsets[k, first, 0]) : int(windows.offsets[k, last, 1])]
            best[number] = (score, text)
    return [best[number][1] for number in range(len(questions))]


def _numbers(windows: QAWindows) -> list[int]:
    return cast("list[int]", windows.question.tolist())  # torch leaves it untyped


def trimmed(inputs: Tensor) -> Tensor:
    """``inputs`` without the tokens at the end that are padding in all windows."""
    return inputs[:, :, : int(inputs[:, Plane.ATTENDED].sum(dim=1).max())]
