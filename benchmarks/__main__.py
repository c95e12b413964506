"""Run all comparisons, then write results.json and the tables in README.md: ``python -m benchmarks``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import circuits, engines, linear_sde, many_runs, montecarlo, training
from benchmarks.tables import document

HERE = Path(__file__).parent


def main() -> int:
    """Measure, write both files, say where the peer was missing."""
    start = time.perf_counter()

    def progress(text: str) -> None:
        _say(f"{text} (at {time.perf_counter() - start:.0f} s)")

    results: dict[str, Any] = {
        "linear_sde": linear_sde.measurements(progress=progress),
        "circuits": circuits.measurements(progress),
        "engines": engines.measurements(progress),
        "many_runs": many_runs.measurements(progress),
        "montecarlo": montecarlo.measurements(progress),
        "training": training.measurements(progress),
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (HERE / "README.md").write_text(document(results), encoding="utf-8")
    if results["linear_sde"]["peer"] != "thermox 0.0.6":
        print(f"bench: thermox rows skipped: {results['linear_sde']['peer']}")
    print("bench: wrote benchmarks/results.json and benchmarks/README.md")
    return 0


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
