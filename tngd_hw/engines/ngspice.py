"""``ngspice``: the netlist in the circuit simulator, one process a run.  The referee of the other engines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import EngineState, check_run, failed, node_names, saturation
from tngd_hw.engines.ngspice_process import NgspiceVersion, find_ngspice, ngspice_version, run_deck
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.netlist import Transient, write_deck
from tngd_hw.outcome import MisuseError, Outcome, Status
from tngd_hw.topologies import LoadedChip, spectrum

__all__ = ["Ngspice"]

_OLDEST = 39


@dataclass(frozen=True)
class Ngspice:
    """ngspice >= 39 as a process; KLU is used where the version has it.

    Accuracy: the first step is 1/100 of the time constant of the fastest mode of A, the largest ``1/points`` of the
    run.  On an 80-node op-amp array (75 MHz) the defaults are within 3e-5 of the exact solution along the path and 1e-6
    at the end, relative to the largest voltage, at 50 tau and at 400 tau.

    Attributes:
        relative_tolerance: ngspice's ``reltol``, 1e-6; 1e-5 is twice as fast and within 1e-4.
        points: Smallest number of steps of a run.
        timeout_s: A run is stopped after this many seconds (outcome timed_out).
    """

    relative_tolerance: float = 1e-6
    points: int = 250
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("relative_tolerance", "points", "timeout_s"):
            if not 0 < getattr(self, name) < float("inf"):
                raise MisuseError(f"Ngspice.{name} = {getattr(self, name)!r}: expected a finite number above 0")

    @property
    def name(self) -> str:
        """Name on the command line."""
        return "ngspice"

    def init(self, loaded: LoadedChip) -> EngineState:
        """Find ngspice and check the circuit: ngspice itself would run an unstable one without a word."""
        if loaded.chip.chips is not None:
            raise MisuseError(f"chips = {loaded.chip.chips}: ngspice runs one chip at a time; pass loaded.select(k)")
        if loaded.kappa > 0:
            raise MisuseError(
                f"kappa = {loaded.kappa}: the ngspice engine runs the noiseless circuit; use state_space or behavioral"
            )
        path = find_ngspice()
        if path is None:
            return EngineState(loaded, None, Status(Outcome.SIMULATOR_MISSING, "there is no ngspice on this machine"))
        version = ngspice_version(path)
        if version.major < _OLDEST:
            detail = f"{path} is not ngspice {_OLDEST} or newer (it says version {version.major})"
            return EngineState(loaded, None, Status(Outcome.SIMULATOR_MISSING, detail))
        return EngineState(loaded, version, loaded.circuit_status)

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
        """See :class:`~tngd_hw.engines.base.Engine`; ngspice chooses its own times, ``times_s`` is not used."""
        del times_s
        check_run(duration, seed)
        loaded = state.loaded
        if not state.status.ok:
            return state, failed(self.name, loaded, state.status, duration=duration, seed=seed)
        version: NgspiceVersion = state.prepared
        deck = self.deck(loaded, duration=duration, b=b, x0=x0, use_klu=version.has_klu)
        run = run_deck(deck, version, plot="Transient", stop_s=duration, timeout_s=self.timeout_s)
        if run.plot is None:
            return state, failed(self.name, loaded, run.status, duration=duration, seed=seed, notes=run.notes)
        column = {name: k for k, name in enumerate(run.plot.names)}
        names = node_names(loaded)
        missing = [name for name in names if f"v({name})" not in column]
        if missing:
            status = Status(Outcome.SIMULATOR_FAILED, f"ngspice wrote no voltage v({missing[0]})")
            return state, failed(self.name, loaded, status, duration=duration, seed=seed, notes=run.notes)
        values = torch.from_numpy(run.plot.values.real.copy())
        voltage = values[:, [column[f"v({name})"] for name in names]]
        statuses = saturation(loaded, voltage, -1)
        return state, Trajectory(
            values[:, 0], voltage, names, self.name, statuses, False, seed, duration, notes=run.notes
        )

    def deck(
        self,
        loaded: LoadedChip,
        *,
        duration: float,
        b: ArrayLike | Tensor | None = None,
        x0: ArrayLike | Tensor | None = None,
        use_klu: bool = False,
        standalone: bool = False,
    ) -> str:
        """The deck of a run, self-contained; a ``standalone`` one runs as it is with ``ngspice -b deck.cir``."""
        fastest = loaded.tau / spectrum(loaded.mapped.formed_matrix()).fastest
        largest_step = duration / self.points
        analysis = Transient(
            stop_s=duration,
            step_s=min(fastest / 100, largest_step),
            max_step_s=largest_step,
            relative_tolerance=self.relative_tolerance,
            use_klu=use_klu,
        )
        return write_deck(loaded.netlist(loaded.drive(b, x0)), analysis, standalone=standalone)
