"""Linear stochastic differential equations, exactly: the mathematics, which knows no circuit.

dx = (F x + E u) dt + B dW,  y = C x + D u + D_w xi;  stable means every eigenvalue of F has a negative real part.

The system           system; structure (what it is, checked), compose, augment, change and balance (units and bases)
One step             transition, by modal (the eigenbasis, where it is good enough) or doubling
Moments              mean, covariance, stationary and settled (many systems of one design), average, spectrum
Samples              sample, paths and recursion; grid, levels and dyadic (many time steps at once); gaussian (roots)
Given inputs         response (to samples), bounded (amplifiers that saturate)
Measured paths       record (files), likelihood
Millions of states   low_rank and low_rank_noise (closed forms); krylov (arnoldi, defect) and krylov_noise (faber,
                     faber_steps, numerical_range) from products alone
What these stand on  tensors (what users hand in), dense
"""

from tngd_hw.linear_sde.augment import append_output_integrals, noise_as_input, noise_as_output
from tngd_hw.linear_sde.average import (
    AveragePath,
    TimeAverage,
    sample_averages,
    stationary_time_average,
    time_average,
)
from tngd_hw.linear_sde.bounded import BoundedPath, bounded_path, step_noise
from tngd_hw.linear_sde.change import change_basis, change_units
from tngd_hw.linear_sde.compose import feedback, series, side_by_side
from tngd_hw.linear_sde.covariance import covariance_at, output_covariance_at
from tngd_hw.linear_sde.krylov import KrylovResult, krylov_mean
from tngd_hw.linear_sde.krylov_noise import krylov_noise
from tngd_hw.linear_sde.likelihood import output_log_density, path_log_density
from tngd_hw.linear_sde.low_rank import LowRankSDE, low_rank_mean
from tngd_hw.linear_sde.low_rank_noise import low_rank_covariance_action, low_rank_sample
from tngd_hw.linear_sde.mean import mean_at, state_mean_at
from tngd_hw.linear_sde.record import Record, read_record
from tngd_hw.linear_sde.response import response, state_response
from tngd_hw.linear_sde.sample import sample_at, state_sample_at, state_sample_blocks
from tngd_hw.linear_sde.spectrum import autocovariance, frequency_response, power_spectral_density
from tngd_hw.linear_sde.stationary import (
    stationary_covariance,
    stationary_mean,
    stationary_output_covariance,
    stationary_output_mean,
)
from tngd_hw.linear_sde.structure import Structure
from tngd_hw.linear_sde.system import LinearSDE
from tngd_hw.linear_sde.transition import Transition, transition

__all__ = [
    "AveragePath",
    "BoundedPath",
    "KrylovResult",
    "LinearSDE",
    "LowRankSDE",
    "Record",
    "Structure",
    "TimeAverage",
    "Transition",
    "append_output_integrals",
    "autocovariance",
    "bounded_path",
    "change_basis",
    "change_units",
    "covariance_at",
    "feedback",
    "frequency_response",
    "krylov_mean",
    "krylov_noise",
    "low_rank_covariance_action",
    "low_rank_mean",
    "low_rank_sample",
    "mean_at",
    "noise_as_input",
    "noise_as_output",
    "output_covariance_at",
    "output_log_density",
    "path_log_density",
    "power_spectral_density",
    "read_record",
    "response",
    "sample_at",
    "sample_averages",
    "series",
    "side_by_side",
    "state_mean_at",
    "state_response",
    "state_sample_at",
    "state_sample_blocks",
    "stationary_covariance",
    "stationary_mean",
    "stationary_output_covariance",
    "stationary_output_mean",
    "stationary_time_average",
    "step_noise",
    "time_average",
    "transition",
]
