"""The four studies that have names; each runs in about a minute on two cores."""

from __future__ import annotations

from collections.abc import Callable

from tngd_hw.hardware import presets
from tngd_hw.outcome import MisuseError
from tngd_hw.studies.sweeps.matrices import MatrixSource
from tngd_hw.studies.sweeps.study import Study

__all__ = ["NAMED_STUDIES", "mismatch_study", "named_study", "noise_study", "precision_study", "settling_study"]

_FAMILIES = ("wishart_4n", "fisher_end", "laplacian")
_CIRCUITS = ("integrator", "three_array", "passive_rc")


def precision_study() -> Study:
    """Error against the bits of a programmed conductance, of otherwise perfect parts."""
    return Study(
        name="precision", quantity="programming.bits", values=tuple(range(2, 17)), topologies=_CIRCUITS,
        matrices=_sources(_FAMILIES), chips=1, kappa=1e-12, repetitions=8,
    )  # fmt: skip


def mismatch_study() -> Study:
    """Error against the tolerance of the resistors, 0.1 % to 20 %, of otherwise perfect parts."""
    return Study(
        name="mismatch", quantity="resistors.tolerance_dtod",
        values=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), topologies=_CIRCUITS,
        matrices=_sources(_FAMILIES), chips=32, kappa=1e-9,
    )  # fmt: skip


def noise_study() -> Study:
    """Error against injected noise on a real board, for one reading and averages of 30 and 1000, a tau apart."""
    return Study(
        name="noise", quantity="kappa", values=tuple(10.0**k for k in range(-6, 0)), topologies=("integrator", "gm_c"),
        matrices=_sources(_FAMILIES), chips=16, hardware=presets.pcb_1k_1n(), samples=(1, 30, 1000),
    )  # fmt: skip


def settling_study() -> Study:
    """Error against the time of the reading, 1 to 100 tau, on a real board."""
    return Study(
        name="settling", quantity="duration_tau",
        values=(1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 70.0, 1e2),
        topologies=_CIRCUITS, matrices=_sources(("wishart_2n", "fisher_end", "laplacian")), chips=16, repetitions=3,
        kappa=1e-8, hardware=presets.pcb_1k_1n(),
    )  # fmt: skip


NAMED_STUDIES: dict[str, Callable[[], Study]] = {
    "precision": precision_study,
    "mismatch": mismatch_study,
    "noise": noise_study,
    "settling": settling_study,
}
"""Every study that has a name."""


def named_study(name: str) -> Study:
    """The study called ``name``.

    Raises:
        MisuseError: There is none, with the names there are.
    """
    if name not in NAMED_STUDIES:
        raise MisuseError(f"study = {name!r}: the studies are {', '.join(NAMED_STUDIES)}, or give a file FILE.toml")
    return NAMED_STUDIES[name]()


def _sources(words: tuple[str, ...]) -> tuple[MatrixSource, ...]:
    return tuple(MatrixSource.parse(word) for word in words)
