"""The same dies with the same problem in the same scales, made of other hardware: what an effect does by itself."""

from __future__ import annotations

from dataclasses import replace

from tngd_hw.hardware import Chip, HardwareSpec, draw_chip
from tngd_hw.outcome import OutcomeError
from tngd_hw.topologies import LoadedChip
from tngd_hw.topologies.base import with_ranges

__all__ = ["with_hardware"]


def with_hardware(loaded: LoadedChip, hardware: HardwareSpec) -> LoadedChip:
    """``loaded`` as it would be if its dies were made of ``hardware``.

    Every draw that both have is the same, since each quantity has a stream of its own, and g0, v0, the scaling and the
    seeds are those of ``loaded``: answers of the two may be subtracted.

    Raises:
        OutcomeError: The matrix does not fit.
    """
    if loaded.programmed is None:
        raise OutcomeError(loaded.status)
    design = replace(loaded.design, hardware=hardware)
    nominal = with_ranges(loaded.topology, loaded.topology.elements(loaded.mapped, design), hardware)
    chip = _same_dies(loaded.chip, hardware)
    return replace(loaded, chip=chip, design=design, programmed=chip.realise(nominal, seed=loaded.programming_seed))


def _same_dies(chip: Chip, hardware: HardwareSpec) -> Chip:
    def drawn(chips: int | None) -> Chip:
        return draw_chip(chip.topology, chip.layout, hardware, seed=chip.seed, chips=chips, built=chip.inventory)

    if chip.chips is not None or chip.number == 0:
        return drawn(chip.chips)
    return drawn(chip.number + 1).select(chip.number)
