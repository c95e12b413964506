"""Numbers to parameters: natural gradients from a chip, the TNGD optimizer, loops and digital controls."""

from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.baselines import DigitalOptimizer, LearningRateSearch, search_learning_rate, train_digital
from tngd_hw.training.damping import LevenbergMarquardt, reduction_ratio
from tngd_hw.training.loop import train_tngd
from tngd_hw.training.natural_gradient import NaturalGradient, natural_gradient
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy
from tngd_hw.training.relaxation import AnalogSchedule, AnalogStart, Relaxed, relax, run_schedule
from tngd_hw.training.relaxed_gradient import RelaxedGradient, relaxed_gradient
from tngd_hw.training.relaxed_loop import train_relaxed
from tngd_hw.training.tngd import TNGD

__all__ = [
    "TNGD",
    "AnalogSchedule",
    "AnalogSolve",
    "AnalogSolver",
    "AnalogStart",
    "DigitalOptimizer",
    "LearningRateSearch",
    "LevenbergMarquardt",
    "NaturalGradient",
    "Relaxed",
    "RelaxedGradient",
    "TrainingRecord",
    "TrainingTask",
    "accuracy",
    "natural_gradient",
    "reduction_ratio",
    "relax",
    "relaxed_gradient",
    "run_schedule",
    "search_learning_rate",
    "train_digital",
    "train_relaxed",
    "train_tngd",
]
