"""What this machine has: packages, ngspice, PySpice, GPU, cores, settings.  Looks, and imports only torch."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import warnings
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Machine", "inspect_machine"]

_SHOWN = ("torch", "numpy", "scipy")
_GET_NGSPICE = "Debian and Ubuntu: apt-get install ngspice; macOS: brew install ngspice"


@dataclass(frozen=True)
class Machine:
    """What was found; None means that it is not there.

    Attributes:
        python: Version of the interpreter.
        tngd_hw: Version of this package.
        packages: Version of every package that this one needs.
        ngspice: Path, major version and whether it is new enough to have the KLU solver.
        pyspice: Version of PySpice, without importing it.
        libngspice: The shared library that PySpice needs, as the engine pyspice finds it.
        cuda: Names of the GPUs that torch can use.
        cores: Processors that this process may use.
        environment: The variables TNGD_* that are set.
    """

    python: str
    tngd_hw: str
    packages: dict[str, str | None]
    ngspice: dict[str, Any] | None
    pyspice: str | None
    libngspice: str | None
    cuda: list[str]
    cores: int
    environment: dict[str, str]

    @property
    def missing_packages(self) -> list[str]:
        """Packages that this one needs and that are not installed."""
        return [name for name, version in self.packages.items() if version is None]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        rows = {
            "Python": self.python,
            "tngd_hw": self.tngd_hw,
            **{name: self.packages.get(name) or "missing" for name in _SHOWN},
            "other packages": self._others(),
            "ngspice": self._ngspice(),
            "PySpice": self._pyspice(),
            "GPU": ", ".join(self.cuda) or "none that torch can use; everything runs on the processor",
            "processors": str(self.cores),
        }
        rows |= dict(self.environment)
        width = max(len(label) for label in rows) + 2
        return "\n".join(f"{label:<{width}}{text}" for label, text in rows.items())

    def _others(self) -> str:
        missing = self.missing_packages
        if missing:
            return f"missing: {', '.join(missing)}; install tngd-hw again (pip install tngd-hw)"
        return f"all {len(self.packages) - len(_SHOWN)} there"

    def _ngspice(self) -> str:
        if self.ngspice is None:
            chosen = self.environment.get("TNGD_NGSPICE")
            where = "missing" if chosen is None else f"TNGD_NGSPICE = {chosen!r} is no program that can be run"
            return f"{where}: the engine ngspice cannot run, all others can; {_GET_NGSPICE}"
        if self.ngspice["version"] == 0:
            return f"{self.ngspice['path']} does not answer --version as ngspice does; {_GET_NGSPICE}"
        solver = "with KLU" if self.ngspice["klu"] else "without KLU (42 and newer have it)"
        return f"{self.ngspice['version']} at {self.ngspice['path']}, {solver}"

    def _pyspice(self) -> str:
        if self.pyspice is None:
            return "missing, optional (GPL-3): pip install 'tngd-hw[pyspice]'"
        library = self.libngspice or "no libngspice (Debian and Ubuntu: apt-get install libngspice0)"
        return f"{self.pyspice}, {library}"


def inspect_machine() -> Machine:
    """Look at this machine.  Cost: the import of torch, and ``ngspice --version``."""
    return Machine(
        python=platform.python_version(),
        tngd_hw=importlib.metadata.version("tngd-hw"),
        packages={name: _version(name) for name in _needed()},
        ngspice=_find_ngspice(),
        pyspice=_version("PySpice"),
        libngspice=_find_library(),
        cuda=_gpus(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        environment={name: value for name, value in sorted(os.environ.items()) if name.startswith("TNGD_")},
    )


def _needed() -> list[str]:
    """Names of the packages that this one requires, extras left out."""
    requirements = importlib.metadata.requires("tngd-hw") or []
    names = [re.split(r"[^A-Za-z0-9_.-]", text, maxsplit=1)[0] for text in requirements if "extra ==" not in text]
    return sorted(names, key=lambda name: (name not in _SHOWN, name.lower()))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _find_ngspice() -> dict[str, Any] | None:
    from tngd_hw.engines import find_ngspice, ngspice_version

    path = find_ngspice()
    if path is None:
        return None
    found = ngspice_version(path)
    return {"path": found.path, "version": found.major, "klu": found.has_klu}


def _find_library() -> str | None:
    from tngd_hw.engines import find_library

    return find_library()


def _gpus() -> list[str]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old driver: said by the list being empty
        if not torch.cuda.is_available():
            return []
        return [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
