"""Matrix to circuit: one file a topology, each three pure functions; scales; the dual form."""

from tngd_hw.topologies.base import AmplifierLoad, Design, Quantity, Scales, Topology
from tngd_hw.topologies.design_report import DesignReport
from tngd_hw.topologies.dual import DualProblem, dual_problem, output_dual_problem
from tngd_hw.topologies.loaded import Drive, LoadedChip
from tngd_hw.topologies.mapping_report import ExpectedLoss, MappingReport, effective_temperature_kelvin
from tngd_hw.topologies.program import manufacture, program
from tngd_hw.topologies.registry import TOPOLOGIES, find_topology
from tngd_hw.topologies.scaling import Preconditioning
from tngd_hw.topologies.spectrum import Spectrum, spectrum

__all__ = [
    "TOPOLOGIES",
    "AmplifierLoad",
    "Design",
    "DesignReport",
    "Drive",
    "DualProblem",
    "ExpectedLoss",
    "LoadedChip",
    "MappingReport",
    "Preconditioning",
    "Quantity",
    "Scales",
    "Spectrum",
    "Topology",
    "dual_problem",
    "effective_temperature_kelvin",
    "find_topology",
    "manufacture",
    "output_dual_problem",
    "program",
    "spectrum",
]
