"""Voltages to numbers: estimates with error bars, and the settling error."""

from tngd_hw.readout.block_solve import BlockSolution, block_solve
from tngd_hw.readout.columns import ColumnRunner
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.inverse import read_inverse, stationary_inverse
from tngd_hw.readout.read import read
from tngd_hw.readout.settling import settled_status, settling_error, settling_time

__all__ = [
    "BlockSolution",
    "ColumnRunner",
    "Estimate",
    "Quantity",
    "block_solve",
    "read",
    "read_inverse",
    "settled_status",
    "settling_error",
    "settling_time",
    "stationary_inverse",
]
