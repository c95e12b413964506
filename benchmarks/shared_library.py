"""ngspice's shared library in worker processes of our own: what :mod:`benchmarks.many_runs` measures.

The library is used by :mod:`ctypes` in spawned processes, one instance each, in an empty directory; ``destroy all``
follows every run, ``remcirc`` every deck.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["MEMORY", "Worker", "library_workers"]

MEMORY = Path("/proc/self/statm")
"""Where a process reads its own memory."""

_FAILURE = re.compile(r"stderr.*(error|aborted|singular|too small)", re.IGNORECASE)


class Pipe(Protocol):
    """The end of a pipe, of either kind that multiprocessing has."""

    def send(self, obj: Any, /) -> None: ...

    def recv(self) -> Any: ...


@dataclass
class Worker:
    """One spawned process with one instance of the library."""

    pipe: Pipe
    version: int

    def ask(self, what: str, argument: object) -> Any:
        """Send and wait."""
        self.pipe.send((what, argument))
        return self.answer()

    def answer(self) -> Any:
        """What was sent back; RuntimeError for a failure there."""
        found = self.pipe.recv()
        if isinstance(found, str):
            raise RuntimeError(found)
        return found


@contextmanager
def library_workers(library: str, count: int, names: Sequence[str]) -> Generator[list[Worker]]:
    """``count`` processes that give the vectors ``names`` of every run as columns."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pairs = [context.Pipe() for _ in range(count)]
        processes = [
            context.Process(target=_serve, args=(far, library, folder, tuple(names)), daemon=True) for _, far in pairs
        ]
        for process in processes:
            process.start()
        try:
            yield [Worker(near, near.recv()) for near, _ in pairs]
        finally:
            for process in processes:
                process.kill()
                process.join()


def _serve(pipe: Pipe, library: str, folder: str, names: tuple[str, ...]) -> None:
    """What a worker does until it is killed."""
    os.chdir(folder)  # the library reads .spiceinit where it starts
    shared = _Library(library, names)
    pipe.send(shared.version)
    while True:
        what, argument = pipe.recv()
        if what == "processor":
            pipe.send(time.process_time())
            continue
        if what == "memory":
            pipe.send(int(MEMORY.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            continue
        try:
            pipe.send(shared.altered(*argument) if what == "altered" else [shared.loaded(deck) for deck in argument])
        except RuntimeError as error:
            pipe.send(str(error))


class _Vector(ctypes.Structure):
    """``vector_info`` of ngspice's sharedspice.h."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("type", ctypes.c_int), ("flags", ctypes.c_short),
        ("real", ctypes.POINTER(ctypes.c_double)), ("complex", ctypes.c_void_p), ("length", ctypes.c_int),
    )  # fmt: skip


_SEND_CHAR = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
_EXIT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_bool, ctypes.c_bool, ctypes.c_int, ctypes.c_void_p)


class _Library:
    """The one instance of this process; its callbacks live as long as it does."""

    def __init__(self, path: str, names: tuple[str, ...]) -> None:
        self._names = names
        self._said: list[str] = []
        self._send_char = _SEND_CHAR(self._hear)
        self._exit = _EXIT(lambda *_: os._exit(1))
        self._calls = ctypes.CDLL(path)
        self._calls.ngGet_Vec_Info.restype = ctypes.POINTER(_Vector)
        self._calls.ngSpice_Init(self._send_char, None, self._exit, None, None, None, None)
        banner = re.search(r"ngspice-(\d+)", "\n".join(self._said))
        self.version = int(banner[1]) if banner else 0

    def loaded(self, deck: str) -> NDArray[np.float64]:
        """A run of a deck, which is forgotten again."""
        self._load(deck)
        found = self._run()
        self._calls.ngSpice_Command(b"remcirc")
        return found

    def altered(self, deck: str, changes: list[list[tuple[str, str]]]) -> list[NDArray[np.float64]]:
        """Runs of one deck with other values of its sources."""
        self._load(deck)
        found: list[NDArray[np.float64]] = []
        for change in changes:
            for name, value in change:
                self._calls.ngSpice_Command(f"alter {name} dc = {value}".encode())
            found.append(self._run())
        self._calls.ngSpice_Command(b"remcirc")
        return found

    def _load(self, deck: str) -> None:
        lines = [line.encode() for line in deck.splitlines()]
        self._calls.ngSpice_Circ((ctypes.c_char_p * (len(lines) + 1))(*lines, None))

    def _run(self) -> NDArray[np.float64]:
        self._said.clear()
        self._calls.ngSpice_Command(b"run")
        columns: list[NDArray[np.float64]] = []
        for name in self._names:
            info = self._calls.ngGet_Vec_Info(name.encode())
            if not info:
                raise RuntimeError(f"the library made no {name}: {self._said}")
            columns.append(np.ctypeslib.as_array(info.contents.real, (info.contents.length,)))
        found = np.stack(columns, axis=1)  # a copy: the library's own memory goes with its plots
        self._calls.ngSpice_Command(b"destroy all")
        if not np.isfinite(found).all() or _FAILURE.search("\n".join(self._said)):
            raise RuntimeError(f"the library failed: {self._said}")
        return found

    def _hear(self, text: bytes, instance: int, user: int) -> int:
        del instance, user
        self._said.append(text.decode(errors="replace"))
        return 0
