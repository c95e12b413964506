"""SQuAD: questions on paragraphs of articles, whose answers are stretches of the text, and how answers are scored.

Source: P. Rajpurkar et al., SQuAD, arXiv 1606.05250, section 6.1 (exact match, F1); normalisation as in the published
evaluation script, written anew.  Only answerable questions are read.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks.data_files import SQUAD_SAMPLE, obtain_data, verified_content

__all__ = [
    "Answer",
    "Question",
    "exact_match",
    "f1_score",
    "normalised",
    "read_squad",
    "split_by_article",
    "squad_questions",
]

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Answer:
    """One annotator's answer.

    Attributes:
        text: As it stands in the paragraph.
        start: Number of its first character there, from 0.
    """

    text: str
    start: int

    @property
    def end(self) -> int:
        """Number of the character after its last one."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Question:
    """An answerable question.

    Attributes:
        text: What is asked.
        context: The paragraph that answers it.
        answers: One or more, by different annotators; the first one is trained on.
        article: Title of the article that the paragraph is from.
    """

    text: str
    context: str
    answers: tuple[Answer, ...]
    article: str


def squad_questions(data_dir: str | Path | None = None) -> list[Question]:
    """The 705 answerable questions of five articles of the SQuAD 2.0 development set, in the file's order.

    Args:
        data_dir: Folder to look in first (then TNGD_HW_DATA and the cache: :mod:`tngd_hw.tasks.data_files`).

    Raises:
        MisuseError: The file is missing or another one.
    """
    (path,) = obtain_data((SQUAD_SAMPLE,), data_dir)
    return read_squad(verified_content(SQUAD_SAMPLE, path), str(path))


def read_squad(content: bytes, name: str) -> list[Question]:
    """The answerable questions of a file in the format of SQuAD 1.1 or 2.0.

    Args:
        content: The whole file, JSON.
        name: What errors call it.

    Raises:
        MisuseError: Not JSON, not this format, or an answer that does not stand where the file says.
    """
    try:
        return [
            _question(entry, paragraph["context"], article["title"])
            for article in json.loads(content)["data"]
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
            if entry["answers"]
        ]
    except MisuseError as error:
        raise MisuseError(f"{name}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MisuseError(f"{name}: no SQuAD file ({type(error).__name__}: {error})") from None


def _question(entry: dict[str, Any], context: str, article: str) -> Question:
    answers = tuple(Answer(answer["text"], answer["answer_start"]) for answer in entry["answers"])
    for answer in answers:
        if not answer.text or context[answer.start : answer.end] != answer.text:
            raise MisuseError(f"the answer {answer.text!r} does not stand at character {answer.start} of its paragraph")
    return Question(entry["question"], context, answers, article)


def split_by_article(
    questions: Sequence[Question], test_articles: Sequence[str]
) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    """Questions to train on, and those on ``test_articles``: no paragraph, and no subject, is in both.

    Raises:
        MisuseError: An article that is not there, or nothing left on one side.
    """
    unknown = sorted(set(test_articles) - {question.article for question in questions})
    if unknown:
        raise MisuseError(f"test_articles: there is no article {', '.join(unknown)}")
    train = tuple(question for question in questions if question.article not in test_articles)
    test = tuple(question for question in questions if question.article in test_articles)
    if not train or not test:
        raise MisuseError(f"test_articles = {tuple(test_articles)}: leave at least one article on either side")
    return train, test


def normalised(text: str) -> str:
    """Lower case, without punctuation (ASCII), without the articles a, an, the; single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, answers: Sequence[Answer]) -> float:
    """1 if the prediction equals one of the answers after normalisation, else 0."""
    return float(normalised(prediction) in {normalised(answer.text) for answer in answers})


def f1_score(prediction: str, answers: Sequence[Answer]) -> float:
    """Largest F1 of the prediction's words against one answer's: 2 common / (words + words)."""
    return max(_f1(normalised(prediction).split(), normalised(answer.text).split()) for answer in answers)


def _f1(found: list[str], wanted: list[str]) -> float:
    if not found or not wanted:
        return float(found == wanted)
    return 2 * (Counter(found) & Counter(wanted)).total() / (len(found) + len(wanted))
