"""Training runs over seeds, cell by cell: the machinery of the curve studies.

Every finished cell (one run, one seed) is a file in OUT/cells, written whole or not at all; a study that is started
again computes what is missing.  Cells have one BLAS thread and no part in each other, so their numbers do not depend
on how many workers there are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from joblib import Parallel, parallel_config
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

from tngd_hw import __version__
from tngd_hw.outcome import MisuseError
from tngd_hw.storage import finite_data, make_directory, write_json
from tngd_hw.training import TrainingRecord

__all__ = ["CurveRun", "curve_parser", "kept_cells"]


class CurveRun(Protocol):
    """One curve: a name, and what it does."""

    @property
    def name(self) -> str:
        """For legends and tables; unique in a figure."""
        ...

    def configuration(self) -> dict[str, Any]:
        """All that its numbers depend on beside seed and length, as plain data."""
        ...


RunT = TypeVar("RunT", bound=CurveRun)


@dataclass(frozen=True)
class _Cell(Generic[RunT]):
    run: RunT
    seed: int
    steps: int
    folder: Path
    train: Callable[[RunT, int, int], TrainingRecord]

    @property
    def path(self) -> Path:
        whole = {**self.run.configuration(), "seed": self.seed, "steps": self.steps, "version": __version__}
        digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{digest}-seed{self.seed}.json"


def kept_cells(
    runs: Sequence[RunT],
    seeds: Sequence[int],
    steps: int,
    out: Path,
    train: Callable[[RunT, int, int], TrainingRecord],
    *,
    workers: int,
    prepare: Callable[[], object],
    label: str,
) -> dict[tuple[str, int], dict[str, Any]]:
    """Every run and seed, from its file where there is one, else computed; by (name, seed).

    Args:
        runs: The curves; two with one configuration are one cell.
        seeds: Each run has each.
        steps: Updates a run.
        out: Folder of the study.
        train: Called in a worker with run, seed and steps; a function of a module, or a partial of one.
        workers: Processes.
        prepare: Called once before any worker starts, if a cell is missing: it says what data are missing.
        label: Of the progress bar.

    Raises:
        MisuseError: What ``prepare`` refuses, a folder that cannot be written, counts below 1.
    """
    if steps < 1 or workers < 1 or not seeds:
        raise MisuseError(f"steps = {steps}, workers = {workers}, {len(seeds)} seeds: each has to be at least 1")
    folder = make_directory(out / "cells", "out")
    cells = [_Cell(run, seed, steps, folder, train) for run in runs for seed in seeds]
    unique = {cell.path: cell for cell in cells}
    missing = [cell for path, cell in unique.items() if not path.exists()]
    if missing:
        prepare()
        with Progress(console=Console(stderr=True), transient=True) as bar:
            row = bar.add_task(label, total=len(unique), completed=len(unique) - len(missing))
            no_names: dict[str, Any] = {}
            with parallel_config(backend="loky", inner_max_num_threads=1):
                tasks = [(_compute, (cell,), no_names) for cell in missing]
                pool = cast("Any", Parallel)(n_jobs=workers, return_as="generator_unordered", batch_size=1)
                for _ in pool(tasks):
                    bar.advance(row)
    return {(cell.run.name, cell.seed): json.loads(cell.path.read_text(encoding="utf-8")) for cell in cells}


def _compute(cell: _Cell[Any]) -> None:
    torch.set_num_threads(1)
    begun, used = time.perf_counter(), time.process_time()
    with threadpool_limits(1):
        record = cell.train(cell.run, cell.seed, cell.steps)
    document: dict[str, Any] = {"seed": cell.seed, "run": cell.run.configuration()}
    document |= {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - used}
    write_json(cell.path, finite_data({**document, "record": record.as_dict()}))


def curve_parser(prog: str, description: str | None, *, seeds: int) -> argparse.ArgumentParser:
    """The arguments that every study of curves has."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data-dir", default=None)
    return parser
