"""From a network and a batch to the factors of its curvature matrix (float64, torch)."""

from tngd_hw.curvature.ggn import GGNFactors, ggn_factors
from tngd_hw.curvature.jacobian import output_jacobian
from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.curvature.loss_hessian import loss_factors
from tngd_hw.curvature.parameters import flatten_parameters, trainable_parameters, unflatten_like

__all__ = [
    "GGNFactors",
    "LossFactors",
    "flatten_parameters",
    "ggn_factors",
    "loss_factors",
    "output_jacobian",
    "trainable_parameters",
    "unflatten_like",
]
