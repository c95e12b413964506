"""Many runs over all cores: chips, matrices or right-hand sides, each run by itself in a worker process.

Every run is prepared and run alone, with one BLAS thread, so that its bits depend on nothing but its own arguments: not
on the number of workers, their order, or what else is in the list.  A worker that dies loses what it was running; each
run that was lost is repeated once in a process of its own, so that only one that kills again is given up.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, cast

import torch
from joblib.externals import loky
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits
from torch import Tensor

from tngd_hw.engines.base import Engine, check_run, failed
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.problem import as_real_tensor
from tngd_hw.topologies import LoadedChip

__all__ = ["Interrupted", "run_many"]

Progress = Callable[[int, int], None]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during :func:`run_many`: the workers have been stopped.

    Attributes:
        finished: What :func:`run_many` would have returned, None for runs that were not finished.
    """

    def __init__(self, finished: tuple[Trajectory | None, ...]) -> None:
        super().__init__(f"{sum(t is not None for t in finished)} of {len(finished)} runs were finished")
        self.finished = finished


@dataclass(frozen=True, eq=False)
class _Run:
    engine: Engine
    loaded: LoadedChip
    duration: float
    b: Tensor | None
    seed: int
    times_s: Tensor | None


def run_many(
    engine: Engine,
    loaded: LoadedChip | Sequence[LoadedChip],
    *,
    duration: float,
    b: ArrayLike | Tensor | None = None,
    seed: int = 0,
    times_s: ArrayLike | Tensor | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[Trajectory, ...]:
    """Run ``engine`` once for each chip and each column of ``b``.

    Args:
        engine: Any engine; it goes to the workers by pickle.
        loaded: One chip, a batch of chips (each of which is run by itself), or a list of chips.
        duration: Seconds.
        b: Right-hand side, shape (n,), or (n, k) for k runs a chip; default the problem's.
        seed: Seed of the injected noise, the same for every run.
        times_s: Output times, as for :meth:`Engine.run`.
        jobs: Number of worker processes, default one a core; 1 works in this process, where a crash is a crash.
        progress: Called as ``progress(done, total)`` after every run.

    Returns:
        Trajectories of one chip and one right-hand side each, chips outer, columns inner.  A run that killed its worker
        twice is SIMULATOR_FAILED.

    Raises:
        MisuseError: No chip, bad shapes, ``jobs`` below 1; and what the engine raises in a worker.
        Interrupted: Ctrl-C, with the trajectories that were finished.
    """
    check_run(duration, seed)
    if jobs is not None and (isinstance(jobs, bool) or jobs < 1):
        raise MisuseError(f"jobs = {jobs!r}: expected a number of processes from 1, or None for one a core")
    times = None if times_s is None else as_real_tensor(times_s, "times_s")
    chips = list(_chips(loaded))
    runs = [_Run(engine, chip, duration, column, seed, times) for chip in chips for column in _columns(b)]
    if not runs:
        raise MisuseError("loaded: expected at least one chip, and b at least one column")
    workers = min(jobs or _cores(), len(runs))
    found: list[Trajectory | None] = [None] * len(runs)
    finished = _in_this_process(runs) if workers == 1 else _in_workers(runs, workers)
    try:
        with contextlib.closing(finished):
            for done, (place, trajectory) in enumerate(finished, start=1):
                found[place] = trajectory
                if progress is not None:
                    progress(done, len(runs))
    except KeyboardInterrupt:
        raise Interrupted(tuple(found)) from None
    return tuple(cast("list[Trajectory]", found))


def _chips(loaded: LoadedChip | Sequence[LoadedChip]) -> Iterator[LoadedChip]:
    for entry in [loaded] if isinstance(loaded, LoadedChip) else loaded:
        if entry.chip.chips is None:
            yield entry
        else:
            yield from (entry.select(k) for k in range(entry.chip.chips))


def _columns(b: ArrayLike | Tensor | None) -> list[Tensor | None]:
    if b is None:
        return [None]
    tensor = as_real_tensor(b, "b")
    if tensor.ndim not in (1, 2):
        raise MisuseError(f"b of shape {tuple(tensor.shape)}: expected (n,) or (n, k)")
    return [tensor] if tensor.ndim == 1 else [column.clone() for column in tensor.T]


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _done(run: _Run) -> Trajectory:
    """One run with one thread, whatever the process allows, so that sums are taken in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            state = run.engine.init(run.loaded)
            return run.engine.run(state, duration=run.duration, b=run.b, seed=run.seed, times_s=run.times_s)[1]
    finally:
        torch.set_num_threads(threads)


def _in_this_process(runs: Sequence[_Run]) -> Generator[tuple[int, Trajectory]]:
    for place, run in enumerate(runs):
        yield place, _done(run)


def _in_workers(runs: Sequence[_Run], workers: int) -> Generator[tuple[int, Trajectory]]:
    """Runs in a pool; when it breaks, those that were under way each alone, and the others in a new pool."""
    waiting = deque(range(len(runs)))
    while waiting:
        lost: list[int] = []
        with _Pool(workers) as pool, contextlib.closing(_until_broken(pool, runs, waiting, lost, workers)) as finished:
            yield from finished
        if lost:
            with contextlib.closing(_one_by_one(runs, deque(sorted(lost)))) as finished:
                yield from finished


def _until_broken(
    pool: _Pool, runs: Sequence[_Run], waiting: deque[int], lost: list[int], workers: int
) -> Generator[tuple[int, Trajectory]]:
    """No more runs under way than there are workers, so that a death can cost no others."""
    flying: dict[Future[Trajectory], int] = {}
    while flying or (waiting and not lost):
        while waiting and not lost and len(flying) < workers:
            place = waiting.popleft()
            try:
                flying[pool.submit(_done, runs[place])] = place
            except BrokenProcessPool:
                lost.append(place)
        for future in wait(flying, return_when=FIRST_COMPLETED).done:
            place = flying.pop(future)
            try:
                yield place, future.result()
            except BrokenProcessPool:
                lost.append(place)


def _one_by_one(runs: Sequence[_Run], lost: deque[int]) -> Generator[tuple[int, Trajectory]]:
    """Second tries, one at a time; who dies now is given up, and the others get a new process."""
    while lost:
        with _Pool(1) as pool:
            while lost:
                place = lost.popleft()
                try:
                    yield place, pool.submit(_done, runs[place]).result()
                except BrokenProcessPool:
                    yield place, _given_up(runs[place])
                    break


def _given_up(run: _Run) -> Trajectory:
    status = Status(Outcome.SIMULATOR_FAILED, f"the process of {run.engine.name} died twice in this run")
    return failed(run.engine.name, run.loaded, status, duration=run.duration, seed=run.seed)


def _leave_interrupts() -> None:
    """Ctrl-C reaches the whole process group; the parent alone answers it, and stops the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Pool:
    """Workers of loky, which survive neither an error nor Ctrl-C here: what they started goes with them."""

    def __init__(self, workers: int) -> None:
        environment = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._pool: Any = loky.ProcessPoolExecutor(workers, initializer=_leave_interrupts, env=environment)

    def submit(self, call: Callable[[_Run], Trajectory], run: _Run) -> Future[Trajectory]:
        return self._pool.submit(call, run)

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *reason: object) -> None:
        self._pool.shutdown(wait=True, kill_workers=True)  # they are idle, or of no more use; to ask them takes seconds
