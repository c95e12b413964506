"""The command line ``tngd-hw``: one file a command, exit codes and output in one place.

Exit codes: 0 done; 1 a failed outcome (``not_settled``, ``unstable``, no ngspice ...); 2 a request that cannot be
meant; 130 interrupted.  Nothing heavy is imported before a command runs, so help is shown at once.
"""

from tngd_hw.cli.entry import main

__all__ = ["main"]
