"""Three engines on one given noise path: the exact ones, without a step error, and ngspice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from tngd_hw.engines.base import failed, node_names, output_times, run_statuses
from tngd_hw.engines.equations import Equations, with_constant
from tngd_hw.engines.noise.currents import chip_currents, with_held_nodes_at_ground
from tngd_hw.engines.noise.filesource_deck import STEPS_PER_SAMPLE, DeckFolder, noisy_deck
from tngd_hw.engines.noise.path import NoisePath
from tngd_hw.engines.slow_noise import charged_with_slow_noise
from tngd_hw.engines.spice.process import DEFAULT_MEMORY_BYTES, NgspiceVersion, run_deck
from tngd_hw.engines.trajectory import Trajectory
from tngd_hw.engines.watched import outputs_of, watched_equations, watched_names, watched_netlist
from tngd_hw.linear_sde import LinearSDE, noise_as_input, response
from tngd_hw.netlist import Netlist, state_equations
from tngd_hw.netlist.flatten import flatten
from tngd_hw.netlist.noise_columns import noise_currents
from tngd_hw.outcome import MisuseError
from tngd_hw.topologies import Drive, LoadedChip

__all__ = ["behavioral_on_path", "check_path", "ngspice_on_path", "path_deck", "state_space_on_path"]


def state_space_on_path(
    loaded: LoadedChip, path: NoisePath, *, b: ArrayLike | Tensor | None = None, x0: ArrayLike | Tensor | None = None
) -> Trajectory:
    """Voltages of the netlist's own equations at the times of the samples, exact for straight lines in between.

    Args:
        loaded: A single chip whose sources the path was made for.
        path: Currents of the noise sources.  Its seed draws where 1/f noise is at t = 0, as a run's of the engine
            state_space; at rest without one.
        b: Right-hand side, shape (n,); default the problem's.
        x0: Start, shape (n,); default 0.

    Raises:
        MisuseError: A path of other sources, a source that the equations lost, several chips or right-hand sides.
    """
    check_path(loaded, path)
    drive = loaded.drive(b, x0, seed=path.seed or 0)
    netlist = watched_netlist(loaded, _netlist(loaded, drive, path))
    found = state_equations(netlist, noise=loaded.noise_sources, reduce_noise=False)
    if loaded.elements.noise_kelvin:
        sde = _one_column_a_pair(found.sde, loaded, netlist, found.noise_names)
        return _on_path("state_space", loaded, Equations(sde, with_constant(drive), found.initial_state, drive), path)
    if found.noise_names != path.names:
        raise MisuseError(f"the equations have the noise sources {found.noise_names}, the path {path.names}")
    equations = Equations(found.sde, with_constant(drive), found.initial_state, drive)
    return _on_path("state_space", loaded, equations, path)


def behavioral_on_path(
    loaded: LoadedChip, path: NoisePath, *, b: ArrayLike | Tensor | None = None, x0: ArrayLike | Tensor | None = None
) -> Trajectory:
    """As :func:`state_space_on_path` with the topology's closed form, whose noise columns are the injected sources.

    Raises:
        MisuseError: Thermal noise or noise of amplifiers, and as :func:`state_space_on_path`.
    """
    check_path(loaded, path)
    if loaded.elements.noise_kelvin:
        raise MisuseError(
            "noise.*_kelvin: the closed form keeps the law of thermal noise, not its sources, and follows no path; "
            "use state_space_on_path, or compare moments"
        )
    banks = loaded.elements.amplifiers.values()
    if any(bool((bank.voltage_noise_psd > 0).any()) or bool((bank.current_noise_psd > 0).any()) for bank in banks):
        raise MisuseError(
            "amplifiers.*_per_rthz: the closed form has the amplifiers' noise in another order than the netlist, and "
            "follows no path of it; use state_space_on_path, or compare moments"
        )
    drive = loaded.drive(b, x0, seed=path.seed or 0)
    start = loaded.initial_state(drive.initial_volt)
    equations = Equations(watched_equations(loaded), with_constant(drive), start, drive)
    return _on_path("behavioral", loaded, equations, path)


def ngspice_on_path(
    loaded: LoadedChip,
    path: NoisePath,
    version: NgspiceVersion,
    *,
    b: ArrayLike | Tensor | None = None,
    x0: ArrayLike | Tensor | None = None,
    times_s: ArrayLike | Tensor | None = None,
    steps_per_sample: int = STEPS_PER_SAMPLE,
    timeout_s: float = 600.0,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Callable[[float], None] | None = None,
) -> Trajectory:
    """As :func:`state_space_on_path` in ngspice; straight lines between its own steps give the voltages at ``times_s``.

    Args:
        loaded: A single chip whose sources the path was made for.
        path: Currents of the noise sources.
        version: The ngspice to run.
        b: Right-hand side, shape (n,); default the problem's.
        x0: Start, shape (n,); default 0.
        times_s: Output times; default those of the samples.
        steps_per_sample: m; the path is off by ``corner_error`` (:mod:`~tngd_hw.engines.noise.filesource_deck`).
        timeout_s: The run is stopped after this many seconds.
        memory_bytes: Address space of the run.
        progress: As for :func:`~tngd_hw.engines.spice.process.run_deck`.

    Raises:
        MisuseError: As :func:`state_space_on_path`.
    """
    check_path(loaded, path)
    times = path.times_s if times_s is None else output_times(path.duration_s, times_s)
    drive = loaded.drive(b, x0, seed=path.seed or 0)
    netlist = watched_netlist(loaded, _netlist(loaded, drive, path))
    folder = noisy_deck(
        netlist,
        path,
        currents=chip_currents(loaded, netlist),
        steps_per_sample=steps_per_sample,
        use_klu=version.has_klu,
    )
    run = run_deck(
        folder.deck, version, plot="Transient", stop_s=path.duration_s, timeout_s=timeout_s, files=folder.files,
        memory_bytes=memory_bytes, progress=progress,
    )  # fmt: skip
    seed = 0 if path.seed is None else path.seed
    if run.plot is None:
        return failed("ngspice", loaded, run.status, duration=path.duration_s, seed=seed, notes=run.notes)
    values = run.plot.values.real
    columns = [values[:, run.plot.names.index(f"v({name})")] for name in watched_names(loaded)]
    voltage = torch.from_numpy(np.stack([np.interp(times.numpy(), values[:, 0], column) for column in columns], 1))
    statuses = run_statuses(loaded, drive, voltage, -1) if run.status.ok else (run.status,)
    notes = "\n".join(note for note in (_sampling(loaded, path), run.notes) if note)
    outputs = outputs_of(loaded, voltage, -1)
    return Trajectory(times, outputs, node_names(loaded), "ngspice", statuses, True, seed, path.duration_s, notes=notes)


def path_deck(loaded: LoadedChip, path: NoisePath, *, standalone: bool = False) -> DeckFolder:
    """The deck of :func:`ngspice_on_path` for the problem's b from rest, see :func:`noisy_deck`; it saves outputs."""
    check_path(loaded, path)
    netlist = _netlist(loaded, loaded.drive(seed=path.seed or 0), path)
    return noisy_deck(netlist, path, currents=chip_currents(loaded, netlist), standalone=standalone)


def _netlist(loaded: LoadedChip, drive: Drive, path: NoisePath) -> Netlist:
    """The circuit of a run on ``path``, its 1/f noise where the path's seed has it at t = 0."""
    netlist = loaded.netlist(drive)
    return netlist if path.seed is None else charged_with_slow_noise(loaded, netlist, path.seed)


def _sampling(loaded: LoadedChip, path: NoisePath) -> str:
    bias = "" if path.variance_bias is None else f": variances are off by up to {path.variance_bias:.2%}"
    bank = loaded.elements.amplifier_bank()
    rest = "; 1/f noise begins at rest" if path.seed is None and bank is not None and bank.flickers else ""
    return f"noise in samples of {path.step_s:.4g} s{bias}{rest}"


def check_path(loaded: LoadedChip, path: NoisePath) -> None:
    """MisuseError unless ``loaded`` is one chip with exactly the noise sources of ``path``."""
    if loaded.chip.chips is not None:
        raise MisuseError(f"chips = {loaded.chip.chips}: a noise path is for one chip at a time; pass loaded.select(k)")
    names = chip_currents(loaded).names
    if names != path.names:
        raise MisuseError(f"path.names = {path.names}: the circuit has the noise sources {names}")


def _one_column_a_pair(sde: LinearSDE, loaded: LoadedChip, netlist: Netlist, names: tuple[str, ...]) -> LinearSDE:
    """The equations with a noise column for each of :func:`chip_currents`: one source of the pair, scaled."""
    every = noise_currents(flatten(netlist), loaded.noise_sources)
    if names != every.names:
        raise MisuseError(f"the equations have the noise sources {names}, the netlist {every.names}")
    single, merged = with_held_nodes_at_ground(every, netlist), chip_currents(loaded, netlist)
    place = {tuple(sorted(pair)): k for k, pair in enumerate(single.nodes.tolist())}
    chosen = [place[tuple(pair)] for pair in merged.nodes.tolist()]
    sign = np.where(single.nodes[chosen, 0] == merged.nodes[:, 0], 1.0, -1.0)
    scale = torch.from_numpy(sign * np.sqrt(merged.psd / single.psd[chosen]))
    number = {name: k for k, name in enumerate(every.names)}
    column = [number[single.names[k]] for k in chosen]
    return replace(sde, B=sde.B[:, column] * scale, D_w=sde.D_w[:, column] * scale)


def _on_path(engine: str, loaded: LoadedChip, equations: Equations, path: NoisePath) -> Trajectory:
    sde, constant = equations.sde, equations.u
    currents = chip_currents(loaded)
    if sde.n_noises != len(currents) or constant.ndim != 1:
        raise MisuseError(
            f"{sde.n_noises} noise columns and a drive of shape {tuple(constant.shape)} for {len(currents)} sources: "
            "a noise path needs a column a source and one right-hand side"
        )
    xi = torch.from_numpy(path.current_ampere / np.sqrt(currents.psd / 2))
    times = path.times_s
    inputs = torch.cat([constant.expand(len(times), -1), xi], dim=1)
    voltage = response(noise_as_input(sde), times, inputs, x0=equations.x0)
    seed = 0 if path.seed is None else path.seed
    statuses = run_statuses(loaded, equations.drive, voltage, -1)
    outputs = outputs_of(loaded, voltage, -1)
    return Trajectory(times, outputs, node_names(loaded), engine, statuses, True, seed, path.duration_s)
