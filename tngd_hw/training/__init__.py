"""Numbers to parameters: natural gradients from a chip, the TNGD optimizer, loops and digital controls."""

from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.baselines import DigitalOptimizer, LearningRateSearch, search_learning_rate, train_digital
from tngd_hw.training.loop import train_tngd
from tngd_hw.training.natural_gradient import NaturalGradient, natural_gradient
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy
from tngd_hw.training.tngd import TNGD

__all__ = [
    "TNGD",
    "AnalogSolve",
    "AnalogSolver",
    "DigitalOptimizer",
    "LearningRateSearch",
    "NaturalGradient",
    "TrainingRecord",
    "TrainingTask",
    "accuracy",
    "natural_gradient",
    "search_learning_rate",
    "train_digital",
    "train_tngd",
]
