"""tngd_hw: circuit-level modelling of analog thermodynamic hardware for natural-gradient training.

The public names load on first use, so that ``tngd-hw --help`` and ``import tngd_hw`` stay fast.
"""

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tngd_hw import (
        cost,
        curvature,
        engines,
        hardware,
        linalg,
        linear_sde,
        netlist,
        readout,
        tasks,
        topologies,
        training,
    )
    from tngd_hw.api import inverse, solve
    from tngd_hw.engines import Trajectory
    from tngd_hw.hardware import HardwareSpec, presets
    from tngd_hw.linear_sde import LinearSDE
    from tngd_hw.netlist import Netlist
    from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status
    from tngd_hw.problem import LinearProblem
    from tngd_hw.readout import Estimate, read
    from tngd_hw.topologies import manufacture, program
    from tngd_hw.training import TNGD

__all__ = [
    "TNGD",
    "Estimate",
    "HardwareSpec",
    "LinearProblem",
    "LinearSDE",
    "MisuseError",
    "Netlist",
    "Outcome",
    "OutcomeError",
    "Status",
    "Trajectory",
    "cost",
    "curvature",
    "engines",
    "hardware",
    "inverse",
    "linalg",
    "linear_sde",
    "manufacture",
    "netlist",
    "presets",
    "program",
    "read",
    "readout",
    "solve",
    "tasks",
    "topologies",
    "training",
]

__version__ = _version("tngd-hw")

_HOME = {
    "TNGD": "training",
    "Estimate": "readout",
    "HardwareSpec": "hardware",
    "LinearProblem": "problem",
    "LinearSDE": "linear_sde",
    "MisuseError": "outcome",
    "Netlist": "netlist",
    "Outcome": "outcome",
    "OutcomeError": "outcome",
    "Status": "outcome",
    "Trajectory": "engines",
    "inverse": "api",
    "manufacture": "topologies",
    "presets": "hardware",
    "program": "topologies",
    "read": "readout",
    "solve": "api",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"tngd_hw.{_HOME[name]}"), name)
    if name in __all__:
        return import_module(f"tngd_hw.{name}")
    raise AttributeError(f"module 'tngd_hw' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
