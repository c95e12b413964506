"""Figures, schematics and the HTML page that explain a run."""

from tngd_hw.report.comparison import SettlingExample, TrainingComparison
from tngd_hw.report.facts import hardware_facts
from tngd_hw.report.figures import agreement_figure, settling_figure, training_figure
from tngd_hw.report.metrics import HardwareFacts, Metrics, NoiseFacts, RunFacts, TaskFacts, TrainingFacts
from tngd_hw.report.page import write_report
from tngd_hw.report.schematic import integrator_cell
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
    "hardware_facts",
    "integrator_cell",
    "save_figure",
    "settling_figure",
    "training_figure",
    "write_report",
]
