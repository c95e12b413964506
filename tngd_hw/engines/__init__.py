"""Circuit to voltages: every engine has ``init`` (once a matrix) and ``run`` (many times)."""

from tngd_hw.engines.base import Engine, EngineState
from tngd_hw.engines.behavioral import Behavioral
from tngd_hw.engines.deck_result import AcResult, DeckEngine, DeckResult, NoiseResult, TransientResult
from tngd_hw.engines.filesource_deck import DeckFolder, noisy_deck, unseeded_trnoise_deck
from tngd_hw.engines.frequency import operating_points, poles, transfer_functions
from tngd_hw.engines.ideal import Ideal
from tngd_hw.engines.ngspice import Ngspice
from tngd_hw.engines.ngspice_estimate import RunEstimate
from tngd_hw.engines.ngspice_process import find_ngspice, ngspice_version
from tngd_hw.engines.noise_matrix import noise_by_source, noise_matrix
from tngd_hw.engines.noise_path import NoisePath, draw_path, noise_step, path_from_increments, variance_bias
from tngd_hw.engines.noise_run import behavioral_on_path, ngspice_on_path, state_space_on_path
from tngd_hw.engines.noise_sources import NoiseColor, OrnsteinUhlenbeck, PowerLaw, White
from tngd_hw.engines.parallel import Interrupted, run_many
from tngd_hw.engines.pyspice import PySpice, find_library
from tngd_hw.engines.registry import ENGINES, find_engine
from tngd_hw.engines.simulate import simulate_deck
from tngd_hw.engines.state_space import StateSpace
from tngd_hw.engines.sweep import sweep_frequencies
from tngd_hw.engines.trajectory import Trajectory

__all__ = [
    "ENGINES",
    "AcResult",
    "Behavioral",
    "DeckEngine",
    "DeckFolder",
    "DeckResult",
    "Engine",
    "EngineState",
    "Ideal",
    "Interrupted",
    "Ngspice",
    "NoiseColor",
    "NoisePath",
    "NoiseResult",
    "OrnsteinUhlenbeck",
    "PowerLaw",
    "PySpice",
    "RunEstimate",
    "StateSpace",
    "Trajectory",
    "TransientResult",
    "White",
    "behavioral_on_path",
    "draw_path",
    "find_engine",
    "find_library",
    "find_ngspice",
    "ngspice_on_path",
    "ngspice_version",
    "noise_by_source",
    "noise_matrix",
    "noise_step",
    "noisy_deck",
    "operating_points",
    "path_from_increments",
    "poles",
    "run_many",
    "simulate_deck",
    "state_space_on_path",
    "sweep_frequencies",
    "transfer_functions",
    "unseeded_trnoise_deck",
    "variance_bias",
]
