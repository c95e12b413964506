"""Words of the command line that stand for members of an enumeration."""

from __future__ import annotations

import enum
from typing import TypeVar

from tngd_hw.outcome import MisuseError

__all__ = ["choice"]

Member = TypeVar("Member", bound=enum.Enum)


def choice(kind: type[Member], word: str, option: str) -> Member:
    """The member whose value is ``word``; MisuseError names the option and the words there are."""
    try:
        return kind(word)
    except ValueError:
        known = ", ".join(str(member.value) for member in kind)
        raise MisuseError(f"{option} {word}: the choices are {known}") from None
