"""DAC and ADC: levels, clipping, the laws of their errors, the channels of a die, the same drive in every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tngd_hw import LinearProblem, MisuseError, Outcome, manufacture, presets, program
from tngd_hw.engines import Engine, find_engine
from tngd_hw.hardware import Adc, Chip, Dac, HardwareSpec, Range, Role, quantised
from tngd_hw.topologies import LoadedChip

A = np.array([[2.0, 0.3, -0.2], [0.1, 1.5, 0.4], [-0.3, 0.2, 1.0]])
M = np.array([[2.0, -0.3, -0.2], [-0.3, 1.5, -0.1], [-0.2, -0.1, 1.0]])
B = np.array([1.0, -0.5, 0.25])
FIXED = Range.FIXED


def built(dac: Dac, topology: str = "integrator", chips: int | None = None, matrix: np.ndarray = A) -> LoadedChip:
    hardware = presets.ideal().changed({"dac": dac})
    return program(manufacture(topology, 3, hardware, seed=11, chips=chips), LinearProblem(matrix, B))


def row(values: list[float]) -> Tensor:
    """One chip, one sample, one right-hand side."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, -1, 1)


def test_mid_tread_levels_of_twos_complement() -> None:
    """3 bits of 4 V: -4 ... 3 V in steps of 1 V, ties upwards, no level at +4 V."""
    volt = torch.tensor([-9.0, -4.4, -0.51, -0.5, 0.49, 0.5, 2.49, 2.5, 3.6, 4.0], dtype=torch.float64)
    assert quantised(volt, 3, 4.0).tolist() == [-4, -4, -1, 0, 0, 1, 2, 3, 3, 3]
    assert quantised(volt, None, 4.0).tolist() == [-4, -4, *volt[2:].tolist()]
    assert quantised(torch.zeros(2, dtype=torch.float64), 8, 0.0).tolist() == [0.0, 0.0]


def test_error_is_uniform_with_variance_of_a_twelfth() -> None:
    """Var(e^2) = D^4/180: within 4 standard errors of D^2/12, and 5 % more is not."""
    step = 2 / 2**6
    volt = torch.from_numpy(np.random.default_rng(1).uniform(-1 - step / 2, 1 - step / 2, 200_000))
    error = (quantised(volt, 6, 1.0) - volt) / step
    tolerance = 4 / np.sqrt(180 * len(volt))
    found = float(error.square().mean())
    assert abs(found - 1 / 12) < tolerance
    assert not abs(1.05 * found - 1 / 12) < tolerance
    assert abs(float(error.mean())) < 4 / np.sqrt(12 * len(volt))
    assert -0.5 <= float(error.min()) < -0.499
    assert 0.499 < float(error.max()) <= 0.5


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_signal_to_noise_of_a_sine_over_the_whole_range(bits: int) -> None:
    """6.02 N + 1.76 dB; a bit more or less is 6 dB away, and at 8 bits the error still follows the sine a little."""
    step = 2.0 / 2**bits
    sine = (1 - 1e-9) * torch.sin(2 * np.pi * np.sqrt(2) * torch.arange(200_000, dtype=torch.float64))
    error = quantised(sine - step / 2, bits, 1.0) - (sine - step / 2)
    ratio = 10 * np.log10(0.5 / float(error.square().mean()))
    assert abs(ratio - (6.02 * bits + 1.76)) < 0.15


def test_calibrated_range_puts_the_largest_value_on_the_highest_level() -> None:
    """3 bits: D = max/3, for every chip and right-hand side by itself; 0 stays 0."""
    volt = torch.tensor([[[[0.6, 30.0], [-0.29, -2.0], [0.0, 0.0]]]], dtype=torch.float64)
    out, lost = Dac(bits=3).output(volt, {}, None)
    np.testing.assert_allclose(out[0, 0].mT, [[0.6, -0.2, 0.0], [30.0, 0.0, 0.0]], rtol=1e-15)
    assert lost.tolist() == [0.0]
    negative, _ = Dac(bits=3).output(-volt, {}, None)
    np.testing.assert_allclose(negative, -out, rtol=1e-15)
    several = torch.cat([volt, 5 * volt])
    np.testing.assert_allclose(Dac(bits=3).output(several, {}, None)[0][1], 5 * out[0], rtol=1e-15)


@pytest.mark.parametrize(("bits", "share"), [(4, 0.5), (None, 0.5), (10, 0.75)])
def test_share_clipped(bits: int | None, share: float) -> None:
    """4 bits of 1 V: the highest level is 0.875 V and takes values to 0.9375 V, the lowest -1 V and to -1.0625 V."""
    volt = row([0.97, -1.01, 2.0, 0.1]) if bits == 4 else row([0.99, -1.01, 2.0, 0.1])
    volt = row([0.9996, -1.01, 2.0, 0.1]) if bits == 10 else volt
    assert Dac(bits=bits, range=FIXED, range_volt=1.0).output(volt, {}, None)[1].tolist() == [share]
    assert Adc(bits=bits, range=FIXED, range_volt=1.0).reading(volt, {}, None)[1].tolist() == [share]


def test_bow_between_the_end_points() -> None:
    """Second order: largest in the middle; third: 1 at 1/sqrt(3), odd; in steps; 0 at the outer levels."""
    step = 2.0 / 2**10
    levels = step * torch.arange(-512, 512, dtype=torch.float64)
    c = np.linspace(-1, 1, 1024)
    part = Dac(bits=10, range=FIXED, range_volt=1.0, inl_lsb_dtod=1.0)
    for bows, expected in (
        ((2.0, 0.0), 2 * (1 - c**2)),
        ((0.0, -3.0), -3 * 1.5 * np.sqrt(3) * c * (1 - c**2)),
    ):
        one = {
            name: {Role.DAC: torch.full((1, 1), z, dtype=torch.float64)}
            for name, z in zip(("bow2", "bow3"), bows, strict=True)
        }
        out = torch.stack([part.output(v.reshape(1, 1, 1, 1), one, None)[0].squeeze() for v in levels])
        np.testing.assert_allclose((out - levels) / step, expected, rtol=0, atol=1e-9)
        assert np.abs(expected).max() == pytest.approx(sum(map(abs, bows)), rel=1e-5)


def test_adc_has_gain_and_offset_before_its_levels() -> None:
    """1.1 * 0.4 + 0.07 = 0.51 V of 8 levels in 2 V: 0.5 V; without levels 0.51 V."""
    draws = {
        "gain": {Role.ADC: torch.tensor([[0.1], [9.0]], dtype=torch.float64)},
        "offset": {Role.ADC: torch.tensor([[0.07], [9.0]], dtype=torch.float64)},
    }
    assert Adc().reading(row([0.4]), draws, None)[0].item() == pytest.approx(0.51, rel=1e-14)
    assert Adc(bits=3, range=FIXED).reading(row([0.4]), draws, None)[0].item() == 0.5
    noise = row([-2.0])
    assert Adc(noise_volt_std=0.01).reading(row([0.4]), draws, noise)[0].item() == pytest.approx(0.49, rel=1e-14)


def exact_with(loaded: LoadedChip, per_volt: float) -> np.ndarray:
    """A^-1 ((1 + g) b + o/(volt a unit of b)), from the draws of a single die; its last channel is not used."""
    drawn = loaded.chip.deviations["dac"]
    gain, offset = (drawn[name][Role.DAC].numpy()[:3, 0] for name in ("gain", "offset"))
    matrix, b = loaded.problem.dense_matrix().numpy(), loaded.problem.b
    assert b is not None
    return np.linalg.solve(matrix, (1 + gain) * b.numpy() + offset / (per_volt * loaded.scales.voltage_volt))


ERRORS = Dac(gain_dtod=0.02, offset_volt_dtod=0.01)


@pytest.mark.parametrize("engine", ["behavioral", "state_space", pytest.param("ngspice", marks=pytest.mark.ngspice)])
@pytest.mark.parametrize(("topology", "matrix"), [("integrator", A), ("gm_c", A), ("passive_rc", M)])
def test_gain_and_offset_in_every_engine(engine: str, topology: str, matrix: np.ndarray) -> None:
    """Voltage sources have the offset themselves; currents come from a converter of |input_gain| siemens."""
    loaded = built(ERRORS, topology, matrix=matrix)
    runner: Engine = find_engine(engine)
    _, run = runner.run(runner.init(loaded), duration=60 * loaded.tau)
    sign = np.sign(loaded.scales.input_gain)
    per_volt = sign if topology == "passive_rc" else loaded.scales.input_gain
    found = loaded.unknowns(run.final_volt)
    np.testing.assert_allclose(found, exact_with(loaded, per_volt), rtol=0, atol=1e-6)
    assert np.abs(found.numpy() - np.linalg.solve(matrix, B)).max() > 5e-3


def test_ideal_engine_has_no_converters() -> None:
    loaded = built(ERRORS)
    ideal = find_engine("ideal")
    _, run = ideal.run(ideal.init(loaded), duration=60 * loaded.tau)
    np.testing.assert_allclose(loaded.unknowns(run.final_volt), np.linalg.solve(A, B), rtol=1e-10)
    assert loaded.planned_drive().inputs.tolist() != loaded.drive().inputs.tolist()


FULL = Dac(bits=8, gain_dtod=0.02, offset_volt_dtod=0.01, inl_lsb_dtod=1.0, noise_volt_std=1e-3)


@pytest.mark.parametrize("engine", ["behavioral", "state_space"])
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_a_die_alone_is_the_die_in_a_batch(engine: str, shape: tuple[int, ...]) -> None:
    """As many chips as nodes, so that no axis can be taken for another."""
    loaded, runner = built(FULL, chips=3), find_engine(engine)
    b, x0 = np.random.default_rng(2).normal(size=(2, *shape))
    _, together = runner.run(runner.init(loaded), duration=2 * loaded.tau, b=b, x0=x0, seed=5)
    for k in range(3):
        die = loaded.select(k)
        _, alone = runner.run(runner.init(die), duration=2 * loaded.tau, b=b, x0=x0, seed=5)
        np.testing.assert_allclose(together.voltage_volt[k], alone.voltage_volt, rtol=0, atol=1e-14)
    assert float(together.voltage_volt.std(0).max()) > 1e-4
    if len(shape) == 2:  # the first right-hand side alone
        _, first = runner.run(runner.init(loaded), duration=2 * loaded.tau, b=b[:, 0], x0=x0[:, 0], seed=5)
        np.testing.assert_allclose(together.voltage_volt[..., 0], first.voltage_volt, rtol=0, atol=1e-14)


def test_levels_alone_are_one_drive_for_all_chips() -> None:
    drive = built(Dac(bits=4), chips=3).drive(x0=[0.1, 0.2, -0.7])
    assert not drive.per_chip
    assert drive.inputs.shape == (3,)
    per_chip = built(ERRORS, chips=3).drive(b=np.ones((3, 5)))
    assert per_chip.per_chip
    assert (per_chip.inputs.shape, per_chip.columns, per_chip.node_axis) == ((3, 3, 5), 5, -2)


def test_noise_is_drawn_at_every_drive() -> None:
    """By the seed of the run, with the standard deviation asked for: 6,000 values, 4 standard errors; 5 % shows."""
    loaded = built(Dac(noise_volt_std=1e-3))
    b = np.zeros((3, 6000))
    noise = loaded.drive(b, seed=3).inputs
    ratio = float(noise.square().mean()) / 1e-6
    assert abs(ratio - 1) < 4 * np.sqrt(2 / noise.numel())
    assert not abs(1.05**2 * ratio - 1) < 4 * np.sqrt(2 / noise.numel())
    assert torch.equal(loaded.drive(b, seed=3).inputs, noise)
    assert not torch.equal(loaded.drive(b, seed=4).inputs, noise)
    assert torch.equal(loaded.drive(b, seed=3).initial_volt, torch.zeros_like(noise))  # rest is loaded by no DAC
    runner = find_engine("behavioral")
    paths = [runner.run(runner.init(loaded), duration=loaded.tau, seed=seed)[1].final_volt for seed in (0, 1)]
    assert not torch.equal(*paths)


def test_start_is_loaded_by_the_dac() -> None:
    """4 bits, calibrated: -0.7 on the lowest used level, steps of 0.1."""
    loaded = built(Dac(bits=4))
    volt = loaded.drive(x0=[0.12, 0.26, -0.7]).initial_volt / loaded.scales.voltage_volt
    np.testing.assert_allclose(volt, [0.1, 0.3, -0.7], rtol=1e-14)


def deviations(chip: Chip, part: str, quantity: str) -> Tensor:
    return next(iter(chip.deviations[part][quantity].values()))


def test_no_draw_moves_another() -> None:
    few = manufacture("integrator", 4, presets.ideal().changed({"dac": ERRORS}), seed=3, chips=2)
    parts = {"dac": FULL, "adc": Adc(bits=6, gain_dtod=0.1, inl_lsb_dtod=1.0, skew_s_dtod=1e-9, offset_volt_dtod=1e-3)}
    many = manufacture("integrator", 4, presets.ideal().changed(parts), seed=3, chips=5)
    for quantity in ("gain", "offset"):
        assert torch.equal(deviations(few, "dac", quantity), deviations(many, "dac", quantity)[:2])
        assert deviations(many, "dac", quantity).shape == (5, 4, 1)
    found = [deviations(many, "dac", "gain") / 0.02, deviations(many, "adc", "gain") / 0.1]
    found += [deviations(many, "adc", name) for name in ("bow2", "bow3")]
    found += [deviations(many, "adc", "skew") / 1e-9, deviations(many, "adc", "offset") / 1e-3]
    for i, one in enumerate(found):
        for two in found[:i]:
            assert float((one - two).abs().min()) > 1e-9
    resistors = presets.pcb_1k_1n()
    plain, converted = (manufacture("integrator", 4, h, seed=3) for h in (resistors, resistors.changed(parts)))
    assert torch.equal(deviations(plain, "resistors", "tolerance"), deviations(converted, "resistors", "tolerance"))


def test_spread_of_channels() -> None:
    chip = manufacture("integrator", 50, presets.ideal().changed({"dac": ERRORS}), chips=200)
    for quantity, sigma in (("gain", 0.02), ("offset", 0.01)):
        ratio = float(deviations(chip, "dac", quantity).square().mean()) / sigma**2
        assert abs(ratio - 1) < 4 * np.sqrt(2 / 10_000)
        assert not abs(1.05**2 * ratio - 1) < 4 * np.sqrt(2 / 10_000)


def test_clipping_is_said_by_the_run() -> None:
    """Two of three values are beyond 0.1 V."""
    loaded = built(Dac(range=FIXED, range_volt=0.1), "gm_c", chips=2)
    sources = loaded.planned_drive().inputs.abs()
    assert int((sources > 0.1).sum()) == 2
    for name in ("behavioral", "state_space"):
        runner = find_engine(name)
        _, run = runner.run(runner.init(loaded), duration=loaded.tau)
        assert [status.outcome for status in run.statuses] == [Outcome.SATURATED] * 2
        assert "the DAC clipped 0.667 of the values of this drive to its range of 0.1 V" in str(run.status)
        assert "raise dac.range_volt" in str(run.status)
    assert float(loaded.drive().inputs.abs().max()) == pytest.approx(0.1)


def test_effects_one_by_one() -> None:
    spec = presets.ideal().changed({"dac": FULL, "adc": Adc(bits=6, range=FIXED, jitter_s_std=1e-9, aperture_s=1e-8)})
    assert set(spec.effects()) >= {
        "dac.levels", "dac.gain", "dac.offset", "dac.noise", "adc.levels", "adc.range", "adc.jitter", "adc.aperture",
    }  # fmt: skip
    assert spec.only("dac.gain").dac == Dac(gain_dtod=0.02)
    assert spec.only("dac.levels").dac == Dac(bits=8, inl_lsb_dtod=1.0)
    assert spec.without("dac").dac == Dac()
    assert spec.without("adc.levels", "adc.jitter").adc == Adc(range=FIXED, aperture_s=1e-8)
    assert HardwareSpec.from_dict(spec.to_dict()) == spec
    assert Dac().effects() == Adc().effects() == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"bits": 0}, r"hardware\.dac\.bits = 0: .*greater than or equal to 2"),
        ({"bits": 1}, r"hardware\.dac\.bits = 1: .*greater than or equal to 2"),
        ({"bits": 65}, r"hardware\.dac\.bits = 65: .*less than or equal to 32"),
        ({"range": "auto"}, r"hardware\.dac\.range = 'auto': .*'calibrated' or 'fixed'"),
        ({"range_volt": 0.0}, r"hardware\.dac\.range_volt = 0.0: .*greater than 0"),
        ({"range_volt": "1 A"}, r"range_volt = '1 A': unit 'A' where volt is expected"),
        ({"inl_lsb_dtod": 0.5}, r"hardware\.dac = .*inl_lsb_dtod = 0.5: it is counted in steps; give bits"),
        ({"gain_dtod": -0.1}, r"hardware\.dac\.gain_dtod = -0.1: .*greater than or equal to 0"),
        ({"aperture_s": 1e-9}, r"hardware\.dac\.aperture_s = 1e-09: unknown key"),
    ],
)
def test_misuse(fields: dict[str, object], says: str) -> None:
    with pytest.raises(MisuseError, match=says):
        HardwareSpec.from_dict({"name": "x", "dac": fields})
