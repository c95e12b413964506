"""Two descriptions of one circuit, compared by what can be measured at its ports: their states may be other ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from ngspice_runs import plots
from scipy.linalg import expm, solve_continuous_lyapunov

from tngd_hw.engines import Ngspice, find_engine
from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import NoiseSweep, state_equations, write_deck
from tngd_hw.topologies import LoadedChip

__all__ = [
    "chips_are_single_chips",
    "closed_form_is_the_netlist",
    "covariance",
    "noise_is_that_of_ngspice",
    "spice_differences",
    "transfer",
]

Array = npt.NDArray[np.float64]


def transfer(sde: LinearSDE, s: complex) -> npt.NDArray[np.complex128]:
    """C (s I - F)^-1 E + D."""
    F, E, C, D = (matrix.numpy() for matrix in (sde.F, sde.E, sde.C, sde.D))
    return C @ np.linalg.solve(s * np.eye(len(F)) - F, E.astype(np.complex128)) + D


def covariance(sde: LinearSDE) -> Array:
    """Stationary covariance of the outputs, by scipy's Lyapunov solver in a unit of time that suits F."""
    F, B, C = (matrix.numpy() for matrix in (sde.F, sde.B, sde.C))
    rate = np.abs(F).max()
    return C @ solve_continuous_lyapunov(F / rate, -B @ B.T / rate) @ C.T


def step(sde: LinearSDE, start: Array, u: Array, time_s: float) -> Array:
    """Outputs at ``time_s`` from the state ``start`` under constant inputs, by one matrix exponential."""
    F, E, C, D = (matrix.numpy() for matrix in (sde.F, sde.E, sde.C, sde.D))
    n = len(F)
    joint = np.zeros((n + 1, n + 1))
    joint[:n, :n], joint[:n, n] = F, E @ u
    return C @ (expm(joint * time_s) @ np.append(start, 1.0))[:n] + D @ u


def closed_form_is_the_netlist(loaded: LoadedChip, tolerance: float = 1e-9) -> None:
    """Transfer functions at complex frequencies, steps from an initial state, covariance under the injected noise."""
    rng = np.random.default_rng(5)
    drive = loaded.drive(rng.normal(size=loaded.n), rng.normal(size=loaded.n))
    found = state_equations(loaded.netlist(drive))
    mine, theirs = loaded.linear_sde(), found.sde
    assert mine.input_names == theirs.input_names
    assert mine.output_names == theirs.output_names
    for s in (0.02, 0.3 + 1.0j, 4j, 50 + 20j):
        one, two = transfer(mine, s / loaded.tau), transfer(theirs, s / loaded.tau)
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * np.abs(two).max())
    u = np.append(drive.inputs.numpy(), 1.0)
    start = loaded.topology.initial_state(loaded.elements, drive.initial_volt).numpy()
    for time_tau in (0.0, 0.1, 2.0, 30.0):
        one = step(mine, start, u, time_tau * loaded.tau)
        two = step(theirs, found.initial_state.numpy(), u, time_tau * loaded.tau)
        np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * np.abs(two).max())
    assert loaded.kappa > 0
    one, two = covariance(mine), covariance(theirs)
    np.testing.assert_allclose(one, two, rtol=0, atol=tolerance * np.abs(two).max())


def chips_are_single_chips(batch: LoadedChip) -> None:
    """The closed form of a batch is that of its dies, one at a time; so are the starts."""
    F, E, B, C = (m.expand(batch.chip.chips or 1, *m.shape[-2:]) for m in batch.linear_sde().matrices[:4])
    volt = batch.drive(x0=np.arange(1.0, batch.n + 1)).initial_volt
    for k in range(batch.chip.chips or 1):
        die = batch.select(k)
        for together, alone in zip((F, E, B, C), die.linear_sde().matrices[:4], strict=True):
            np.testing.assert_allclose(together[k], alone, rtol=1e-14, atol=0)
        start = batch.topology.initial_state(batch.elements, volt)
        start = start[k] if start.ndim > 1 else start
        np.testing.assert_allclose(start, die.topology.initial_state(die.elements, volt), rtol=1e-14, atol=0)


def spice_differences(loaded: LoadedChip, duration_tau: float, x0: Array | None = None) -> tuple[float, float]:
    """ngspice less state_space along the path and at the end, over the largest voltage of the path, without noise."""
    quiet = replace(loaded, kappa=0.0)
    spice, exact, duration = Ngspice(), find_engine("state_space"), duration_tau * loaded.tau
    _, found = spice.run(spice.init(quiet), duration=duration, x0=x0)
    assert found.status.ok, found.status
    _, expected = exact.run(exact.init(quiet), duration=duration, x0=x0, times_s=found.times_s.clamp(max=duration))
    difference = (found.voltage_volt - expected.voltage_volt).abs()
    scale = expected.voltage_volt.abs().max()
    return float(difference.max() / scale), float(difference[-1].max() / scale)


def noise_is_that_of_ngspice(loaded: LoadedChip, tolerance: float = 2e-3) -> None:
    """Variances of two outputs and of their difference against ngspice's integrated ``.noise`` (it gives the rms)."""
    sde, netlist = loaded.linear_sde(), loaded.netlist()
    rates = np.abs(np.linalg.eigvals(sde.F.numpy())) / (2 * np.pi)
    band = 1e-4 * float(rates.min()), 1e3 * float(rates.max())
    expected = covariance(sde)[:2, :2]
    for output, reference, weights in (("out0", None, (1, 0)), ("out1", None, (0, 1)), ("out0", "out1", (1, -1))):
        total = plots(write_deck(netlist, NoiseSweep(output, "in0", 40, *band, reference)))["total"]
        rms = float(total.values.real[0, total.names.index("v(onoise_total)")])
        projection = np.array(weights)
        assert rms**2 == pytest.approx(float(projection @ expected @ projection), rel=tolerance)
