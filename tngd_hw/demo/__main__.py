"""``python -m tngd_hw.demo``: the demonstration without the command line tool."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tngd_hw.demo import DemoOptions, run_demo
from tngd_hw.outcome import MisuseError, OutcomeError


def _main() -> int:
    defaults = DemoOptions()
    parser = argparse.ArgumentParser(prog="python -m tngd_hw.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=defaults.out, help="folder of the results")
    parser.add_argument("--engine", default=defaults.engine, help="ngspice, state_space, behavioral or ideal")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    chosen = parser.parse_args()
    try:
        run_demo(DemoOptions(chosen.out, chosen.engine, chosen.steps, chosen.seed))
    except MisuseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OutcomeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
