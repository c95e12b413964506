"""The timing model against numbers worked out by hand from the paper's assumptions."""

import pytest

from tngd_hw.cost import PAPER_DIGITAL_RATIO, HessianArray, JacobianArrays, TimingModel, UpdateSize, UpdateTime
from tngd_hw.outcome import MisuseError

PAPER = TimingModel()


@pytest.mark.parametrize(
    ("parameters", "batch_size", "outputs", "resistors", "upload_s"),
    [
        (10_000, 64, 10, 1.32e7, 4.2e-3),
        (100_000, 64, 10, 1.28e8, 41e-3),
        (10_000, 32, 20, 1.32e7, 4.2e-3),  # only b d_z counts
        (100_000, 32, 20, 1.28e8, 41e-3),
        (75_000, 32, 768, 4.3e9, 1.4),
        (75_000, 32, 30_000, 1.07e12, 341.0),
    ],
)
def test_the_upload_has_the_sizes_of_the_papers_assumptions(parameters, batch_size, outputs, resistors, upload_s):
    size = UpdateSize(parameters, batch_size, outputs)
    assert PAPER.resistors(size) == pytest.approx(resistors, rel=0.01)
    assert PAPER.update(size, digital_s=0.0, duration_tau=0.0).upload_s == pytest.approx(upload_s, rel=0.02)


def test_every_part_by_hand_on_numbers_that_are_all_different():
    """b = 3, d_z = 5, N = 1000: 15 (15 + 2000) = 30,225 resistors; 8 bits at 2 Mb/s are 4 us a value."""
    model = TimingModel(bits=8, link_bit_per_s=2e6, tau_s=1e-5)
    found = model.update(UpdateSize(1000, 3, 5), digital_s=0.25, duration_tau=7.0, readouts=3)
    expected = UpdateTime(digital_s=0.25, upload_s=0.1209, gradient_s=4e-3, analog_s=7e-5, readout_s=12e-3)
    for part in ("digital_s", "upload_s", "gradient_s", "analog_s", "readout_s"):
        assert getattr(found, part) == pytest.approx(getattr(expected, part), rel=1e-12), part
    assert found.device_s == pytest.approx(0.13697, rel=1e-12)
    assert found.total_s == pytest.approx(0.38697, rel=1e-12)


@pytest.mark.parametrize(
    ("hessian", "jacobian", "resistors"),
    [
        (HessianArray.DENSE, JacobianArrays.TWO, 225 + 30_000),
        (HessianArray.BLOCK_DIAGONAL, JacobianArrays.TWO, 75 + 30_000),
        (HessianArray.DENSE, JacobianArrays.ONE_BIDIRECTIONAL, 225 + 15_000),
        (HessianArray.BLOCK_DIAGONAL, JacobianArrays.ONE_BIDIRECTIONAL, 75 + 15_000),
    ],
)
def test_other_designs_write_fewer_resistors(hessian, jacobian, resistors):
    assert TimingModel(hessian=hessian, jacobian=jacobian).resistors(UpdateSize(1000, 3, 5)) == resistors


def test_the_interface_and_not_the_physics_takes_the_devices_time():
    """t = 50 tau is 50 us, gradient and readout 6 to 64 us, the upload a hundred to a thousand times the relaxation."""
    for parameters, vectors_s in ((10_000, 6.4e-6), (100_000, 64e-6)):
        found = PAPER.update(UpdateSize(parameters, 64, 10), digital_s=0.0, duration_tau=50.0)
        assert found.analog_s == pytest.approx(50e-6)
        assert found.gradient_s + found.readout_s == pytest.approx(vectors_s)
        assert 80 < found.upload_s / found.analog_s < 1000


def test_the_paper_takes_twice_adam():
    assert PAPER_DIGITAL_RATIO == 2.0


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: UpdateSize(0, 1, 1), "parameters"),
        (lambda: UpdateSize(1, 1, -2), "outputs"),
        (lambda: TimingModel(bits=0), "bits"),
        (lambda: TimingModel(tau_s=0.0), "tau_s"),
        (lambda: TimingModel(link_bit_per_s=float("nan")), "link_bit_per_s"),
        (lambda: PAPER.update(UpdateSize(1, 1, 1), digital_s=-1.0, duration_tau=1.0), "digital_s"),
        (lambda: PAPER.update(UpdateSize(1, 1, 1), digital_s=1.0, duration_tau=float("inf")), "duration_tau"),
        (lambda: PAPER.update(UpdateSize(1, 1, 1), digital_s=1.0, duration_tau=1.0, readouts=0), "readouts"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(make, field):
    with pytest.raises(MisuseError, match=f"^{field} = "):
        make()
