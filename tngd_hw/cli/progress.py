"""What stands on the terminal while something takes time: a spinner with words, and a bar where the time is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status as Spinner

    from tngd_hw.engines.spice.estimate import RunEstimate

__all__ = ["Progress"]

_LONG_S = 5.0
"""Runs that are predicted to be shorter get no bar."""

_BAR_WIDTH = 30


class Progress:
    """A spinner on the terminal; without one, nothing is shown."""

    def __init__(self, text: str, spinner: Spinner | None) -> None:
        self._text = text
        self._spinner = spinner

    def tell(self, elapsed_s: float, predicted: RunEstimate) -> None:
        """A bar of the time so far out of the time predicted; it is full where the prediction was too short."""
        if self._spinner is None or predicted.seconds <= _LONG_S:
            return
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=predicted.seconds, completed=min(elapsed_s, predicted.seconds), width=_BAR_WIDTH)
        row.add_row(self._text, bar, f"{elapsed_s:.0f} s of about {predicted.seconds:.0f} s")
        self._spinner.update(row)
