"""Arguments of ``run`` that cannot be meant, refused alike by every engine, with field and value."""

from __future__ import annotations

import numpy as np
import pytest
from pyspice_here import needs_pyspice

from tngd_hw import LinearProblem, MisuseError, manufacture, presets, program
from tngd_hw.engines import ENGINES, Engine, find_engine
from tngd_hw.topologies import LoadedChip

_MARKS = {"ngspice": pytest.mark.ngspice, "pyspice": needs_pyspice}

every_engine = pytest.mark.parametrize(
    "engine",
    [pytest.param(e, marks=_MARKS.get(e.name, [])) for e in ENGINES],
    ids=lambda e: e.name,
)


def loaded() -> LoadedChip:
    return program(manufacture("integrator", 2, presets.ideal()), LinearProblem(np.eye(2), [1.0, 2.0]))


@every_engine
@pytest.mark.parametrize("duration", [0.0, -1e-6, float("nan"), float("inf"), True, "1us", None, 1j])
def test_duration(engine: Engine, duration: object) -> None:
    with pytest.raises(MisuseError, match=r"duration = .*finite number of seconds above 0"):
        engine.run(engine.init(loaded()), duration=duration)  # pyright: ignore[reportArgumentType] - the point


@every_engine
@pytest.mark.parametrize("seed", [-1, 1.5, True, None])
def test_seed(engine: Engine, seed: object) -> None:
    with pytest.raises(MisuseError, match=r"seed = .*integer of 0 or more"):
        engine.run(engine.init(loaded()), duration=1e-6, seed=seed)  # pyright: ignore[reportArgumentType] - the point


@every_engine
@pytest.mark.parametrize(
    ("b", "says"),
    [
        ([1.0], r"b has shape \(1,\): expected \(2,\) or \(2, k\)"),
        ([1.0, np.nan], r"b\[1\] = nan"),
        ([1.0, 1j], "b is complex"),
        ([[1.0], [1.0, 2.0]], "b has rows of different lengths"),
        (np.zeros((2, 2, 2)), r"b has shape \(2, 2, 2\)"),
    ],
)
def test_right_hand_side_and_start(engine: Engine, b: object, says: str) -> None:
    state = engine.init(loaded())
    with pytest.raises(MisuseError, match=says):
        engine.run(state, duration=1e-6, b=b)  # pyright: ignore[reportArgumentType] - the point
    with pytest.raises(MisuseError, match=says.replace("b", "x0", 1)):
        engine.run(state, duration=1e-6, x0=b)  # pyright: ignore[reportArgumentType] - the point


@pytest.mark.parametrize("name", ["ideal", "behavioral", "state_space"])
@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([], "times_s: expected a non-empty list"),
        ([2e-7, 1e-7], "non-decreasing"),
        ([-1e-9, 1e-7], "outside 0 to 1e-06 s"),
        ([0.0, 2e-6], "outside 0 to 1e-06 s"),
        ([[0.0, 1e-7]], "times_s: expected"),
        ([0.0, np.nan], r"times_s\[1\] = nan"),
    ],
)
def test_output_times(name: str, times: object, says: str) -> None:
    engine = find_engine(name)
    with pytest.raises(MisuseError, match=says):
        engine.run(engine.init(loaded()), duration=1e-6, times_s=times)  # pyright: ignore[reportArgumentType] - the point


def test_default_times_are_201_uniform_ones() -> None:
    engine = find_engine("ideal")
    _, found = engine.run(engine.init(loaded()), duration=1e-6)
    np.testing.assert_allclose(found.times_s, np.linspace(0, 1e-6, 201), rtol=1e-14)


def test_unknown_engine_offers_the_nearest() -> None:
    with pytest.raises(
        MisuseError, match=r"engine = 'ngspise'.*state_space, ngspice, pyspice; did you mean 'ngspice'\?"
    ):
        find_engine("ngspise")
