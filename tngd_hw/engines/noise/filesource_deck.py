"""Decks with driven noise: a folder of a deck and the files of samples that its ``filesource`` devices read.

The files hold a time and at most 16 columns of 25 characters, since ngspice reads lines below 512 characters and takes
longer ones for other numbers without a word.  A column is in units of its source's rms current, which is the
transconductance (in siemens, of 1 V) of the VCCS that brings it into the circuit.

``filesource`` makes no break points: a step of the simulator, h/m for m steps a sample, goes over the corners of the
straight lines.  At a corner in the part theta of a step the trapezoidal rule takes in too much charge,
theta (1 - theta) D h/(2 m^2), D the second difference of the samples.  :func:`corner_error` is what that adds up to;
measured at m = 10 on RC, op-amp and resonant circuits: 0.2e-3 to 0.9e-3 of the noise.

That is an error relative to the noise.  A drive moves the voltages too, and has the error of equal trapezoidal steps:
(h/(m tau))^2/12 of their change at most, which microvolts of thermal noise may be less than.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tngd_hw.engines.noise.path import NoisePath, injected_currents
from tngd_hw.netlist import Netlist, Transient, write_deck
from tngd_hw.netlist.noise_columns import NoiseCurrents
from tngd_hw.netlist.tables import Floats
from tngd_hw.outcome import MisuseError
from tngd_hw.storage import write_text

__all__ = [
    "EXPECTED_POINTS_PER_SAMPLE",
    "STEPS_PER_SAMPLE",
    "DeckFolder",
    "corner_error",
    "noisy_deck",
    "unseeded_trnoise_deck",
]

STEPS_PER_SAMPLE = 10
"""Smallest number of steps of the simulator from sample to sample: :func:`corner_error` is 0.94e-3 at h = tau/50."""

EXPECTED_POINTS_PER_SAMPLE = 11
"""What ngspice takes at :data:`STEPS_PER_SAMPLE`, rounded up: 10.03 to 10.7 measured, the most with real amplifiers."""

NOISE_TOLERANCE = 1e-3
"""ngspice's ``reltol``.  At 1e-4 the step control chases the corners: more steps, and 1.3 to 2 times the error."""

_TRNOISE_TOLERANCE = 1e-4
"""For ``trnoise``, which makes break points, so that steps are left to the step control."""

_COLUMNS_PER_FILE = 16
_PREFIX = "driven_noise"


@dataclass(frozen=True)
class DeckFolder:
    """A deck and the files beside it.

    Attributes:
        deck: Text of ``deck.cir``; it names the files without a folder.
        files: Text of each file by its name.
    """

    deck: str
    files: Mapping[str, str]

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write ``deck.cir`` and the files into ``folder`` (made where it is not there); ``ngspice`` runs there."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        texts = {"deck.cir": self.deck, **self.files}
        for name, text in texts.items():
            write_text(place / name, text)
        return tuple(place / name for name in texts)


def corner_error(step_s: float, tau_s: float, steps_per_sample: int) -> float:
    """rms error of one mode's path over the rms of its noise, at most: sqrt(h/(36 tau) + 1/120)/m^2.

    White samples of variance S/(2 h) have second differences of variance 3 S/h, and the noise the variance S tau/4 (all
    as charge).  The mean 1/6 of theta (1 - theta) over the step leaves D summed along the path, which telescopes to one
    difference of two samples: h/(36 tau).  What theta varies from corner to corner (variance 1/180, where the step
    control moves it at random) adds up over tau/(2 h) corners: 1/120.  With equal steps it does not, and the first
    term alone is left.

    Args:
        step_s: h.
        tau_s: Time constant of the mode.
        steps_per_sample: m.
    """
    return math.sqrt(step_s / (36 * tau_s) + 1 / 120) / steps_per_sample**2


def noisy_deck(
    netlist: Netlist,
    path: NoisePath,
    *,
    currents: NoiseCurrents | None = None,
    steps_per_sample: int = STEPS_PER_SAMPLE,
    relative_tolerance: float = NOISE_TOLERANCE,
    use_klu: bool = False,
    standalone: bool = False,
) -> DeckFolder:
    """The transient of ``netlist`` under ``path``, over the time of the path.

    Args:
        netlist: A circuit with the noise sources of the path.
        path: Their currents.
        currents: The sources; default those that the netlist injects.
        steps_per_sample: m, see above.
        relative_tolerance: ngspice's ``reltol``.
        use_klu: Ask for the KLU solver.
        standalone: Print the outputs, see :func:`~tngd_hw.netlist.write_deck`.

    Raises:
        MisuseError: A path of other sources; a node whose name begins with ``driven_noise``.
    """
    currents = injected_currents(netlist) if currents is None else currents
    if currents.names != path.names:
        raise MisuseError(f"path.names = {path.names}: the circuit has the noise sources {currents.names}")
    rms = np.sqrt(np.mean(path.current_ampere**2, axis=0))
    unit = np.where(rms > 0, rms, 1.0)
    files = dict(_sample_files(path.step_s, path.current_ampere / unit))
    largest = path.step_s / steps_per_sample
    run = Transient(path.duration_s, largest / 10, largest, relative_tolerance=relative_tolerance, use_klu=use_klu)
    text = write_deck(netlist, run, standalone=standalone)
    return DeckFolder(_with_cards(text, netlist, _source_cards(netlist, currents, unit)), files)


def unseeded_trnoise_deck(netlist: Netlist, *, duration: float, step_s: float, use_klu: bool = False) -> str:
    """The transient with ngspice's own ``trnoise``: NO SEED, every run is another path that nobody can repeat.

    Its samples are joined by straight lines as ours are, so that the variance is low by what
    :func:`~tngd_hw.engines.noise.path.variance_bias` says at the samples, 14/15 of that averaged over time
    (1 - 7 h/(15 tau) for one mode).  The deck is one file.

    Args:
        netlist: A circuit with noise sources.
        duration: Seconds.
        step_s: h; take it from :func:`~tngd_hw.engines.noise.path.noise_step`.
        use_klu: Ask for the KLU solver.
    """
    currents = injected_currents(netlist)
    cards = [
        f"i{_PREFIX}{k} {netlist.node_names[a]} {netlist.node_names[b]} dc 0 trnoise({rms!r} {float(step_s)!r} 0 0)"
        for k, ((a, b), rms) in enumerate(
            zip(currents.nodes.tolist(), np.sqrt(currents.psd / (2 * step_s)).tolist(), strict=True)
        )
    ]
    run = Transient(duration, step_s / 10, step_s, relative_tolerance=_TRNOISE_TOLERANCE, use_klu=use_klu)
    return _with_cards(write_deck(netlist, run), netlist, cards)


def _with_cards(deck: str, netlist: Netlist, cards: list[str]) -> str:
    taken = [*netlist.node_names, *(name for table in netlist.tables for name in table.names)]
    if clash := next((name for name in taken if name.startswith(_PREFIX)), None):
        raise MisuseError(f"{clash!r}: names that begin with {_PREFIX!r} are for driven noise; choose another")
    return "\n".join([deck.removesuffix(".end\n").rstrip("\n"), *cards, ".end", ""])


def _source_cards(netlist: Netlist, currents: NoiseCurrents, unit: Floats) -> list[str]:
    """A device and a model a file, a VCCS a source."""
    cards: list[str] = []
    q = len(currents)
    for number, first in enumerate(range(0, q, _COLUMNS_PER_FILE)):
        columns = range(first, min(first + _COLUMNS_PER_FILE, q))
        pairs = " ".join(f"{_PREFIX}{k} 0" for k in columns)
        zeros, ones = " ".join("0" for _ in columns), " ".join("1" for _ in columns)
        cards += [
            f"a{_PREFIX}{number} %vd([{pairs}]) {_PREFIX}_file{number}",
            f'.model {_PREFIX}_file{number} filesource (file="{_file_name(number)}"',
            f"+ amploffset=[{zeros}] amplscale=[{ones}]",
            "+ timeoffset=0 timescale=1 timerelative=false amplstep=false)",
        ]
    for k, ((a, b), siemens) in enumerate(zip(currents.nodes.tolist(), unit.tolist(), strict=True)):
        cards.append(f"g{_PREFIX}{k} {netlist.node_names[a]} {netlist.node_names[b]} {_PREFIX}{k} 0 {siemens!r}")
    return cards


def _file_name(number: int) -> str:
    return f"noise{number}.txt"


def _sample_files(step_s: float, samples: Floats) -> Iterator[tuple[str, str]]:
    """Lines of a time and its samples; the last one is held for a step, so that the end of a run is inside."""
    count = len(samples)
    times = step_s * np.arange(count + 1)
    held = np.concatenate([samples, samples[-1:]])
    for number, first in enumerate(range(0, samples.shape[1], _COLUMNS_PER_FILE)):
        rows = np.column_stack([times, held[:, first : first + _COLUMNS_PER_FILE]])
        line = " ".join(["%.16e"] * rows.shape[1])
        yield _file_name(number), "\n".join([line % tuple(row) for row in rows.tolist()]) + "\n"
