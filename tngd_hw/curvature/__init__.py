"""From a network and a batch to the factors of its curvature matrix (float64, torch).

The batch        forward (checked once), parameters (as one vector), jacobian
The loss         loss_factors (what is asked of one), closed_form_losses, split_cross_entropy, general_loss;
                 loss_hessian chooses
The matrix       ggn (factors), operator (products alone), fisher (true, Monte Carlo, empirical; monte_carlo draws)
Layer by layer   block_diagonal; kfac (kfac_block, kfac_layers, kfac_diagonals)
The dual form    any_gradient: for gradients outside the row space of the factor
"""

from tngd_hw.curvature.any_gradient import any_gradient_dual_problem, factors_dual_problem
from tngd_hw.curvature.block_diagonal import LayerBlock, layer_blocks
from tngd_hw.curvature.fisher import Fisher, FisherFactors, fisher_factors
from tngd_hw.curvature.ggn import GGNFactors, ggn_factors
from tngd_hw.curvature.jacobian import output_jacobian
from tngd_hw.curvature.kfac import KFACFactors, kfac_factors
from tngd_hw.curvature.kfac_block import KFACBlock, KFACDamping, KFACRows
from tngd_hw.curvature.kfac_diagonals import KFACDiagonals, kfac_diagonals
from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.curvature.loss_hessian import loss_factors
from tngd_hw.curvature.operator import GGNOperator, ggn_operator
from tngd_hw.curvature.parameters import flatten_parameters, trainable_parameters, unflatten_like
from tngd_hw.curvature.split_cross_entropy import SplitCrossEntropy

__all__ = [
    "Fisher",
    "FisherFactors",
    "GGNFactors",
    "GGNOperator",
    "KFACBlock",
    "KFACDamping",
    "KFACDiagonals",
    "KFACFactors",
    "KFACRows",
    "LayerBlock",
    "LossFactors",
    "SplitCrossEntropy",
    "any_gradient_dual_problem",
    "factors_dual_problem",
    "fisher_factors",
    "flatten_parameters",
    "ggn_factors",
    "ggn_operator",
    "kfac_diagonals",
    "kfac_factors",
    "layer_blocks",
    "loss_factors",
    "output_jacobian",
    "trainable_parameters",
    "unflatten_like",
]
