r"""The paper's timing model: how long one TNGD update takes on hardware that nobody has built yet.

    time = digital + upload + gradient + analog + readout

    digital     gradient, J and H on the digital computer: measured, or twice an Adam step (the paper's Fig. 3)
    upload      q R / B,   R = b d_z (b d_z + 2 N) programmable resistors of J, H and J^T
    gradient    q N / B,   to the DACs
    analog      t = k tau, tau = R C
    readout     M q N / B, from the ADCs

with q = 16 bits a value, a link of B = 50 Gb/s, tau = 1 kOhm x 1 nF = 1 us.  Nothing overlaps.  As in the paper, the
time to program a device and the latency of converters are left out, so every number is a lower bound.

Two designs that the paper does not count make the upload shorter: H is block-diagonal for losses that are sums over
samples (b d_z^2 entries for (b d_z)^2), and J and J^T hold the same numbers, which one array that is driven from both
sides would hold once.

Source: arXiv 2405.13817, App. C (procedure and assumptions) and App. E (twice Adam).
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

from tngd_hw.outcome import MisuseError

__all__ = ["PAPER_DIGITAL_RATIO", "HessianArray", "JacobianArrays", "TimingModel", "UpdateSize", "UpdateTime"]

PAPER_DIGITAL_RATIO: Final = 2.0
"""Digital part of a TNGD update over an Adam step, as the paper assumes on a GPU for its Fig. 3."""


class HessianArray(enum.Enum):
    """What the array of H stores.

    DENSE: (b d_z)^2 entries, as the paper counts.
    BLOCK_DIAGONAL: a block d_z x d_z a sample, b d_z^2 entries.
    """

    DENSE = "dense"
    BLOCK_DIAGONAL = "block-diagonal"


class JacobianArrays(enum.Enum):
    """Where J and J^T are stored.

    TWO: an array each, as the paper counts.
    ONE_BIDIRECTIONAL: one array, read along its rows and along its columns.
    """

    TWO = "two"
    ONE_BIDIRECTIONAL = "one bidirectional"


@dataclass(frozen=True)
class UpdateSize:
    """What is solved in one update.

    Attributes:
        parameters: N.
        batch_size: b, samples a batch.
        outputs: d_z, outputs of the network a sample.

    Raises:
        MisuseError: A number below 1.
    """

    parameters: int
    batch_size: int
    outputs: int

    def __post_init__(self) -> None:
        for name in ("parameters", "batch_size", "outputs"):
            if getattr(self, name) < 1:
                raise MisuseError(f"{name} = {getattr(self, name)!r}: give 1 or more")

    @property
    def rows(self) -> int:
        """b d_z, the rows of J."""
        return self.batch_size * self.outputs


@dataclass(frozen=True)
class UpdateTime:
    """The time of one update by its parts, in seconds.

    Attributes:
        digital_s: Gradient, Jacobian and loss Hessian on the digital computer.
        upload_s: The resistors' values over the link.
        gradient_s: The gradient over the link.
        analog_s: The relaxation.
        readout_s: The answers over the link.
    """

    digital_s: float
    upload_s: float
    gradient_s: float
    analog_s: float
    readout_s: float

    @property
    def device_s(self) -> float:
        """All that is not digital computing."""
        return self.upload_s + self.gradient_s + self.analog_s + self.readout_s

    @property
    def total_s(self) -> float:
        """The whole update, nothing overlapping."""
        return self.digital_s + self.device_s


@dataclass(frozen=True)
class TimingModel:
    """The device's side of an update; the defaults are the paper's.

    Attributes:
        bits: q, of a conductance, an input and an answer.
        link_bit_per_s: B, between the digital computer and the device.
        tau_s: R C.
        hessian: What the array of H stores.
        jacobian: Whether J and J^T are two arrays.

    Raises:
        MisuseError: A number out of range.
    """

    bits: int = 16
    link_bit_per_s: float = 50e9
    tau_s: float = 1e-6
    hessian: HessianArray = HessianArray.DENSE
    jacobian: JacobianArrays = JacobianArrays.TWO

    def __post_init__(self) -> None:
        if self.bits < 1:
            raise MisuseError(f"bits = {self.bits!r}: give 1 or more")
        for name in ("link_bit_per_s", "tau_s"):
            _check(name, getattr(self, name), above=True)

    def resistors(self, size: UpdateSize) -> int:
        """Programmable resistors written in every update: b d_z (b d_z + 2 N) with the defaults."""
        dense = self.hessian is HessianArray.DENSE
        hessian = size.rows * (size.rows if dense else size.outputs)
        arrays = 2 if self.jacobian is JacobianArrays.TWO else 1
        return hessian + arrays * size.rows * size.parameters

    def update(self, size: UpdateSize, *, digital_s: float, duration_tau: float, readouts: int = 1) -> UpdateTime:
        """The time of one update.

        Args:
            size: Parameters, batch, outputs.
            digital_s: Seconds for gradient, J and H: measured, or ``PAPER_DIGITAL_RATIO`` times those of Adam.
            duration_tau: Analog time t from start to last readout, in tau.
            readouts: Number M of readouts that are sent back.

        Raises:
            MisuseError: A time below 0 or not finite, a count below 1.
        """
        _check("digital_s", digital_s)
        _check("duration_tau", duration_tau)
        if readouts < 1:
            raise MisuseError(f"readouts = {readouts!r}: give 1 or more")
        vector_s = self._link_s(size.parameters)
        return UpdateTime(
            digital_s=digital_s,
            upload_s=self._link_s(self.resistors(size)),
            gradient_s=vector_s,
            analog_s=duration_tau * self.tau_s,
            readout_s=readouts * vector_s,
        )

    def _link_s(self, values: int) -> float:
        return self.bits * values / self.link_bit_per_s


def _check(name: str, value: float, *, above: bool = False) -> None:
    if not math.isfinite(value) or value < 0 or (above and value == 0):
        raise MisuseError(f"{name} = {value!r}: expected a finite number{' above 0' if above else ', 0 or more'}")
