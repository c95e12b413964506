"""Run the cells of a study over all cores, keep every finished one, and go on where a run was stopped.

joblib's loky backend; one BLAS thread a cell, in workers and in this process, so that sums are taken in one order and
a cell has the same bits for any number of workers.  A worker commits its own cells (see
:mod:`tngd_hw.studies.sweeps.store`).  Ctrl-C stops the workers; what is committed stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from joblib import Parallel, parallel_config
from joblib.externals.loky.process_executor import BrokenProcessPool
from threadpoolctl import threadpool_limits

from tngd_hw import __version__
from tngd_hw.outcome import MisuseError, Outcome, OutcomeError, Status
from tngd_hw.storage import make_directory
from tngd_hw.studies.sweeps.cells import Cell, expand, run_cell
from tngd_hw.studies.sweeps.fisher import TrainingStages, training_stages
from tngd_hw.studies.sweeps.matrices import make_problem
from tngd_hw.studies.sweeps.store import CellRecord, Store, cell_hash
from tngd_hw.studies.sweeps.study import Study

__all__ = ["STORE_NAME", "FinishedCell", "run_study"]

STORE_NAME = "cells.sqlite"
_TRAINING_NAME = "training.npz"
_WATCH = "tngd_hw.studies.parent"
_WATCH_S = 0.5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FinishedCell:
    """A cell with what was kept of it."""

    cell: Cell
    record: CellRecord


def run_study(
    study: Study, out: Path, *, workers: int | None = None, resume: bool = False, progress: Progress | None = None
) -> tuple[FinishedCell, ...]:
    """Every cell of ``study``, from the store in ``out`` where it is finished, else computed and committed there.

    Args:
        study: What to run.
        out: Folder of the store, made if it is not there.
        workers: Processes; default one a core.
        resume: Go on with the store that is there (and begin one where there is none).
        progress: Called as ``progress(finished, total)``, at first with what is there already.

    Returns:
        The cells in the order of :func:`~tngd_hw.studies.sweeps.cells.expand`.

    Raises:
        MisuseError: A store without ``resume``, one of another study, workers below 1, a matrix that cannot be used.
        OutcomeError: Workers die whatever is tried; finished cells are kept.
    """
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise MisuseError(f"workers = {workers!r}: expected a number of processes from 1")
    path = make_directory(out, "out") / STORE_NAME
    cells = list(expand(study))
    with _store(path, study, resume) as store:
        stages = _stages(study, out)
        while missing := store.missing([cell.configuration() for cell in cells]):
            if progress is not None:
                progress(len(cells) - len(missing), len(cells))
            _check_matrices([cells[place] for place in missing], stages)
            before = len(missing)
            count = min(workers or _cores(), len(missing))
            try:
                for done, _ in enumerate(_computed([cells[k] for k in missing], path, stages, count), start=1):
                    if progress is not None:
                        progress(len(cells) - before + done, len(cells))
            except BrokenProcessPool as error:  # a worker was killed, or could not begin
                left = len(store.missing([cell.configuration() for cell in cells]))
                if left == before:  # not one cell was finished in this round
                    raise OutcomeError(_dying(len(cells) - left, len(cells))) from error
        records = store.records()
    return tuple(FinishedCell(cell, records[cell_hash(cell.configuration())]) for cell in cells)


@contextlib.contextmanager
def _store(path: Path, study: Study, resume: bool) -> Generator[Store]:
    if not (resume and path.exists()):
        with Store.create(path, study.to_dict()) as store:
            yield store
        return
    with Store.open(path) as store:
        _refuse_another(path, store, study)
        yield store


def _refuse_another(path: Path, store: Store, study: Study) -> None:
    kept, wanted = _flat(store.study()), _flat({**study.to_dict(), "version": __version__})
    apart = [key for key in sorted(kept | wanted) if kept.get(key) != wanted.get(key)]
    if apart:
        listed = ", ".join(f"{key} (there {kept.get(key)}, here {wanted.get(key)})" for key in apart[:3])
        more = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
        raise MisuseError(f"{path}: is of another study: {listed}{more}; make it equal, or choose another --out")


def _flat(tree: dict[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted paths to the leaves."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= _flat(cast("dict[str, Any]", value), f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def _stages(study: Study, out: Path) -> TrainingStages | None:
    if all(source.family.training_stage is None for source in study.matrices):
        return None
    with _one_thread():
        return training_stages(out / _TRAINING_NAME, study.seed)


def _check_matrices(cells: Sequence[Cell], stages: TrainingStages | None) -> None:
    """Every family and size once, before the work: a file of the wrong size is a sentence and not a dead worker."""
    for source, n in dict.fromkeys((cell.source, cell.n) for cell in cells):
        make_problem(source, n, seed=cells[0].seed, repetition=0, stages=stages)


def _computed(cells: Sequence[Cell], path: Path, stages: TrainingStages | None, workers: int) -> Iterator[None]:
    if workers == 1:
        for cell in cells:
            yield _compute(cell, path, stages)
        return
    with parallel_config(backend="loky", inner_max_num_threads=1):
        no_names: dict[str, Any] = {}
        tasks = [(_compute_in_worker, (cell, path, stages, os.getpid()), no_names) for cell in cells]
        pool = cast("Any", Parallel)(n_jobs=workers, return_as="generator_unordered", batch_size=1)  # typed in part
        yield from pool(tasks)


def _compute(cell: Cell, path: Path, stages: TrainingStages | None) -> None:
    """One cell, committed."""
    begun = time.perf_counter()
    with _one_thread():
        result = run_cell(cell, stages)
    with Store.open(path) as store:
        store.add(cell.configuration(), cell.seed, result, time.perf_counter() - begun)


def _compute_in_worker(cell: Cell, path: Path, stages: TrainingStages | None, parent: int) -> None:
    """Ctrl-C is left to the parent, which stops all workers; a worker whose parent was killed ends by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if all(thread.name != _WATCH for thread in threading.enumerate()):
        threading.Thread(target=_end_with, args=(parent,), name=_WATCH, daemon=True).start()
    _compute(cell, path, stages)


def _end_with(parent: int) -> None:
    """An orphan would wait for work for minutes.  Ending in the middle of a commit is safe: it is rolled back."""
    while os.getppid() == parent:
        time.sleep(_WATCH_S)
    os._exit(1)


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(threads)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _dying(done: int, total: int) -> Status:
    detail = f"the worker processes die; {done} of {total} cells are kept, --resume goes on"
    return Status(Outcome.SIMULATOR_FAILED, detail)
