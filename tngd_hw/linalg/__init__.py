"""Matrix functions on a chip: ``tngd_hw.linalg.solve``, ``inv``, ``logdet``, ``lyapunov``, ``expm``.

Each takes any topology that can do it, any hardware and any engine, and gives an Estimate with its standard error and
its status; each refuses another topology with a sentence that names those that can.
"""

from tngd_hw.api import inverse as inv
from tngd_hw.api import solve
from tngd_hw.linalg.exponential import expm
from tngd_hw.linalg.log_determinant import logdet
from tngd_hw.linalg.lyapunov import lyapunov

__all__ = ["expm", "inv", "logdet", "lyapunov", "solve"]
