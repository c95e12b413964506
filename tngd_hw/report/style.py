"""The look that all figures share: fonts, colours that colour-blind readers can tell apart, and how they are saved."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tngd_hw.storage import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "PURPLE", "SKY", "VERMILION", "save_figure", "styled", "tidy"]

# Okabe and Ito, "Color Universal Design", 2008.
BLACK, ORANGE, SKY, GREEN = "#1a1a1a", "#e69f00", "#56b4e9", "#009e73"
BLUE, VERMILION, PURPLE, GREY = "#0072b2", "#d55e00", "#b5598f", "#6b6b6b"

_DPI = 150
_FONTS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.0,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 12.0,
    "axes.labelsize": 11.0,
    "legend.fontsize": 10.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "tngd_hw",
}


@contextmanager
def styled() -> Generator[None]:
    """Draw with the house fonts, whatever the user's own matplotlib settings are."""
    import matplotlib as mpl

    with mpl.rc_context(_FONTS):
        yield


def tidy(axes: Axes) -> None:
    """Frame only left and bottom, a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e3e3e3", lw=0.8)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write ``figure`` to ``path``, whole or not at all; its ending says the format (png at 150 dpi, svg, pdf).

    The same figure gives the same bytes: no date is written.

    Raises:
        MisuseError: The directory cannot be written.
    """
    target = Path(path)
    metadata = {"Date": None} if target.suffix == ".svg" else None
    with atomic_path(target) as temporary, styled():
        figure.savefig(temporary, dpi=_DPI, facecolor="white", metadata=metadata)
    return target
