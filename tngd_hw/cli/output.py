"""What a command says: prose for people, or one strict JSON document, never both."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import cast

from tngd_hw.cli.progress import Progress
from tngd_hw.outcome import MisuseError

__all__ = ["Output", "json_text", "print_document"]


@dataclass(frozen=True)
class Output:
    """The three switches that every command has.

    Attributes:
        as_json: One JSON document on stdout and nothing else there.
        quiet: Only what was asked for, in a form that a program can read.
        verbose: Everything that is known.

    Raises:
        MisuseError: Quiet and verbose at once.
    """

    as_json: bool
    quiet: bool
    verbose: bool

    def __post_init__(self) -> None:
        if self.quiet and self.verbose:
            raise MisuseError("--quiet and --verbose exclude each other: give one of them")

    def essential(self, text: str) -> None:
        """The result itself: printed with --quiet too."""
        if not self.as_json:
            print(text)

    def say(self, text: str) -> None:
        """What a reader wants to see."""
        if not self.quiet:
            self.essential(text)

    def detail(self, text: str) -> None:
        """What only --verbose shows."""
        if self.verbose:
            self.essential(text)

    def document(self, content: Mapping[str, object]) -> None:
        """The result for machines."""
        if self.as_json:
            print_document(content)

    @contextlib.contextmanager
    def working(self, text: str) -> Generator[Progress]:
        """A spinner on the terminal while something takes time, and what makes a bar of it.

        Nothing with --json or --quiet, or where stderr is no terminal.
        """
        if self.as_json or self.quiet or not sys.stderr.isatty():
            yield Progress(text, None)
            return
        from rich.console import Console

        with Console(stderr=True).status(text) as spinner:
            yield Progress(text, spinner)


def print_document(content: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    print(json_text(content))


def json_text(content: Mapping[str, object]) -> str:
    """Strict JSON: what is not a finite number is null."""
    return json.dumps(_strict(content), indent=2, allow_nan=False)


def _strict(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in cast(Mapping[object, object], value).items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in cast("list[object] | tuple[object, ...]", value)]
    return value
