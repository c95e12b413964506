"""What a study leaves in its folder: dataset, summary, figure, table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from tngd_hw.report.style import save_figure
from tngd_hw.storage import finite_data, save_dataset, write_json, write_text
from tngd_hw.studies.sweeps.figures import study_figure
from tngd_hw.studies.sweeps.results import study_dataset, study_document, study_series, study_table
from tngd_hw.studies.sweeps.study import Study
from tngd_hw.studies.sweeps.sweep import FinishedCell

__all__ = ["write_study"]


def write_study(study: Study, cells: Sequence[FinishedCell], out: Path) -> tuple[str, dict[str, Any]]:
    """Write ``result.nc``, ``summary.json``, ``table.txt``, ``figure.png`` and ``.svg``; returns table and summary.

    Args:
        study: What was run.
        cells: All of its cells, in order.
        out: A folder that is there.
    """
    series = study_series(study, cells)
    table, document = study_table(study, series), cast("dict[str, Any]", finite_data(study_document(study, series)))
    save_dataset(study_dataset(study, cells), out / "result.nc", "study")
    write_json(out / "summary.json", document)
    write_text(out / "table.txt", table + "\n")
    figure = study_figure(study, series)
    for ending in (".png", ".svg"):
        save_figure(figure, out / f"figure{ending}")
    return table, document
