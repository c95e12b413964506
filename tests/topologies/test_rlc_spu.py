"""LC cells coupled by capacitors, pinned by a 3 x 3 example by hand and by the law that the Lyapunov equation gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import solve_continuous_lyapunov

import tngd_hw as tngd
from tngd_hw import HardwareSpec, LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.hardware import Role
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Kind, state_equations
from tngd_hw.topologies import LoadedChip, Preconditioning

# Rows sum to 0.5, 1 and 0.75.  R = 1 kOhm, C = 1 nF for A_ii = 2: c0 = 0.5 nF, tau = R c0 = 0.5 us, L = 10 uH.
A = np.array([[2.0, -1.0, -0.5], [-1.0, 2.0, 0.0], [-0.5, 0.0, 1.25]])
KAPPA = 1e-3


def load(matrix: object = A, hardware: HardwareSpec | None = None, kappa: float = KAPPA) -> LoadedChip:
    problem = LinearProblem(np.asarray(matrix))
    chip = manufacture("rlc_spu", problem.n, presets.ideal() if hardware is None else hardware, seed=3)
    return program(chip, problem, kappa=kappa)


def spu_matrix(n: int, seed: int) -> np.ndarray:
    """Dense couplings, ground capacitances of 0.2 to 1."""
    rng = np.random.default_rng(seed)
    coupling = np.triu(rng.uniform(0.05, 0.5, (n, n)), 1)
    coupling = coupling + coupling.T
    return np.diag(coupling.sum(1) + rng.uniform(0.2, 1.0, n)) - coupling


def test_components_by_hand() -> None:
    netlist = load().netlist()
    table = netlist.table(Kind.CAPACITOR)
    assert table is not None
    names = netlist.node_names
    found = {
        name: (names[p], names[q], float(v))
        for name, (p, q), v in zip(table.names, table.nodes.tolist(), table.values, strict=True)
    }
    assert found == {
        "c_0_1": ("out0", "out1", pytest.approx(0.5e-9, rel=1e-12)),
        "c_0_2": ("out0", "out2", pytest.approx(0.25e-9, rel=1e-12)),
    }
    (cells,) = netlist.instances
    np.testing.assert_allclose(cells.parameters["c"], [0.25e-9, 0.5e-9, 0.375e-9], rtol=1e-12)
    np.testing.assert_allclose(cells.parameters["l"], 1e-5)
    np.testing.assert_allclose(cells.parameters["r"], 1e3)


def test_a_positive_source_drives_its_node_up() -> None:
    """Current sources ``in0`` push current into node 0: dv/dt = C_m^-1 i at the first instant."""
    sde = load().linear_sde()
    np.testing.assert_allclose(sde.E[:3, :3].numpy(), np.linalg.inv(0.5e-9 * A), rtol=1e-12)
    found = load().netlist(load().drive(b=[1.0, 0.0, 0.0]))
    source = found.table(Kind.CURRENT_SOURCE)
    assert source is not None
    assert found.node_names[int(source.nodes[0, 1])] == "out0"
    assert source.values[0] > 0


def law(sde: LinearSDE) -> np.ndarray:
    """Covariance of the outputs by scipy's Lyapunov equation."""
    F, B, C = (np.asarray(m) for m in (sde.F, sde.B, sde.C))
    scale = np.abs(F).max()
    return C @ solve_continuous_lyapunov(F / scale, -B @ B.T / scale) @ C.T


@pytest.mark.parametrize("n", [1, 3, 8])
def test_covariance_is_the_inverse_whatever_inductance(n: int) -> None:
    matrix = spu_matrix(n, n)
    for inductance in (1e-6, 1e-4):
        spec = HardwareSpec.from_dict({"name": "x", "inductors": {"inductance_henry": inductance}})
        loaded = load(matrix, spec)
        found = law(loaded.linear_sde()) / loaded.scales.voltage_volt**2
        np.testing.assert_allclose(found, KAPPA * np.linalg.inv(matrix), rtol=1e-7, atol=1e-9 * KAPPA)


def test_physical_law_of_the_board() -> None:
    """Cov(v) = kT_eff C_m^-1 with kT_eff = S R/4, S the one-sided current noise: the literature's kappa_0 R."""
    loaded = load()
    density = loaded.report.noise_psd_ampere2_per_hz
    expected = density * 1e3 / 4 * np.linalg.inv(0.5e-9 * A)
    np.testing.assert_allclose(law(loaded.linear_sde()), expected, rtol=1e-8)
    assert loaded.report.effective_temperature_kelvin == pytest.approx(density * 1e3 / 4 / 1.380649e-23, rel=1e-12)


def test_unequal_resistors_are_unequal_baths() -> None:
    """5 % of R on one cell moves the covariance: the law is not true of any circuit."""
    loaded = load(spu_matrix(4, 1))
    bent = loaded.elements.with_values(Role.TANK_RESISTOR, lambda c: c.value * torch.tensor([1.05, 1, 1, 1]).double())
    found = law(loaded.topology.linear_sde(bent)) / loaded.scales.voltage_volt**2
    exact = KAPPA * np.linalg.inv(spu_matrix(4, 1))
    assert np.abs(found - exact).max() > 5e-3 * np.abs(exact).max()


@pytest.mark.parametrize("hardware", ["ideal", "tolerances"])
@pytest.mark.parametrize("n", [2, 5])
def test_closed_form_and_netlist(n: int, hardware: str) -> None:
    """Same transfer functions and the same stationary law; the netlist's states are other ones."""
    document = {
        "name": "x", "resistors": {"tolerance_dtod": 0.02}, "capacitors": {"tolerance_dtod": 0.03},
        "inductors": {"tolerance_dtod": 0.05},
    }  # fmt: skip
    loaded = load(spu_matrix(n, 2), presets.ideal() if hardware == "ideal" else HardwareSpec.from_dict(document))
    mine, circuit = loaded.linear_sde(), state_equations(loaded.netlist()).sde
    for s in (1e5 + 1e5j, 3e6j, 2e7 + 1e6j):
        assert response(mine, s) == pytest.approx(response(circuit, s), rel=1e-9, abs=1e-9 * 1e3)
    np.testing.assert_allclose(law(circuit), law(mine), rtol=1e-7, atol=1e-9 * np.abs(law(mine)).max())


def response(sde: LinearSDE, s: complex) -> np.ndarray:
    """C (sI - F)^-1 E + D of the sources (the constant input left out)."""
    F, E, C, D = (np.asarray(m) for m in (sde.F, sde.E, sde.C, sde.D))
    return (C @ np.linalg.solve(s * np.eye(len(F)) - F, E) + D)[:, :-1]


def test_start() -> None:
    """Held voltages, then a free oscillation; the netlist and the closed form from the same x0."""
    loaded = load(kappa=0.0)
    times = np.linspace(0, 10 * loaded.tau, 7)
    runs = []
    for name in ("state_space", "behavioral"):
        engine = tngd.engines.find_engine(name)
        _, run = engine.run(engine.init(loaded), duration=10 * loaded.tau, x0=[1.0, -0.5, 0.25], times_s=times)
        runs.append(run.voltage_volt.numpy())
    np.testing.assert_allclose(runs[0][0], loaded.scales.voltage_volt * np.array([1.0, -0.5, 0.25]), rtol=1e-12)
    np.testing.assert_allclose(runs[0], runs[1], atol=1e-11)
    assert np.abs(runs[0][-1]).max() > 1e-3  # still ringing


def test_an_m_matrix_that_is_not_dominant_is_scaled() -> None:
    """Row 0 sums to -0.5; D ~ A^-1 1 makes the row sums of D A D proportional to D; the largest entry stays 4."""
    matrix = np.array([[1.0, -1.5], [-1.5, 4.0]])
    loaded = load(matrix)
    D = np.asarray(loaded.scaling)
    inverse_sums = np.linalg.solve(matrix, np.ones(2))
    np.testing.assert_allclose(D / D[0], inverse_sums / inverse_sums[0], rtol=1e-12)
    rows = (D[:, None] * matrix * D).sum(1)
    np.testing.assert_allclose(rows / rows[0], D / D[0], rtol=1e-12)
    assert np.diag(D[:, None] * matrix * D).max() == pytest.approx(4.0, rel=1e-12)
    assert loaded.report.scaled
    estimate = tngd.inverse(matrix)
    np.testing.assert_allclose(estimate.value, np.linalg.inv(matrix), rtol=1e-8)


@pytest.mark.parametrize("engine", ["ideal", "behavioral", "state_space"])
def test_inverse_in_one_call(engine: str) -> None:
    estimate = tngd.inverse(A, engine=engine)
    assert estimate.outcome is Outcome.OK
    np.testing.assert_allclose(estimate.value, np.linalg.inv(A), rtol=1e-8)
    assert float(estimate.stderr.max()) == 0


def test_inverse_by_sampling_has_the_error_that_it_says() -> None:
    tau = load().tau
    estimate = tngd.inverse(A, engine="behavioral", duration=20_000 * tau, samples=8_000, seed=5)
    pulls = ((estimate.value - torch.from_numpy(np.linalg.inv(A))) / estimate.stderr).numpy()
    assert np.sqrt((pulls**2).mean()) < 2
    assert np.abs(pulls).max() < 4
    assert float(estimate.stderr.max()) < 0.05
    wrong = ((estimate.value - torch.from_numpy(np.linalg.inv(A)) * 1.25) / estimate.stderr).numpy()
    assert np.abs(wrong).max() > 4


def test_refused_as_a_solver() -> None:
    with pytest.raises(MisuseError, match=r"'rlc_spu': it gives no solution .*short direct current.*use .*integrator"):
        tngd.solve(A, [1.0, 0.0, 0.0], topology="rlc_spu")


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        ([[1.0, -0.5], [-0.4, 1.0]], r"A\[0, 1\] = -0.5 and A\[1, 0\] = -0.4: capacitors are symmetric"),
        ([[1.0, 0.25], [0.25, 1.0]], r"A\[0, 1\] = 0.25 is above 0.*use integrator or gm_c"),
    ],
)
def test_what_capacitors_cannot_hold(matrix: list[list[float]], sentence: str) -> None:
    status = load(matrix).status
    assert status.outcome is Outcome.NOT_REALIZABLE
    with pytest.raises(AssertionError, match=sentence):
        raise AssertionError(str(status))


def test_stray_capacitance_is_the_least_to_ground() -> None:
    """c0 = 0.5 nF: row 0 has 0.25 nF to ground; a stray of 0.3 nF cannot be taken away."""
    spec = HardwareSpec.from_dict({"name": "x", "capacitors": {"stray_farad": "300p"}})
    status = load(A, spec).status
    assert status.outcome is Outcome.NOT_REALIZABLE
    assert "row 0 by 0.1 with a stray capacitance of 0.6" in status.detail
    assert load(A, HardwareSpec.from_dict({"name": "x", "capacitors": {"stray_farad": "200p"}})).status.ok


def test_unstable_and_singular_matrices() -> None:
    assert load([[1.0, -2.0], [-2.0, 1.0]]).status.outcome is Outcome.UNSTABLE
    assert load([[1.0, -1.0], [-1.0, 1.0]]).status.outcome is Outcome.SINGULAR


def test_inverse_of_what_cannot_be_held_is_an_outcome() -> None:
    estimate = tngd.inverse([[1.0, 0.25], [0.25, 1.0]])
    assert estimate.outcome is Outcome.NOT_REALIZABLE
    assert bool(estimate.value.isnan().all())


def test_noise_is_needed() -> None:
    with pytest.raises(MisuseError, match="kappa = 0"):
        tngd.inverse(A, kappa=0.0)


def test_batch_of_chips() -> None:
    spec = HardwareSpec.from_dict({"name": "x", "capacitors": {"tolerance_dtod": 0.03}})
    chips = program(manufacture("rlc_spu", 3, spec, seed=1, chips=4), LinearProblem(A), kappa=KAPPA)
    batch = chips.linear_sde()
    for k in range(4):
        np.testing.assert_allclose(law_of(batch, k), law(chips.select(k).linear_sde()), rtol=1e-12)


def law_of(sde: LinearSDE, k: int) -> np.ndarray:
    return law(LinearSDE(sde.F[k], None, sde.B[k], sde.C))


def test_reports() -> None:
    loaded = load()
    report, design = loaded.report, loaded.design_report
    assert report.component_unit == "farad"
    assert report.component_range == (pytest.approx(0.25e-9), pytest.approx(0.5e-9))
    assert (report.matrix_components, report.amplifiers, report.expected_loss) == (5, 0, None)
    # Every mode decays with R C_mode, so the slowest margin is half of 1/(tau mu_max) or slower; Q = R sqrt(C/L).
    mu = np.linalg.eigvalsh(A)
    assert design.margin_per_tau == pytest.approx(1 / (2 * mu.max()), rel=1e-9)
    assert design.damping_ratio == pytest.approx(math.sqrt(1e-5 / (0.5e-9 * mu.max())) / (2 * 1e3), rel=1e-9)


def test_preconditioning_is_allowed() -> None:
    problem = LinearProblem(A)
    loaded = program(
        manufacture("rlc_spu", 3, presets.ideal()), problem, kappa=KAPPA, preconditioning=Preconditioning.UNIT_DIAGONAL
    )
    np.testing.assert_allclose(torch.diagonal(loaded.mapped.dense_matrix()), 1.0, rtol=1e-12)
