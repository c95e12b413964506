"""One run of the shared library of ngspice through PySpice's NgSpiceShared, in a process of its own.

Run as a script, ``python -I pyspice_worker.py``, in an empty directory that holds ``job.json`` and ``deck.cir``.  It
leaves ``answer.json``, and ``answer.npz`` where the run made a plot.  It imports nothing of this package, so that it
starts in 0.1 s; PySpice is GPL-3 and is imported here, in :mod:`tngd_hw.netlist.pyspice` and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main"]


def main(folder: Path) -> None:
    """Run the job of ``folder`` and write its answer."""
    job = json.loads(Path(folder, "job.json").read_text(encoding="utf-8"))
    sys.path[:] = job["path"]
    _limit_cpu(int(job["cpu_s"]))
    logging.disable()  # "Unsupported Ngspice version 39", and every line of stderr again
    warnings.simplefilter("ignore")
    said: list[str] = []
    error = ""
    try:
        _run(folder, job["plot"], said)
    except Exception as failure:  # whatever PySpice raises is this run's answer
        error = f"{type(failure).__name__}: {failure}".replace("\n", " ")
    answer = {"error": error, "stderr": [text.removeprefix("stderr ") for text in said if text.startswith("stderr ")]}
    Path(folder, "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _run(folder: Path, plot: str, said: list[str]) -> None:
    """Load the deck, run it, keep the newest plot that is called ``plot`` and a number."""

    def send_char(library: Any, message: object, number: object) -> int:
        """PySpice calls this after it has judged the line; any line on stderr is a failure to it, not to us."""
        del number
        said.append(str(message))
        library._error_in_stdout = library._error_in_stderr = False
        return 0

    shared: Any = importlib.import_module("PySpice.Spice.NgSpice.Shared").NgSpiceShared
    library: Any = type("PatientNgSpice", (shared,), {"send_char": send_char})()
    library.load_circuit(Path(folder, "deck.cir").read_text(encoding="utf-8"))
    library.run()
    name = next((name for name in library.plot_names if name.rstrip("0123456789") == plot), None)
    if name is None:
        return
    analysis = library.plot(None, name).to_analysis()
    nodes = {str(node): np.asarray(wave.as_ndarray()) for node, wave in analysis.nodes.items()}
    values = np.column_stack([np.asarray(analysis.time.as_ndarray()), *nodes.values()])
    np.savez(folder / "answer.npz", values=values, names=np.array(["time", *(f"v({node.lower()})" for node in nodes)]))


def _limit_cpu(seconds: int) -> None:
    """A worker whose caller was killed ends too; where the system has no such limit it does without."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


if __name__ == "__main__":
    main(Path.cwd())
