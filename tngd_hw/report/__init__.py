"""Figures, schematics and the HTML page that explain a run.

Figures      style (the look of all), figures (trainings), chip_figures (dies), bode (poles and noise spectra)
Schematics   schematic and one file a topology; schematic_sheet, schematic_crossbar
The page     page, from comparison (what was run), facts and metrics; sections by subject (circuit, table, training);
             markup and page_style
In words     notation: what the parts of a chip are called in derivations
"""

from tngd_hw.report.bode import bode_figure, noise_figure, pole_figure
from tngd_hw.report.chip_figures import budget_figure, error_histogram, sensitivity_figure
from tngd_hw.report.comparison import SettlingExample, TrainingComparison
from tngd_hw.report.facts import hardware_facts
from tngd_hw.report.figures import agreement_figure, settling_figure, training_figure
from tngd_hw.report.metrics import HardwareFacts, Metrics, NoiseFacts, RunFacts, TaskFacts, TrainingFacts
from tngd_hw.report.notation import readable_names
from tngd_hw.report.page import write_report
from tngd_hw.report.schematic import draw_array, draw_cell
from tngd_hw.report.style import save_figure

__all__ = [
    "HardwareFacts",
    "Metrics",
    "NoiseFacts",
    "RunFacts",
    "SettlingExample",
    "TaskFacts",
    "TrainingComparison",
    "TrainingFacts",
    "agreement_figure",
    "bode_figure",
    "budget_figure",
    "draw_array",
    "draw_cell",
    "error_histogram",
    "hardware_facts",
    "noise_figure",
    "pole_figure",
    "readable_names",
    "save_figure",
    "sensitivity_figure",
    "settling_figure",
    "training_figure",
    "write_report",
]
