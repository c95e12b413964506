"""Voltages to numbers: estimates with error bars, and the settling error."""

from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.read import read
from tngd_hw.readout.settling import settled_status, settling_error, settling_time

__all__ = ["Estimate", "Quantity", "read", "settled_status", "settling_error", "settling_time"]
