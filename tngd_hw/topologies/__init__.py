"""Matrix to circuit: one file a topology, each a few pure functions; scales, signs, reports; the dual forms.

What a topology is      base (the protocol), registry
The topologies          integrator, gm_c, passive_rc (two_rail_network, diagonal_dominance), three_array
                        (three_array_circuit, jacobian_factors), amc_inverse, rlc_spu
What op-amp ones share  summing_network (equations), signed_array (signs), op_amp_cells (netlist), amplifier_limits,
                        inner_stages
From problem to chip    program (manufacture, program), loaded, drive, scaling, spectrum, blocks, dual
What it says of itself  mapping_report (support_report), design_report, bill_of_materials
"""

from tngd_hw.topologies.base import AmplifierLoad, Design, InnerStages, Quantity, Scales, Topology
from tngd_hw.topologies.design_report import DesignReport
from tngd_hw.topologies.drive import Drive
from tngd_hw.topologies.dual import DualProblem, dual_problem, output_dual_problem
from tngd_hw.topologies.loaded import LoadedChip
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
    "InnerStages",
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
