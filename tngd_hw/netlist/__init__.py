"""What a circuit is: element tables, cells, SPICE text, and its state equations.  Knows no matrix.

The circuit       tables, waveform, netlist (and its builder), cells, expression, behavioral, flatten, reset
SPICE text out    analyses, deck, element_cards
SPICE text in     cards (lines), commands (dot cards), element_cards, columns, reader
Equations         linear_elements, storage, loops, resistive, mna; descriptor and index_reduction where storage elements
                  depend on each other; noise_columns, operating_point
In symbols        symbolic, symbolic_stamps, symbolic_system, symbolic_names, symbolic_covariance, symbolic_algebra
Others' circuits  pyspice
"""

from tngd_hw.netlist.analyses import AcSweep, Analysis, NoiseSweep, OperatingPoint, Spacing
from tngd_hw.netlist.behavioral import Behavioral, parse_behavioral
from tngd_hw.netlist.cells import Cell, load_cell
from tngd_hw.netlist.deck import Transient, write_deck
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.mna import StateEquations, initial_state, state_equations
from tngd_hw.netlist.netlist import Netlist, NetlistBuilder
from tngd_hw.netlist.noise_columns import NoiseSources
from tngd_hw.netlist.operating_point import DcSolution, operating_point
from tngd_hw.netlist.pyspice import from_pyspice, to_pyspice
from tngd_hw.netlist.reader import Deck, read_deck
from tngd_hw.netlist.reset import with_reset_switches
from tngd_hw.netlist.tables import GROUND, Instances, Kind, SwitchModel, Table
from tngd_hw.netlist.waveform import Shape, Waveform

__all__ = [
    "GROUND",
    "AcSweep",
    "Analysis",
    "Behavioral",
    "Cell",
    "DcSolution",
    "Deck",
    "Instances",
    "Kind",
    "Netlist",
    "NetlistBuilder",
    "NoiseSources",
    "NoiseSweep",
    "OperatingPoint",
    "Shape",
    "Spacing",
    "StateEquations",
    "SwitchModel",
    "Table",
    "Transient",
    "Waveform",
    "flatten",
    "from_pyspice",
    "initial_state",
    "load_cell",
    "operating_point",
    "parse_behavioral",
    "read_deck",
    "state_equations",
    "to_pyspice",
    "with_reset_switches",
    "write_deck",
]
