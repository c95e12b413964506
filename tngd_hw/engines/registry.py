"""The engines there are: a new one is its file and one entry here."""

from __future__ import annotations

import difflib

from tngd_hw.engines.base import Engine
from tngd_hw.engines.behavioral import Behavioral
from tngd_hw.engines.ideal import Ideal
from tngd_hw.engines.ngspice import Ngspice
from tngd_hw.engines.pyspice import PySpice
from tngd_hw.engines.state_space import StateSpace
from tngd_hw.outcome import MisuseError

__all__ = ["ENGINES", "find_engine"]

ENGINES: tuple[Engine, ...] = (Ideal(), Behavioral(), StateSpace(), Ngspice(), PySpice())


def find_engine(name: str) -> Engine:
    """The engine called ``name`` with its default settings; MisuseError offers the nearest."""
    for engine in ENGINES:
        if engine.name == name:
            return engine
    names = [engine.name for engine in ENGINES]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.3)
    offer = f"; did you mean {near[0]!r}?" if near else ""
    raise MisuseError(f"engine = {name!r}: the engines are {', '.join(names)}{offer}")
