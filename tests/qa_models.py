"""Stand-ins for the question-answering tests: a tokenizer, an encoder, a few questions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from tngd_hw.tasks.qa_model import ExtractiveQA, adapted
from tngd_hw.tasks.qa_task import QATask, make_qa_task
from tngd_hw.tasks.squad import Answer, Question

__all__ = ["TinyEncoder", "WordTokenizer", "tiny_network", "tiny_questions", "tiny_task"]


@dataclass(frozen=True)
class _Window:
    ids: list[int]
    type_ids: list[int]
    sequence_ids: list[int | None]
    offsets: list[tuple[int, int]]
    overflowing: list[_Window] = field(default_factory=list)


class WordTokenizer:
    """Words and signs as tokens, numbered as they come from 3 on; 1 and 2 are [CLS] and [SEP]."""

    def __init__(self, max_tokens: int = 64, overlap: int = 2) -> None:
        self.numbers: dict[str, int] = {}
        self.max_tokens, self.overlap = max_tokens, overlap

    def encode(self, sequence: str, pair: str, /) -> _Window:
        question, context = self._pieces(sequence), self._pieces(pair)
        room = self.max_tokens - len(question) - 3
        if room <= self.overlap:
            raise ValueError("question too long")
        starts = range(0, max(len(context) - self.overlap, 1), room - self.overlap)
        windows = [self._window(question, context[start : start + room]) for start in starts]
        return _Window(**{**windows[0].__dict__, "overflowing": windows[1:]})

    def _pieces(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        found = re.finditer(r"\w+|[^\w\s]", text)
        return [(self.numbers.setdefault(m.group().lower(), len(self.numbers) + 3), m.span()) for m in found]

    def _window(self, question: list, context: list) -> _Window:
        a, b = len(question), len(context)
        special = (0, 0)
        return _Window(
            ids=[1, *(n for n, _ in question), 2, *(n for n, _ in context), 2],
            type_ids=[0] * (a + 2) + [1] * (b + 1),
            sequence_ids=[None, *[0] * a, None, *[1] * b, None],
            offsets=[special, *(s for _, s in question), special, *(s for _, s in context), special],
        )


class TinyEncoder(nn.Module):
    """One block of attention, called as transformers' encoders are; padding gets no attention."""

    def __init__(self, seed: int = 0, width: int = 8, vocabulary: int = 60) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.words, self.segments = nn.Embedding(vocabulary, width), nn.Embedding(2, width)
            self.attention = nn.ModuleDict({f"{name}_lin": nn.Linear(width, width) for name in ("q", "k", "v", "out")})
        self.double()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> SimpleNamespace:
        x = self.words(input_ids) + self.segments(token_type_ids)
        q, k, v = (self.attention[f"{name}_lin"](x) for name in ("q", "k", "v"))
        scores = (q @ k.mT / x.shape[-1] ** 0.5).masked_fill(attention_mask[:, None, :] == 0, -1e9)
        return SimpleNamespace(last_hidden_state=x + self.attention["out_lin"](scores.softmax(dim=-1) @ v))


def tiny_questions() -> list[Question]:
    """Six short ones on two articles; a colour is asked for, and stands after "is"."""
    colours = (("sky", "blue"), ("grass", "green"), ("snow", "very white"), ("coal", "black"))
    found: list[Question] = []
    for thing, colour in colours:
        context = f"The sun shines. The {thing}, as all know, is {colour}!"
        answers = (Answer(colour, context.index(colour)),)
        found.append(Question(f"What colour is {thing}?", context, answers, "Things" if thing != "coal" else "Stones"))
    return found


def tiny_network(seed: int) -> nn.Module:
    return adapted(ExtractiveQA(TinyEncoder(), 8, seed=seed), rank=2, alpha=4.0, seed=seed)


def tiny_task(max_tokens: int = 64) -> QATask:
    """Three questions to train on, one held out."""
    questions = tiny_questions()
    return make_qa_task(questions[:3], questions[3:], WordTokenizer(max_tokens), tiny_network)
