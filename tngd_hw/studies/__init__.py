"""Runs that are compared: the same training through several engines and optimizers."""

from tngd_hw.studies.engine_agreement import AgreementWatch, EngineDifference
from tngd_hw.studies.side_by_side import AnalogRun, DigitalRun, RunResult, SideBySide, train_side_by_side

__all__ = [
    "AgreementWatch",
    "AnalogRun",
    "DigitalRun",
    "EngineDifference",
    "RunResult",
    "SideBySide",
    "train_side_by_side",
]
