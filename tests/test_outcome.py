"""Outcomes are data with a remedy; misuse is an exception."""

from __future__ import annotations

import pytest

from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status, TngdError


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_has_a_remedy(outcome: Outcome) -> None:
    assert len(outcome.remedy) > 8


def test_sentence_has_outcome_detail_and_remedy() -> None:
    status = Status(Outcome.SINGULAR, "A has an eigenvalue of 0")
    assert str(status) == "singular: A has an eigenvalue of 0; add damping so that A is invertible"
    assert not status.ok


def test_ok_is_ok() -> None:
    assert Status().ok
    assert str(Status()) == "ok"
    Status().require_ok()


def test_required_result_raises_with_the_status() -> None:
    status = Status(Outcome.TIMED_OUT, "after 3 s")
    with pytest.raises(OutcomeError, match="timed_out: after 3 s; raise the time limit") as caught:
        status.require_ok()
    assert caught.value.status is status


def test_families_of_exceptions() -> None:
    """A caller may catch the standard families, or all of the package's."""
    assert issubclass(MisuseError, ValueError)
    assert issubclass(OutcomeError, RuntimeError)
    assert issubclass(MisuseError, TngdError)
    assert issubclass(OutcomeError, TngdError)
