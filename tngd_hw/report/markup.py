"""The little HTML that a page needs.  Values are escaped unless they are :class:`Html` already."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from tngd_hw.outcome import MisuseError

__all__ = ["Html", "fill", "image", "join", "number", "paragraph", "percent", "section", "span", "table"]

_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


class Html(str):
    """Text that is HTML: put into a page as it is."""

    __slots__ = ()


def fill(template: str, **values: object) -> Html:
    """``template``, our own HTML, with every ``{name}`` replaced by the escaped value."""
    return Html(template.format(**{name: _safe(value) for name, value in values.items()}))


def _safe(value: object) -> str:
    return value if isinstance(value, Html) else html.escape(str(value))


def join(pieces: Iterable[Html], between: str = "\n") -> Html:
    """Pieces of HTML one after another."""
    return Html(between.join(pieces))


def paragraph(*sentences: Html | str) -> Html:
    """One paragraph; empty sentences are left out."""
    return fill("<p>{text}</p>", text=Html(" ".join(_safe(sentence) for sentence in sentences if sentence)))


def section(name: str, title: str, *content: Html) -> Html:
    """A section with a heading that the contents list can point at."""
    return fill(
        '<section id="{name}">\n<h2>{title}</h2>\n{body}\n</section>', name=name, title=title, body=join(content)
    )


def table(head: Sequence[str | Html], rows: Iterable[Sequence[str | Html]], *, numbers_from: int = 1) -> Html:
    """A table; columns from ``numbers_from`` on are aligned to the right."""
    top = _row("th", head, numbers_from)
    body = join(_row("td", row, numbers_from) for row in rows)
    return fill(
        '<div class="scroll"><table><thead>{top}</thead><tbody>\n{body}\n</tbody></table></div>', top=top, body=body
    )


def _row(tag: str, cells: Sequence[str | Html], numbers_from: int) -> Html:
    kinds = ("" if k < numbers_from else ' class="n"' for k in range(len(cells)))
    made = (fill(f"<{tag}{kind}>{{cell}}</{tag}>", cell=cell) for kind, cell in zip(kinds, cells, strict=True))
    return fill("<tr>{cells}</tr>", cells=join(made, ""))


def image(path: Path, alternative: str, caption: Html) -> Html:
    """A picture, embedded, with its caption.

    Raises:
        MisuseError: Neither PNG nor SVG, or a file that cannot be read.
    """
    kind = _TYPES.get(path.suffix.lower())
    if kind is None:
        raise MisuseError(f"pictures: {path} is neither .png nor .svg")
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise MisuseError(f"pictures: {path} cannot be read ({error.strerror})") from None
    return fill(
        '<figure><img src="data:{kind};base64,{data}" alt="{alternative}"><figcaption>{caption}</figcaption></figure>',
        kind=kind, data=data, alternative=alternative, caption=caption,
    )  # fmt: skip


def number(value: float, digits: int = 3) -> str:
    """``value`` with ``digits`` significant digits: 0.00123, 1.2 × 10⁻⁶; a value that is not finite in words."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        rounded = float(f"{value:.{digits}g}")
        return f"{rounded:.{digits}g}" if abs(rounded) < 10**digits else f"{value:,.0f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{power}" if mantissa == "1" else f"{mantissa} × 10{power}"


def percent(fraction: float) -> str:
    """A fraction in per cent, "unknown" if it is not finite."""
    return f"{100 * fraction:.1f} %" if math.isfinite(fraction) else "unknown"


def span(low: float, high: float, unit: str = "") -> str:
    """Two numbers as "a to b", or one where both look the same."""
    first, last = (f"{number(value)} {unit}".strip() for value in (low, high))
    return first if first == last else f"{first} to {last}"
