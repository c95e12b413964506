"""What a circuit is: element tables, cells, SPICE text, and its state equations.  Knows no matrix."""

from tngd_hw.netlist.cells import Cell, load_cell
from tngd_hw.netlist.deck import Transient, write_deck
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.mna import StateEquations, initial_state, state_equations
from tngd_hw.netlist.netlist import Netlist, NetlistBuilder
from tngd_hw.netlist.tables import GROUND, Instances, Kind, Table

__all__ = [
    "GROUND",
    "Cell",
    "Instances",
    "Kind",
    "Netlist",
    "NetlistBuilder",
    "StateEquations",
    "Table",
    "Transient",
    "flatten",
    "initial_state",
    "load_cell",
    "state_equations",
    "write_deck",
]
