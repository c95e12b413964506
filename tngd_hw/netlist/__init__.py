"""What a circuit is: element tables, cells, SPICE text, and its state equations.  Knows no matrix."""

from tngd_hw.netlist.cells import Cell, load_cell
from tngd_hw.netlist.deck import Transient, write_deck
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.mna import StateEquations, initial_state, state_equations
from tngd_hw.netlist.netlist import Netlist, NetlistBuilder
from tngd_hw.netlist.tables import GROUND, Instances, Kind, SwitchModel, Table
from tngd_hw.netlist.waveform import Shape, Waveform

__all__ = [
    "GROUND",
    "Cell",
    "Instances",
    "Kind",
    "Netlist",
    "NetlistBuilder",
    "Shape",
    "StateEquations",
    "SwitchModel",
    "Table",
    "Transient",
    "Waveform",
    "flatten",
    "initial_state",
    "load_cell",
    "state_equations",
    "write_deck",
]
