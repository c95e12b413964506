"""SQuAD: what is read, how answers are scored (by hand), windows and positions, and the published sample."""

import json

import pytest
import torch
from qa_models import WordTokenizer, tiny_questions
from real_data import needs_data

from tngd_hw.outcome import MisuseError
from tngd_hw.tasks import SQUAD_SAMPLE
from tngd_hw.tasks.qa_windows import Plane, answer_windows, best_answers, make_windows, trimmed
from tngd_hw.tasks.squad import (
    Answer,
    Question,
    exact_match,
    f1_score,
    normalised,
    read_squad,
    split_by_article,
    squad_questions,
)


def _answers(*texts: str) -> list[Answer]:
    return [Answer(text, 0) for text in texts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Theory of a Thing, an end!", "theory of thing end"),
        ("U.S.A.", "usa"),
        ("an-other", "another"),  # signs go first, so no article is left alone
        ("10\tth é", "10 th é"),
        ("the", ""),
    ],
)
def test_normalisation(text: str, expected: str):
    assert normalised(text) == expected


def test_scores_by_hand():
    assert exact_match("the Normans.", _answers("France", "Normans")) == 1.0
    assert exact_match("Norman", _answers("Normans")) == 0.0
    # 2 words in common of 3 and 4, one of them twice in the prediction only: 2 * 2 / (3 + 4)
    assert f1_score("big big house", _answers("a big red old house")) == pytest.approx(4 / 7)
    assert f1_score("red", _answers("big", "red house", "old house")) == pytest.approx(2 / 3)
    assert (f1_score("the", _answers("a")), f1_score("the", _answers("dog"))) == (1.0, 0.0)


def _document(**changes: object) -> bytes:
    entry = {"question": "Who?", "answers": [{"text": "Ada", "answer_start": 4}]} | changes
    paragraph = {"context": "I am Ada", "qas": [entry, {"question": "No?", "answers": [], "is_impossible": True}]}
    return json.dumps({"data": [{"title": "T", "paragraphs": [paragraph]}]}).encode()


def test_only_answerable_questions_are_read_and_places_are_checked():
    with pytest.raises(MisuseError, match=r"^f: the answer 'Ada' does not stand at character 4"):
        read_squad(_document(), "f")
    found = read_squad(_document(answers=[{"text": "Ada", "answer_start": 5}]), "f")
    assert found == [Question("Who?", "I am Ada", (Answer("Ada", 5),), "T")]
    for content in (b"{", b"[]", b'{"data": [{}]}', _document(answers=[{"text": "Ada"}])):
        with pytest.raises(MisuseError, match=r"^f: no SQuAD file"):
            read_squad(content, "f")


def test_articles_stay_on_one_side():
    train, test = split_by_article(tiny_questions(), ("Stones",))
    assert ({q.article for q in train}, {q.article for q in test}) == ({"Things"}, {"Stones"})
    with pytest.raises(MisuseError, match="no article Seas"):
        split_by_article(tiny_questions(), ("Seas",))
    with pytest.raises(MisuseError, match="either side"):
        split_by_article(tiny_questions(), ("Stones", "Things"))


def test_planes_and_positions_of_one_window():
    questions = tiny_questions()
    windows = make_windows(questions, WordTokenizer())
    # [CLS] what colour is snow ? [SEP] the sun shines . the snow , as all know , is very white ! [SEP]
    snow = windows.inputs[2]
    assert snow[Plane.ATTENDED].sum() == 7 + 15 + 1
    assert snow[Plane.CANDIDATE].nonzero().reshape(-1).tolist() == list(range(7, 22))
    assert snow[Plane.SEGMENT].nonzero().reshape(-1).tolist() == list(range(7, 23))
    chosen, spans = answer_windows(windows, questions)
    assert chosen.tolist() == [0, 1, 2, 3]
    assert spans[2].tolist() == [19, 20]
    first, last = windows.offsets[2, 19], windows.offsets[2, 20]
    assert questions[2].context[first[0] : last[1]] == "very white"
    assert trimmed(windows.inputs[:2]).shape == (2, 4, 22)  # without "very"


def test_a_long_paragraph_is_cut_and_its_answer_found_in_the_window_that_holds_it_whole():
    questions = tiny_questions()
    windows = make_windows(questions, WordTokenizer(max_tokens=15, overlap=2))  # 7 tokens of paragraph a window
    assert windows.question.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    chosen, spans = answer_windows(windows, questions)
    assert chosen.tolist() == [2, 5, 8, 11]
    for k, question in enumerate(questions):
        offsets = windows.offsets[chosen[k]]
        assert question.context[offsets[spans[k, 0], 0] : offsets[spans[k, 1], 1]] == question.answers[0].text


def test_perfect_logits_give_the_answers_and_shuffled_ones_do_not():
    questions = tiny_questions()
    windows = make_windows(questions, WordTokenizer(max_tokens=15, overlap=2))
    chosen, spans = answer_windows(windows, questions)
    tokens = windows.inputs.shape[2]
    logits = torch.zeros(len(windows.inputs), 2 * tokens, dtype=torch.float64)
    logits[chosen, spans[:, 0]] = 5.0
    logits[chosen, tokens + spans[:, 1]] = 5.0
    found = best_answers(logits, windows, questions)
    assert found == [question.answers[0].text for question in questions]
    assert best_answers(logits.roll(1, dims=0), windows, questions) != found


def test_start_and_end_are_in_order_and_not_too_far_apart():
    question = [Question("Q?", "one two three four", (Answer("two", 4),), "T")]
    windows = make_windows(question, WordTokenizer())  # paragraph at tokens 4 to 7
    logits = torch.zeros(1, 2 * windows.inputs.shape[2], dtype=torch.float64)
    start, end = logits[0].chunk(2)
    start[4], start[6], end[5], end[7] = 3.0, 4.0, 4.5, 2.5
    assert best_answers(logits, windows, question) == ["one two"]  # 3 + 4.5; from 6 to 5 is no stretch
    end[7] = 5.0
    assert best_answers(logits, windows, question) == ["three four"]
    assert best_answers(logits, windows, question, max_answer_tokens=1) == ["four"]
    start[0] = 100.0  # [CLS] is no candidate
    assert best_answers(logits, windows, question) == ["three four"]


def test_misuse():
    with pytest.raises(MisuseError, match="questions is empty"):
        make_windows([], WordTokenizer())
    with pytest.raises(MisuseError, match="cannot be tokenised"):
        make_windows(tiny_questions(), WordTokenizer(max_tokens=6))
    with pytest.raises(MisuseError, match="without any token"):
        make_windows([Question("Q?", " ", (Answer(" ", 0),), "T")], WordTokenizer())


@needs_data(SQUAD_SAMPLE)
def test_the_sample():
    questions = squad_questions()
    assert len(questions) == 705
    counts = {q.article: sum(other.article == q.article for other in questions) for q in questions}
    assert counts == {
        "Normans": 96,
        "Computational_complexity_theory": 197,
        "Southern_California": 180,
        "Sky_(United_Kingdom)": 108,
        "Victoria_(Australia)": 124,
    }
    assert questions[0].text == "In what country is Normandy located?"
    assert {answer.text for answer in questions[0].answers} == {"France"}
    for question in questions:  # every annotator agrees with himself
        assert exact_match(question.answers[-1].text, question.answers) == 1.0
        assert f1_score(question.answers[-1].text, question.answers) == 1.0
