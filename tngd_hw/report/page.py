"""The report of a training comparison: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tngd_hw.report.circuit_sections import circuit_section, noise_section, settling_section
from tngd_hw.report.comparison import TrainingComparison
from tngd_hw.report.markup import Html, fill, join
from tngd_hw.report.page_style import PAGE_STYLE
from tngd_hw.report.table_sections import facts_section, repeat_section, search_section
from tngd_hw.report.training_sections import (
    agreement_section,
    overview_section,
    result_section,
    task_section,
)
from tngd_hw.storage import write_text

__all__ = ["write_report"]

_TITLE = "Training with natural gradients read from a circuit"
_CONTENTS = {
    "task": "What was trained",
    "circuit": "The circuit",
    "settling": "One solve",
    "training": "Training",
    "agreement": "Agreement",
    "noise": "Noise",
    "search": "Learning rates",
    "facts": "Hardware and scales",
    "repeat": "Do it again",
}


def write_report(path: str | Path, comparison: TrainingComparison, pictures: Mapping[str, Path]) -> Path:
    """Write the report.

    Args:
        path: The HTML file.
        comparison: What is shown.  Every sentence is made from its numbers.
        pictures: PNG or SVG files by what they show: ``training``, ``settling``, ``agreement``, ``schematic``.  They
            are embedded; one that is missing is left out.

    Returns:
        The path.

    Raises:
        MisuseError: A picture cannot be read, or the directory cannot be written.
    """
    sections = (
        overview_section(comparison),
        task_section(comparison),
        circuit_section(comparison, pictures.get("schematic")),
        settling_section(comparison, pictures.get("settling")),
        result_section(comparison, pictures.get("training")),
        agreement_section(comparison, pictures.get("agreement")),
        noise_section(comparison),
        search_section(comparison),
        facts_section(comparison),
        repeat_section(comparison),
    )
    write_text(path, _document(join(sections)))
    return Path(path)


def _document(body: Html) -> Html:
    links = join((fill('<a href="#{name}">{text}</a>', name=name, text=text) for name, text in _CONTENTS.items()), " ")
    return fill(
        """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<nav>{links}</nav>
{body}
</main>
</body>
</html>
""",
        title=_TITLE,
        style=Html(PAGE_STYLE),
        links=links,
        body=body,
    )
