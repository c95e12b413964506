"""What one update costs: its time, next to the digital baseline."""

from tngd_hw.cost.timing import PAPER_DIGITAL_RATIO, HessianArray, JacobianArrays, TimingModel, UpdateSize, UpdateTime

__all__ = ["PAPER_DIGITAL_RATIO", "HessianArray", "JacobianArrays", "TimingModel", "UpdateSize", "UpdateTime"]
