"""``ngspice``: the netlist in the circuit simulator, one process a run.  The referee of the other engines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, check_settings, failed, node_names, run_statuses
from tngd_hw.engines.noise.filesource_deck import EXPECTED_POINTS_PER_SAMPLE
from tngd_hw.engines.noise.path import NoisePath, draw_path
from tngd_hw.engines.noise.run import ngspice_on_path
from tngd_hw.engines.spice.estimate import RunEstimate, estimate_run, refusal
from tngd_hw.engines.spice.found import usable_ngspice
from tngd_hw.engines.spice.process import NgspiceVersion, run_deck
from tngd_hw.engines.spice.steps import Steps, choose_steps
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_of, watched_names, watched_netlist
from tngd_hw.netlist import Netlist, Transient, write_deck
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.topologies import LoadedChip

__all__ = ["Ngspice"]

_MEMORY_FLOOR = 1 << 30
_MEMORY_SHARE = 4
"""Address space of a run: 1 GiB and four times the memory predicted."""


@dataclass(frozen=True)
class Ngspice:
    """ngspice >= 39 as a process; KLU is used where the version has it.

    Steps and tolerance come from the circuit's modes, for a stated error (see :mod:`~tngd_hw.engines.spice.steps`);
    a ringing circuit takes many more of them.  Before a run its time and memory are predicted (see
    :mod:`~tngd_hw.engines.spice.estimate`): one of more than ``timeout_s``, or 8 GiB, is not begun (timed_out,
    simulator_failed).

    Attributes:
        accuracy: Largest error along the path, relative to the largest voltage; at the end a tenth of it
            (:data:`~tngd_hw.engines.spice.steps.END_SHARE`).  Not used where both settings below are.
        relative_tolerance: ngspice's ``reltol``; default by ``accuracy``.
        points: Smallest number of steps of a run; default 250.
        timeout_s: A run is stopped after this many seconds (outcome timed_out).
        noise_bias: Largest relative error of a variance by the sampling of white noise (sets its step).  The
            path of a seed is that of :func:`~tngd_hw.engines.noise.path.draw_path`, in steps of its own.
        force: Begin runs of any predicted length and memory.
        progress: Called four times a second with the seconds so far and the prediction.
    """

    accuracy: float = 1e-4
    relative_tolerance: float | None = None
    points: int | None = None
    timeout_s: float = 600.0
    noise_bias: float = 0.01
    force: bool = False
    progress: Callable[[float, RunEstimate], None] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_settings(self, ("accuracy", "relative_tolerance", "points", "timeout_s", "noise_bias"))

    @property
    def name(self) -> str:
        """Name on the command line."""
        return "ngspice"

    def init(self, loaded: LoadedChip) -> EngineState:
        """Find ngspice and check the circuit: ngspice itself would run an unstable one without a word."""
        if loaded.chip.chips is not None:
            raise MisuseError(f"chips = {loaded.chip.chips}: ngspice runs one chip at a time; pass loaded.select(k)")
        version, status = usable_ngspice()
        return EngineState(loaded, version, loaded.circuit_status if status.ok else status)

    def run(
        self,
        state: EngineState,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
        times_s: ArrayLike | Tensor | None = None,
    ) -> tuple[EngineState, Trajectory]:
        """See :class:`~tngd_hw.engines.base.Engine`; without noise ``times_s`` is not used: ngspice chooses."""
        check_run(duration, seed)
        loaded = state.loaded
        if not state.status.ok:
            return state, failed(self.name, loaded, state.status, duration=duration, seed=seed)
        version: NgspiceVersion = state.prepared
        if loaded.noisy:
            path = draw_path(loaded, duration=duration, seed=seed, bias_budget=self.noise_bias)
            return self.run_on_path(state, path, b=b, x0=x0, times_s=times_s)
        drive, steps = loaded.drive(b, x0, seed=seed), self._steps(loaded, duration)
        netlist = watched_netlist(loaded, loaded.netlist(drive))
        estimate = estimate_run(loaded.n, netlist.element_count, steps.expected_points, has_klu=version.has_klu)
        refused = self._refusal(estimate)
        if not refused.ok:
            return state, failed(self.name, loaded, refused, duration=duration, seed=seed)
        progress = self.progress
        run = run_deck(
            _deck(netlist, steps, duration, use_klu=version.has_klu),
            version,
            plot="Transient",
            stop_s=duration,
            timeout_s=self.timeout_s,
            memory_bytes=_MEMORY_FLOOR + _MEMORY_SHARE * estimate.memory_bytes,
            progress=None if progress is None else lambda elapsed_s: progress(elapsed_s, estimate),
        )
        if run.plot is None:
            return state, failed(self.name, loaded, run.status, duration=duration, seed=seed, notes=run.notes)
        column = {name: k for k, name in enumerate(run.plot.names)}
        names = watched_names(loaded)
        missing = [name for name in names if f"v({name})" not in column]
        if missing:
            status = Status(Outcome.SIMULATOR_FAILED, f"ngspice wrote no voltage v({missing[0]})")
            return state, failed(self.name, loaded, status, duration=duration, seed=seed, notes=run.notes)
        values = torch.from_numpy(run.plot.values.real.copy())
        voltage = values[:, [column[f"v({name})"] for name in names]]
        statuses = run_statuses(loaded, drive, voltage, -1) if run.status.ok else (run.status,)
        outputs = outputs_of(loaded, voltage, -1)
        return state, Trajectory(
            values[:, 0], outputs, node_names(loaded), self.name, statuses, False, seed, duration, notes=run.notes
        )

    def run_on_path(
        self,
        state: EngineState,
        path: NoisePath,
        *,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        times_s: ArrayLike | Tensor | None = None,
    ) -> tuple[EngineState, Trajectory]:
        """Run on a given noise path, over its duration; see :func:`~tngd_hw.engines.noise.run.ngspice_on_path`."""
        if not state.status.ok:
            seed = path.seed or 0
            return state, failed(self.name, state.loaded, state.status, duration=path.duration_s, seed=seed)
        loaded, version = state.loaded, state.prepared
        points = EXPECTED_POINTS_PER_SAMPLE * len(path.current_ampere)
        estimate = estimate_run(loaded.n, loaded.netlist().element_count, points, has_klu=version.has_klu)
        refused = self._refusal(estimate)
        if not refused.ok:
            return state, failed(self.name, loaded, refused, duration=path.duration_s, seed=path.seed or 0)
        progress = self.progress
        return state, ngspice_on_path(
            loaded, path, version, b=b, x0=x0, times_s=times_s, timeout_s=self.timeout_s,
            memory_bytes=_MEMORY_FLOOR + _MEMORY_SHARE * estimate.memory_bytes,
            progress=None if progress is None else lambda elapsed_s: progress(elapsed_s, estimate),
        )  # fmt: skip

    def deck(
        self,
        loaded: LoadedChip,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        seed: int = 0,
        use_klu: bool = False,
        standalone: bool = False,
        watched: bool = False,
    ) -> str:
        """The deck of a run, self-contained; a ``standalone`` one runs as it is with ``ngspice -b deck.cir``.

        Inner stages are saved beside the outputs only where it is ``watched``, as a run's is.
        """
        netlist, steps = loaded.netlist(loaded.drive(b, x0, seed=seed)), self._steps(loaded, duration)
        netlist = watched_netlist(loaded, netlist) if watched else netlist
        return _deck(netlist, steps, duration, use_klu=use_klu, standalone=standalone)

    def estimate(self, loaded: LoadedChip, *, duration: float, has_klu: bool) -> RunEstimate:
        """Time, memory and points of a run without injected noise, on a machine like the one measured."""
        points = self._steps(loaded, duration).expected_points
        return estimate_run(loaded.n, loaded.netlist().element_count, points, has_klu=has_klu)

    def _steps(self, loaded: LoadedChip, duration: float) -> Steps:
        return choose_steps(
            loaded, duration, accuracy=self.accuracy, relative_tolerance=self.relative_tolerance, points=self.points
        )

    def _refusal(self, estimate: RunEstimate) -> Status:
        """Why this run is not begun, in figures; OK where it may be."""
        return Status() if self.force else refusal(estimate, self.timeout_s)


def _deck(netlist: Netlist, steps: Steps, duration: float, *, use_klu: bool, standalone: bool = False) -> str:
    analysis = Transient(
        stop_s=duration,
        step_s=steps.step_s,
        max_step_s=steps.max_step_s,
        relative_tolerance=steps.relative_tolerance,
        use_klu=use_klu,
    )
    return write_deck(netlist, analysis, standalone=standalone)
