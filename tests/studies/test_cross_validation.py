"""Every topology through every engine: the table agrees, and a wrong engine would show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from tngd_hw import MisuseError, Outcome, presets
from tngd_hw.engines import EngineState, StateSpace
from tngd_hw.studies.agreement import cross_validation
from tngd_hw.studies.agreement.cross_validation import Disagreement, cross_validate, standard_cases, table
from tngd_hw.topologies import TOPOLOGIES


@pytest.fixture(scope="module")
def rows() -> list[Disagreement]:
    return list(
        cross_validate(standard_cases(), [presets.ideal(), presets.pcb_1k_1n()], engines=["behavioral", "ideal"])
    )


def test_closed_forms_are_the_netlists(rows: list[Disagreement]) -> None:
    compared = [row for row in rows if row.exact and row.path is not None]
    assert {row.topology for row in compared} == {topology.name for topology in TOPOLOGIES}
    assert max(row.path for row in compared if row.path is not None) < 1e-9
    assert max(row.law for row in compared if row.law is not None) < 1e-9
    assert all(row.agrees for row in rows)


def test_the_perfect_filter_is_the_ideal_circuit_and_not_the_real_one(rows: list[Disagreement]) -> None:
    paths = {True: [], False: []}
    for row in rows:
        if row.engine == "ideal" and row.path is not None:
            paths[row.hardware == "ideal"].append(row.path)
    assert max(paths[True]) < 1e-12
    assert min(paths[False]) > 1e-4


def test_every_matrix_finds_a_circuit_and_a_refusal_says_why(rows: list[Disagreement]) -> None:
    for case in standard_cases():
        mine = [row for row in rows if row.case == case.name]
        assert any(row.path is not None for row in mine)
        assert all(row.detail for row in mine if row.outcome is Outcome.NOT_REALIZABLE)


@pytest.mark.ngspice
def test_ngspice_agrees_on_every_topology() -> None:
    cases = [case for case in standard_cases() if case.name in ("M-matrix 5", "not symmetric 6")]
    found = list(cross_validate(cases, [presets.pcb_1k_1n()], engines=["ngspice"]))
    compared = [row for row in found if row.path is not None]
    assert {row.topology for row in compared} == {topology.name for topology in TOPOLOGIES}
    assert all(row.agrees for row in found), table(found)


class Wrong(StateSpace):
    """An engine that is off by 2e-4 of the voltage."""

    name = "wrong"

    def run(self, state: EngineState, **arguments: object):
        state, run = super().run(state, **arguments)  # pyright: ignore[reportArgumentType] - passed through
        return state, replace(run, voltage_volt=run.voltage_volt * (1 + 2e-4))


def test_a_wrong_engine_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    known = cross_validation.find_engine
    monkeypatch.setattr(cross_validation, "find_engine", lambda name: Wrong() if name == "wrong" else known(name))
    case = standard_cases()[1]
    found = list(cross_validate([case], [presets.ideal()], topologies=["integrator"], engines=["wrong"]))
    assert [row.agrees for row in found] == [False]
    assert "DISAGREES" in table(found)


def test_same_call_same_rows() -> None:
    def once() -> Iterator[tuple[object, ...]]:
        for row in cross_validate(standard_cases()[:2], [presets.pcb_1k_1n()], engines=["behavioral"]):
            yield row.topology, row.path, row.end, row.law

    assert list(once()) == list(once())


def test_cases_are_what_their_names_say() -> None:
    cases = {case.name: case.A for case in standard_cases()}
    M = cases["M-matrix 5"]
    assert torch.equal(M, M.T)
    assert float((M - torch.diag(torch.diagonal(M))).max()) <= 0
    both = cases["dominant 5, both signs"]
    off = both - torch.diag(torch.diagonal(both))
    assert float(off.max()) > 0 > float(off.min())
    assert bool((torch.diagonal(both) >= off.abs().sum(1)).all())
    assert float((cases["not symmetric 6"] - cases["not symmetric 6"].T).abs().max()) > 0.1
    assert float(torch.linalg.eigvalsh(cases["positive definite 8"]).min()) > 0


def test_unknown_names() -> None:
    with pytest.raises(MisuseError, match="engine = 'ngspcie'"):
        list(cross_validate(standard_cases()[:1], [presets.ideal()], engines=["ngspcie"]))
    with pytest.raises(MisuseError, match="topology = 'intergator'"):
        list(cross_validate(standard_cases()[:1], [presets.ideal()], topologies=["intergator"]))
