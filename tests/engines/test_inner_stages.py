"""Stages that leave their range, or slew, while every output looks fine: voltages and limits by hand.

The conductances that an amplifier drives, 1 mS a unit, and its output current give its limit; the swing of 10 V is
never in question unless a test says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from ngspice_runs import plots
from pyspice_here import needs_pyspice

import tngd_hw as tngd
from tngd_hw.engines import find_engine
from tngd_hw.engines.noise.path import draw_path
from tngd_hw.engines.noise.run import behavioral_on_path, state_space_on_path
from tngd_hw.hardware import Encoding, HardwareSpec
from tngd_hw.netlist import Transient, write_deck
from tngd_hw.readout import settled
from tngd_hw.topologies import LoadedChip

ENGINES = ("behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice))


@dataclass(frozen=True)
class Case:
    """A circuit, the voltages at which its outputs are to settle, and what one stage then does, by hand."""

    topology: str
    problem: tngd.LinearProblem
    volt: tuple[float, ...]
    stage: str
    node: str
    reached: float
    limit: float
    hardware: dict[str, dict[str, float]] = field(default_factory=dict)
    encoding: Encoding | None = None

    def load(self, chips: int | None = None, kappa: float = 0.0, **more: dict[str, float]) -> LoadedChip:
        """A chip of these parts, those of ``more`` added."""
        parts = {name: self.hardware.get(name, {}) | more.get(name, {}) for name in {**self.hardware, **more}}
        outputs = None if self.problem.factors is None else len(self.problem.factors.J)
        chip = tngd.manufacture(
            self.topology, self.problem.n, HardwareSpec.from_dict({"name": "t", **parts}), seed=4, outputs=outputs,
            encoding=self.encoding, chips=chips,
        )  # fmt: skip
        return tngd.program(chip, self.problem, x_max=1.0, kappa=kappa)

    def right(self, loaded: LoadedChip, share: float = 1.0) -> torch.Tensor:
        """b for which the perfect outputs settle at ``share`` of the voltages."""
        x = torch.tensor(self.volt, dtype=torch.float64) * share / loaded.scales.voltage_volt
        return self.problem.formed_matrix() @ x


def amplifiers(current_ampere: float, **more: float) -> dict[str, dict[str, float]]:
    """Gain and bandwidth so good that settled voltages are within 1e-5 of the ideal ones."""
    figures = {"open_loop_gain": 1e7, "gain_bandwidth_hz": 1e9, "output_swing_volt": 10.0}
    return {"amplifiers": figures | {"output_current_ampere": current_ampere} | more}


# Column 2: the output drives A_22 and its inverter, 2 mS; the inverter drives 1 + 1 mS and its feedback, 3 mS.
INVERTER = Case(
    "integrator",
    tngd.LinearProblem([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 1.0]]),
    (0.2, 0.1, 1.2),
    "inverter of column 2", "inv2", 1.2, 3e-3 / 3e-3, amplifiers(3e-3),
)  # fmt: skip
# W = -(V_0 + V_1)/sqrt(2); the swing is 1 V.
REFERENCE = Case(
    "integrator",
    tngd.LinearProblem([[1.0, -0.5], [0.0, 1.0]]),
    (0.9, 0.8),
    "reference amplifier", "ref", 1.7 / np.sqrt(2), 1.0, amplifiers(1.0, output_swing_volt=1.0), Encoding.OFFSET,
)  # fmt: skip
# u = -J v/2 (the largest entry of J has the feedback's resistance): u_0 = -(2 * 0.85 + 0.8)/2.  It drives H_00 of
# 0.5 mS, its feedback and its inverter: 2.5 mS; its inverter H_10 of 0.25 mS and its own feedback: 1.25 mS.
J_STAGE = Case(
    "three_array",
    tngd.LinearProblem.from_factors([[2.0, -1.0], [0.5, 1.0]], [[[0.5, -0.25], [-0.25, 1.0]]], 0.1),
    (0.85, -0.8),
    "J stage row 0", "jac0", 1.25, 2.5e-3 / 2.5e-3, amplifiers(2.5e-3),
)  # fmt: skip
# J_1 = (2, 2), so u_1 = -(v_0 + v_1) and w = H J v/2: w_1 = 0.05 v_0 + v_0 + v_1.  u_1 drives H_11 and H_01, 1.1 mS,
# its feedback and its inverter: 3.1 mS; w_1 drives J^T_01 and J^T_11 of 1 mS each, its feedback and its inverter: 4 mS.
H_STAGE = Case(
    "three_array",
    tngd.LinearProblem.from_factors([[1.0, 0.0], [2.0, 2.0]], [[[0.25, 0.1], [0.1, 1.0]]], 0.1),
    (0.25, 0.27),
    "H stage row 1", "hes1", 0.5325, 2e-3 / 4e-3, amplifiers(2e-3),
)  # fmt: skip
# Column 2: the output drives 1 + 1 mS, the inverter 0.8 + 0.9 mS and its feedback, 2.7 mS.
SOLVER = Case(
    "amc_inverse",
    tngd.LinearProblem([[1.0, 0.0, -0.8], [0.2, 1.0, -0.9], [0.0, 0.1, 1.0]]),
    (0.2, 0.1, -1.2),
    "inverter of column 2", "inv2", 1.2, 2.7e-3 / 2.7e-3, amplifiers(2.7e-3, gain_bandwidth_hz=1e7),
)  # fmt: skip
# v_in = A V, as the largest entry of A has the conductance of the inputs: row 1: 0.8 * 0.04 + 0.03 + 0.7 * 0.035.
OTA = Case(
    "gm_c",
    tngd.LinearProblem([[1.0, 0.9, 0.5], [0.8, 1.0, 0.7], [0.6, 0.4, 1.0]]),
    (0.04, 0.03, 0.035),
    "input transconductor of row 1", "in1", 0.0865, 0.05, {"transconductors": {"linear_range_volt": 0.05}},
)  # fmt: skip
CASES = {
    "inverter": INVERTER, "reference": REFERENCE, "J stage": J_STAGE, "H stage": H_STAGE, "solver": SOLVER, "ota": OTA,
}  # fmt: skip


def run(loaded: LoadedChip, b: object, engine: str = "behavioral", **options: object) -> tngd.Trajectory:
    simulator = find_engine(engine)
    duration = loaded.tau * (100 if loaded.topology.is_filter else 400)
    return simulator.run(simulator.init(loaded), duration=duration, b=b, **options)[1]  # pyright: ignore[reportArgumentType] - x0, seed


def said(case: Case, status: tngd.Status) -> tuple[float, float, float]:
    """Value, times and limit that a status of the case's stage states, in volt."""
    assert status.outcome is tngd.Outcome.SATURATED
    start = f"the {case.stage} reached "
    assert status.detail.startswith(start), status.detail
    value, times, limit = status.detail.removeprefix(start).replace(" times its limit of ", ", ").split(", ")
    volts = [tngd.units.parse_quantity(text, "volt", "voltage") for text in (value, limit)]
    return volts[0], float(times), volts[1]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_a_stage_beyond_its_limit_is_named(name: str, engine: str) -> None:
    case = CASES[name]
    loaded = case.load()
    found = run(loaded, case.right(loaded), engine)
    np.testing.assert_allclose(found.final_volt.numpy(), case.volt, rtol=1e-3)
    # an inverter follows one node, whose planned limit has it in; the others were seen by no limit of an output
    limits = loaded.delivered_limit if case.stage.startswith("inverter") else loaded.voltage_limit
    assert bool((found.voltage_volt.abs() <= limits * (1 - 1e-3)).all())
    value, times, limit = said(case, found.status)
    assert value == pytest.approx(case.reached, rel=5e-3 if case is SOLVER else 1e-3)  # that loop overshoots by 0.3 %
    assert limit == pytest.approx(case.limit, rel=1e-3)
    assert times == pytest.approx(case.reached / case.limit, rel=5e-3)
    assert found.status.remedy.startswith("scale the drive down (larger x_max), or choose ")
    below = run(loaded, case.right(loaded, 0.99 * case.limit / case.reached), engine)
    assert below.status.ok, below.status


def test_an_output_beyond_its_own_amplifier_is_named_first() -> None:
    """V_2 = 1.6 V: the output delivers 3 mA/2 mS = 1.5 V, its inverter 1 V."""
    loaded = INVERTER.load()
    found = run(loaded, INVERTER.right(loaded, 1.6 / 1.2))
    assert found.status.detail == "node 2 reached 1.07 times the voltage its amplifier can deliver"


def test_a_node_beyond_the_plan_is_no_failure_while_every_stage_is_in_range() -> None:
    """V = (0.92, 0): u_0 = -0.92 V is within its 1 V; the plan is |V|_2 <= 1 V/|S_0| with S_0 = (1, -1/2)."""
    loaded = J_STAGE.load()
    b = J_STAGE.problem.formed_matrix() @ torch.tensor([0.92, 0.0], dtype=torch.float64) / loaded.scales.voltage_volt
    found = run(loaded, b)
    assert float(found.voltage_volt.abs().max()) > float(loaded.voltage_limit.min())
    assert found.status.ok


@pytest.mark.ngspice
@pytest.mark.parametrize("name", CASES)
def test_the_voltage_is_that_of_ngspice(name: str) -> None:
    """Every node of the deck as ngspice has it, read without our engines."""
    case = CASES[name]
    loaded = case.load()
    b = case.right(loaded)
    netlist = loaded.netlist(loaded.drive(b))
    duration = 20 * loaded.tau
    analysis = Transient(duration, duration / 2000, duration / 500, relative_tolerance=1e-6)
    deck = write_deck(netlist, analysis).splitlines()
    plot = plots("\n".join(line for line in deck if not line.startswith(".save")) + "\n")["tran"]
    peak = float(np.abs(plot.values.real[:, plot.names.index(f"v({case.node})")]).max())
    simulator = find_engine("state_space")
    times = plot.values.real[:, 0]
    _, found = simulator.run(simulator.init(loaded), duration=duration, b=b, times_s=np.minimum(times, duration))
    assert said(case, found.status)[0] == pytest.approx(peak, rel=1e-3)


def test_every_chip_of_a_batch_has_its_own_status() -> None:
    """Resistors of 5 %: some dies exceed, some do not, and each says what it says alone."""
    loaded = INVERTER.load(chips=6, resistors={"tolerance_dtod": 0.05})
    b = INVERTER.right(loaded, 1 / 1.2)
    together = run(loaded, b).statuses
    assert {status.ok for status in together} == {True, False}
    assert [status.detail for status in together] == [run(loaded.select(k), b).status.detail for k in range(6)]
    assert [status.detail for status in together] == [
        status.detail for status in run(loaded, b, "state_space").statuses
    ]


def test_many_right_hand_sides() -> None:
    loaded = J_STAGE.load(chips=2)
    below, beyond = J_STAGE.right(loaded, 0.79), J_STAGE.right(loaded)
    assert run(loaded, torch.stack([below, below], 1)).status.ok
    said(J_STAGE, run(loaded, torch.stack([below, beyond], 1)).status)


def test_settled_answers_say_it_too() -> None:
    loaded = J_STAGE.load(chips=2)
    for status in settled(loaded, b=J_STAGE.right(loaded)).statuses:
        assert said(J_STAGE, status)[0] == pytest.approx(1.25, rel=1e-3)
    found = settled(loaded, b=J_STAGE.right(loaded, 0.79))
    assert all(status.ok for status in found.statuses)
    assert (found.x.shape, found.covariance.shape) == ((2, 2), (2, 2, 2))


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_counts_as_for_outputs(engine: str) -> None:
    """The mean stays at 0.8 of the limit; the inverter follows V_2, whose noise takes it beyond."""
    loaded = INVERTER.load(kappa=0.05)
    assert run(INVERTER.load(), INVERTER.right(loaded, 0.8 / 1.2)).status.ok
    simulator, times = find_engine(engine), np.linspace(0.0, 20.0, 400) * loaded.tau
    b = INVERTER.right(loaded, 0.8 / 1.2)
    _, found = simulator.run(simulator.init(loaded), duration=20 * loaded.tau, b=b, seed=3, times_s=times)
    peak = float(found.voltage_volt[:, 2].abs().max())
    assert 1.0 < peak < 1.5
    assert said(INVERTER, found.status)[0] == pytest.approx(peak, rel=5e-3)


def test_a_given_noise_path() -> None:
    loaded = INVERTER.load(kappa=0.05)
    path = draw_path(loaded, duration=10 * loaded.tau, seed=3)
    for on_path in (behavioral_on_path, state_space_on_path):
        found = on_path(loaded, path, b=INVERTER.right(loaded, 0.9 / 1.2))
        peak = float(found.voltage_volt[:, 2].abs().max())
        assert found.voltage_volt.shape[1] == 3
        assert 1.0 < peak < 1.5
        assert said(INVERTER, found.status)[0] == pytest.approx(peak, rel=5e-3)


def test_white_noise_at_a_stage_output_is_left_out() -> None:
    """Behind an output resistance a stage shows white noise, which has no value at a point; the run goes on."""
    loaded = INVERTER.load(amplifiers={"output_ohm": 10.0, "input_farad": 1e-12}, noise={"resistor_kelvin": 300.0})
    assert bool(loaded.linear_sde(inner=True).D_w[3:].any())
    for engine in ("behavioral", "state_space"):
        assert said(INVERTER, run(loaded, INVERTER.right(loaded), engine).status)[0] == pytest.approx(1.2, rel=1e-3)


@pytest.mark.parametrize(("share", "ok"), [(0.995, True), (1.005, False)])
def test_the_reports_agree(share: float, ok: bool) -> None:
    """v along S_0 = (1, -1/2): u_0 reaches its 1 V as |v|_2 reaches the limit that the report gives, and 2.5 mA."""
    loaded = J_STAGE.load()
    limit = loaded.report.voltage_limit_volt or 0.0
    assert limit == pytest.approx(1 / np.sqrt(1.25), rel=1e-12)
    current = loaded.design_report.peak_current_ampere
    assert current["amplifier of the Jacobian stage"] == pytest.approx(2.5e-3, rel=1e-12)
    assert current["inverter amplifier of the Jacobian stage"] == pytest.approx(1.25e-3, rel=1e-12)
    assert max(current.values()) <= 2.5e-3 * (1 + 1e-12)
    v = share * limit * torch.tensor([2.0, -1.0], dtype=torch.float64) / np.sqrt(5)
    found = run(loaded, J_STAGE.problem.formed_matrix() @ v / loaded.scales.voltage_volt).status
    assert found.ok is ok
    if not ok:
        assert said(J_STAGE, found)[0] == pytest.approx(share, rel=1e-3)


def test_ideal_amplifiers_have_no_limits() -> None:
    chip = tngd.manufacture("integrator", 3, tngd.presets.ideal())
    loaded = tngd.program(chip, INVERTER.problem)
    assert loaded.inner_stages.names == ()
    assert run(loaded, [1e3, 1e3, 1e3]).status.ok


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stage_that_slews_is_named(engine: str) -> None:
    """From rest dv/dt = b v_0/tau = (2.2725, -2.42375) V/4 us, and du_0/dt = (2 * 2.2725 + 2.42375)/2 V/4 us."""
    steepest = (2 * 2.2725 + 2.42375) / 2 / 4
    loaded = J_STAGE.load(amplifiers=amplifiers(1.0, slew_volt_per_s=0.75e6)["amplifiers"])
    assert loaded.tau == pytest.approx(4e-6)
    found = run(loaded, J_STAGE.right(loaded), engine).status
    assert found.outcome is tngd.Outcome.SATURATED
    slope = found.detail.removeprefix("the J stage row 0 would have to move at ")
    assert float(slope.split()[0]) == pytest.approx(steepest, rel=5e-3)  # the bandwidth of the stage rounds the corner
    assert slope.endswith(" V/us, 1.16 times the 0.75 V/us that its amplifier slews")
    assert found.remedy == "scale the drive down (larger x_max), or choose a faster amplifier"
    assert run(loaded, J_STAGE.right(loaded, 0.99 * 0.75 / steepest), engine).status.ok


@needs_pyspice
def test_pyspice_says_what_ngspice_says() -> None:
    loaded = J_STAGE.load()
    assert said(J_STAGE, run(loaded, J_STAGE.right(loaded), "pyspice").status)[0] == pytest.approx(1.25, rel=1e-3)
