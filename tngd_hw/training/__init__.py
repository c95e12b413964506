"""Numbers to parameters: natural gradients from a chip, the TNGD optimizer, loops and digital controls.

The optimizer        tngd (TNGD, TNGD-Adam); damping (Levenberg-Marquardt); schedule (time, start, delay, readouts)
What it asks of      method (the protocol); one of
  a circuit          natural_gradient (dual form), primal_gradient, block_gradient, kfac_gradient; run by analog_solver
  a device as large  relaxed_gradient (perfect parts; relaxation), array_device (real arrays; written_arrays)
  as the network
  a computer         digital_gradient (exact, conjugate gradients; directions), adafisher
The loop             loop, checkpoint, record (what a task is, what a run leaves); line_search for full batches
Controls             baselines: SGD, Adam, sign-SGD, with a search of their learning rates
"""

from tngd_hw.training.adafisher import AdaFisherMethod
from tngd_hw.training.analog_solver import AnalogSolve, AnalogSolver
from tngd_hw.training.array_device import ArrayDevice, ArrayGradient
from tngd_hw.training.baselines import (
    DigitalOptimizer,
    LearningRateSearch,
    MakeOptimizer,
    gradient_step,
    search_learning_rate,
    train_digital,
)
from tngd_hw.training.block_gradient import BlockChip, BlockGradient
from tngd_hw.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tngd_hw.training.damping import LevenbergMarquardt, reduction_ratio
from tngd_hw.training.digital_gradient import ConjugateGradientMethod, DigitalGradient, ExactMethod
from tngd_hw.training.directions import ConjugateGradient, conjugate_gradient, dense, woodbury
from tngd_hw.training.kfac_gradient import KFACChip, KFACForm, KFACGradient, KFACMethod, KFACSolve, kfac_solve
from tngd_hw.training.line_search import HALVINGS, LineSearch
from tngd_hw.training.loop import train_tngd
from tngd_hw.training.method import NaturalGradientMethod, NaturalStep
from tngd_hw.training.natural_gradient import ChipGradient, DualChip, DualForm, NaturalGradient, natural_gradient
from tngd_hw.training.primal_gradient import PrimalChip
from tngd_hw.training.record import TrainingRecord, TrainingTask, accuracy
from tngd_hw.training.relaxation import Relaxed, relax, run_schedule
from tngd_hw.training.relaxed_gradient import RelaxedDevice, RelaxedGradient, relaxed_gradient
from tngd_hw.training.schedule import AnalogSchedule, AnalogStart
from tngd_hw.training.tngd import TNGD, NaturalGradientOptimizer, TNGDAdam

__all__ = [
    "HALVINGS",
    "TNGD",
    "AdaFisherMethod",
    "AnalogSchedule",
    "AnalogSolve",
    "AnalogSolver",
    "AnalogStart",
    "ArrayDevice",
    "ArrayGradient",
    "BlockChip",
    "BlockGradient",
    "Checkpoint",
    "ChipGradient",
    "ConjugateGradient",
    "ConjugateGradientMethod",
    "DigitalGradient",
    "DigitalOptimizer",
    "DualChip",
    "DualForm",
    "ExactMethod",
    "KFACChip",
    "KFACForm",
    "KFACGradient",
    "KFACMethod",
    "KFACSolve",
    "LearningRateSearch",
    "LevenbergMarquardt",
    "LineSearch",
    "MakeOptimizer",
    "NaturalGradient",
    "NaturalGradientMethod",
    "NaturalGradientOptimizer",
    "NaturalStep",
    "PrimalChip",
    "Relaxed",
    "RelaxedDevice",
    "RelaxedGradient",
    "TNGDAdam",
    "TrainingRecord",
    "TrainingTask",
    "accuracy",
    "conjugate_gradient",
    "dense",
    "gradient_step",
    "kfac_solve",
    "load_checkpoint",
    "natural_gradient",
    "reduction_ratio",
    "relax",
    "relaxed_gradient",
    "run_schedule",
    "save_checkpoint",
    "search_learning_rate",
    "train_digital",
    "train_tngd",
    "woodbury",
]
