"""Circuit to voltages: every engine has ``init`` (once a matrix) and ``run`` (many times)."""

from tngd_hw.engines.base import Engine, EngineState
from tngd_hw.engines.behavioral import Behavioral
from tngd_hw.engines.deck_result import DeckEngine, DeckResult
from tngd_hw.engines.frequency import operating_points, poles, transfer_functions
from tngd_hw.engines.ideal import Ideal
from tngd_hw.engines.ngspice import Ngspice
from tngd_hw.engines.ngspice_process import find_ngspice, ngspice_version
from tngd_hw.engines.noise_matrix import noise_by_source, noise_matrix
from tngd_hw.engines.pyspice import PySpice
from tngd_hw.engines.registry import ENGINES, find_engine
from tngd_hw.engines.simulate import simulate_deck
from tngd_hw.engines.state_space import StateSpace
from tngd_hw.engines.trajectory import Trajectory

__all__ = [
    "ENGINES",
    "Behavioral",
    "DeckEngine",
    "DeckResult",
    "Engine",
    "EngineState",
    "Ideal",
    "Ngspice",
    "PySpice",
    "StateSpace",
    "Trajectory",
    "find_engine",
    "find_ngspice",
    "ngspice_version",
    "noise_by_source",
    "noise_matrix",
    "operating_points",
    "poles",
    "simulate_deck",
    "transfer_functions",
]
