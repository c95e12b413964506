"""Voltages to numbers with error bars, and where the errors come from.

From a run to an answer     read, inverse (A^-1 by covariance), columns and block_solve (many right-hand sides, matrices
                            larger than the chip), board (measured voltages), digitise and interpolation (the ADC)
When and how much to read   sampling (burn-in, spacing, aperture), settling
Statistics of samples       estimators, autocorrelation, batches, shrinkage; error_law and error_law_fit (against the
                            number of samples)
What is wrong with a chip   budget (every cause), montecarlo (yield, corners), sensitivity, effective_temperature
What to do about it         calibration and path_fit, mitigation (rounding ensembles), refinement (a digital residual)
What these stand on         settled and reading (laws of whole batches), measure, spread, variants
"""

from tngd_hw.readout.autocorrelation import MeanError, error_of_mean
from tngd_hw.readout.batches import autocovariance
from tngd_hw.readout.block_solve import BlockSolution, block_solve
from tngd_hw.readout.board import read_board, write_board
from tngd_hw.readout.budget import ErrorBudget, error_budget, exact_answer
from tngd_hw.readout.calibration import Calibration, Correction, calibrate
from tngd_hw.readout.columns import ColumnRunner
from tngd_hw.readout.digitise import Readings, digitised, look_times
from tngd_hw.readout.effective_temperature import EffectiveTemperature, effective_temperature
from tngd_hw.readout.error_law import (
    covariance_average_error,
    mean_average_error,
    relative_sampling_error,
    sampling_error,
)
from tngd_hw.readout.error_law_fit import ErrorLawFit, fit_error_law, plot_error_law
from tngd_hw.readout.estimate import Estimate, Quantity
from tngd_hw.readout.estimators import BarLaw, CovarianceEstimate, MeanEstimate, estimate_covariance, estimate_mean
from tngd_hw.readout.inverse import read_inverse, stationary_inverse
from tngd_hw.readout.measure import measure, measured_points
from tngd_hw.readout.mitigation import Mitigation, mitigate
from tngd_hw.readout.montecarlo import MonteCarlo, Yield, at_corners, monte_carlo, wilson_interval
from tngd_hw.readout.path_fit import PathFit, fit_path
from tngd_hw.readout.read import read
from tngd_hw.readout.reading import ReadingLaw, reading_law
from tngd_hw.readout.refinement import Ending, Refinement, refine
from tngd_hw.readout.sampling import BurnIn, SamplingSchedule, burn_in
from tngd_hw.readout.sensitivity import Sensitivity, predicted_covariance, sensitivity
from tngd_hw.readout.settled import Settled, settled
from tngd_hw.readout.settling import settled_status, settling_error, settling_time
from tngd_hw.readout.shrinkage import Shrinkage, ShrunkCovariance, shrunk_covariance
from tngd_hw.readout.spread import Spread
from tngd_hw.readout.variants import with_hardware

__all__ = [
    "BarLaw",
    "BlockSolution",
    "BurnIn",
    "Calibration",
    "ColumnRunner",
    "Correction",
    "CovarianceEstimate",
    "EffectiveTemperature",
    "Ending",
    "ErrorBudget",
    "ErrorLawFit",
    "Estimate",
    "MeanError",
    "MeanEstimate",
    "Mitigation",
    "MonteCarlo",
    "PathFit",
    "Quantity",
    "ReadingLaw",
    "Readings",
    "Refinement",
    "SamplingSchedule",
    "Sensitivity",
    "Settled",
    "Shrinkage",
    "ShrunkCovariance",
    "Spread",
    "Yield",
    "at_corners",
    "autocovariance",
    "block_solve",
    "burn_in",
    "calibrate",
    "covariance_average_error",
    "digitised",
    "effective_temperature",
    "error_budget",
    "error_of_mean",
    "estimate_covariance",
    "estimate_mean",
    "exact_answer",
    "fit_error_law",
    "fit_path",
    "look_times",
    "mean_average_error",
    "measure",
    "measured_points",
    "mitigate",
    "monte_carlo",
    "plot_error_law",
    "predicted_covariance",
    "read",
    "read_board",
    "read_inverse",
    "reading_law",
    "refine",
    "relative_sampling_error",
    "sampling_error",
    "sensitivity",
    "settled",
    "settled_status",
    "settling_error",
    "settling_time",
    "shrunk_covariance",
    "stationary_inverse",
    "wilson_interval",
    "with_hardware",
    "write_board",
]
