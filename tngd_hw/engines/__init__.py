"""Circuit to voltages: every engine has ``init`` (once a matrix) and ``run`` (many times).

What an engine is      base (the protocol), registry, trajectory (what a run leaves)
The exact ones         state_space (the netlist), behavioral (closed form), ideal (the problem itself); equations
SPICE                  ngspice (spice: the program), pyspice (pyspice_worker)
Limits of amplifiers   saturation, slewing, watched (stages inside the circuit)
Noise                  noise (matrix, sources, seeded paths), slow_noise (1/f at the start of a run)
In frequency           frequency (transfer functions, operating points, poles), sweep (the grid of .ac and .noise)
Decks of users         decks
Many runs              parallel
"""

from tngd_hw.engines.base import Engine, EngineState
from tngd_hw.engines.behavioral import Behavioral
from tngd_hw.engines.decks.result import AcResult, DeckEngine, DeckResult, NoiseResult, TransientResult
from tngd_hw.engines.decks.simulate import simulate_deck
from tngd_hw.engines.frequency import operating_points, poles, transfer_functions
from tngd_hw.engines.ideal import Ideal
from tngd_hw.engines.ngspice import Ngspice
from tngd_hw.engines.noise.filesource_deck import DeckFolder, noisy_deck, unseeded_trnoise_deck
from tngd_hw.engines.noise.matrix import noise_by_source, noise_matrix
from tngd_hw.engines.noise.path import NoisePath, draw_path, noise_step, path_from_increments, variance_bias
from tngd_hw.engines.noise.run import behavioral_on_path, ngspice_on_path, state_space_on_path
from tngd_hw.engines.noise.sources import NoiseColor, OrnsteinUhlenbeck, PowerLaw, White
from tngd_hw.engines.parallel import Interrupted, run_many
from tngd_hw.engines.pyspice import PySpice, find_library
from tngd_hw.engines.registry import ENGINES, find_engine
from tngd_hw.engines.spice.estimate import RunEstimate
from tngd_hw.engines.spice.process import find_ngspice, ngspice_version
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
