"""Experiments: what is run over many chips, seeds, engines or optimizers, and compared.

sweeps, solves    tngd-hw study precision, mismatch, noise, settling, or a file; what one cell of it computes
covariance_floor  tngd-hw study covariance
training          tngd-hw train and tngd-hw study training
curves            runs over seeds, kept cell by cell; used by mnist, qa, poisson, circuit (the circuit in the loop)
scaling           time of a step against the sizes of the network
stability         where finite bandwidth makes a solver oscillate
agreement         engines and optimizers side by side (tngd-hw validate, tngd-hw demo)
reference_decks   writes netlists/
"""

from tngd_hw.studies.agreement.engines import AgreementWatch, EngineDifference
from tngd_hw.studies.agreement.side_by_side import AnalogRun, DigitalRun, RunResult, SideBySide, train_side_by_side

__all__ = [
    "AgreementWatch",
    "AnalogRun",
    "DigitalRun",
    "EngineDifference",
    "RunResult",
    "SideBySide",
    "train_side_by_side",
]
