"""Sections of the report about the circuit: how it computes, one solve, what noise did."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from tngd_hw.report.comparison import SettlingExample, TrainingComparison
from tngd_hw.report.markup import Html, fill, image, number, paragraph, percent, section, span
from tngd_hw.report.metrics import NoiseFacts
from tngd_hw.units import format_quantity

__all__ = ["circuit_section", "noise_section", "settling_section"]

_ROOM_KELVIN = 300.0


def circuit_section(comparison: TrainingComparison, picture: Path | None) -> Html:
    """What one cell is and why the array of them solves A y = b."""
    mapping = comparison.metrics["mapping"]
    how = fill(
        "Each unknown is the output voltage V<sub>i</sub> of one integrator. Resistors bring the currents "
        "g<sub>0</sub>A<sub>ij</sub>V<sub>j</sub> of all outputs to its summing node, one more resistor brings the "
        "input. The integrators drift until these currents cancel, and then, with the inputs set to "
        '<span class="f">V<sub>in</sub> = −(g<sub>0</sub>v<sub>0</sub>/g<sub>in</sub>) b</span>, the voltages are '
        '<b class="f">V = v<sub>0</sub> A<sup>−1</sup> b</b>. '
        "The circuit does not compute the answer, it "
        "comes to rest at it."
    )
    scales = fill(
        "Two scales are chosen at every step: g<sub>0</sub>, the conductance of a matrix entry of 1, and "
        "v<sub>0</sub>, the voltage of an answer of 1. At the last step g<sub>0</sub> = {g0} and "
        "v<sub>0</sub> = {v0}; the time unit is τ = C/g<sub>0</sub> = {tau}. Of the {resistors} array "
        "resistors {inverted} sit on the inverted rail.",
        g0=format_quantity(mapping["conductance_scale_siemens"], "siemens"),
        v0=format_quantity(mapping["voltage_scale_volt"], "volt"),
        tau=format_quantity(mapping["tau_s"], "s"),
        resistors=f"{mapping['matrix_components']:,}",
        inverted=f"{mapping['inverted_components']:,}",
    )
    return section("circuit", "What the circuit does", paragraph(how), _schematic(picture), paragraph(scales))


def _schematic(picture: Path | None) -> Html:
    if picture is None:
        return Html()
    caption = Html(
        "One of the cells. The amplifier on the left holds the summing node at zero volts and lets the current that "
        "arrives there charge C: that is the integrator. A resistance cannot be negative, so the amplifier on the "
        "right makes −V<sub>i</sub>, and negative entries of the matrix are resistors from that inverted rail."
    )
    return image(picture, "Schematic of one cell: summing resistors, integrator and inverting amplifier", caption)


def settling_section(comparison: TrainingComparison, picture: Path | None) -> Html:
    """One solve against time, and how close it came."""
    example = comparison.settling
    caption = fill(
        "Nodes with the largest range. Thin line: {simulator}; broad pale line: exact solution of the same circuit; "
        "dashed: the digital answer v<sub>0</sub>A<sup>−1</sup>b.",
        simulator=example.simulator,
    )
    shown = image(picture, "Node voltages of one solve against time", caption) if picture else Html()
    return section("settling", "One solve", paragraph(_start(comparison)), shown, paragraph(*_ends(example)))


def _start(comparison: TrainingComparison) -> Html:
    duration, slowest = comparison.metrics["training"]["duration_tau"], comparison.metrics["mapping"]["slowest_tau"]
    return fill(
        "All voltages start at zero and are read once, after {duration} τ. The time is finite on purpose: directions "
        "of strong curvature settle first. The slowest direction has a time constant of {slowest} τ (last "
        "step), so {rest} of it is still missing when the voltages are read.",
        duration=f"{duration:g}",
        slowest=number(slowest),
        rest=f"{number(100 * math.exp(-duration / slowest), 2)} %",
    )


def _ends(example: SettlingExample) -> tuple[str, str]:
    if len(example.times_s) == 0 or len(example.exact_times_s) == 0:
        return ("The simulator left no points.", "")
    end, exact = example.voltage_volt[-1], example.exact_volt[-1]
    return (
        f"At the end {example.simulator} is within {_share(_relative(end, exact))} of the exact solution of the "
        f"circuit and within {_share(_relative(end, example.digital_volt))} of the digital answer "
        "(largest difference of a node over the largest voltage).",
        "The second figure has both the unsettled rest and the imperfections of the parts in it.",
    )


def _share(relative: float) -> str:
    """A relative difference, in per cent where that is easier to read."""
    return f"{100 * relative:.2g} %" if 1e-4 <= relative < 1 else number(relative)


def _relative(found: Tensor, reference: Tensor) -> float:
    size = float(reference.abs().max())
    return float((found - reference).abs().max()) / size if size > 0 else math.nan


def noise_section(comparison: TrainingComparison) -> Html:
    """What was injected, what it means in volts and kelvin, what it did."""
    noise = comparison.metrics["noise"]
    if noise is None:
        return section("noise", "Noise", paragraph("No noise was injected in any run of this page."))
    return section(
        "noise",
        "What noise does",
        paragraph(_injected(comparison, noise)),
        paragraph(_heat(noise)),
        paragraph(*_effect(comparison, noise)),
    )


def _injected(comparison: TrainingComparison, noise: NoiseFacts) -> Html:
    spread = math.sqrt(noise["kappa"] / comparison.metrics["training"]["damping"])
    volts = [1e3 * v0 * spread for v0 in noise["v0_volt"]]
    return fill(
        "In the run “{run}” the same white noise current flows into every summing node, so strong that the answer "
        "would fluctuate with covariance κ A<sup>−1</sup>, κ = {kappa}. No eigenvalue of A is below the damping, so "
        "the standard deviation along any direction is at most √(κ/λ) = {spread}. With v<sub>0</sub> between {low} and "
        "{high} in this run, a node fluctuates by at most {volts} (standard deviation), depending on the step.",
        run=noise["record"],
        kappa=f"{noise['kappa']:g}",
        spread=number(spread),
        low=format_quantity(noise["v0_volt"][0], "volt", 3),
        high=format_quantity(noise["v0_volt"][1], "volt", 3),
        volts=span(volts[0], volts[1], "mV"),
    )


def _heat(noise: NoiseFacts) -> Html:
    low, high = noise["effective_temperature_kelvin"]
    need = fill(
        "To fluctuate as much from heat alone, this circuit would need a temperature "
        '<span class="f">T<sub>eff</sub> = κ v<sub>0</sub>² C/k<sub>B</sub></span> of {kelvin}.',
        kelvin=span(low, high, "K"),
    )
    if low <= _ROOM_KELVIN:
        return need
    factors = span(math.sqrt(low / _ROOM_KELVIN), math.sqrt(high / _ROOM_KELVIN))
    return fill(
        "{need} At {room} K its voltages would fluctuate about {factors} times less.",
        need=need,
        room=f"{_ROOM_KELVIN:g}",
        factors=factors,
    )


def _effect(comparison: TrainingComparison, noise: NoiseFacts) -> tuple[str, str]:
    noisy, main = comparison.record(noise["record"]), comparison.record(comparison.main)
    if noisy.diverged:
        return ("With this noise the training diverged.", "")
    points = 100 * (noisy.final_accuracy - main.final_accuracy)
    if not math.isfinite(points):
        return ("Its final accuracy is unknown.", "")
    where = "level with" if abs(points) < 0.05 else f"{abs(points):.1f} points {'above' if points > 0 else 'below'}"
    return (
        f"The run with noise ended at {percent(noisy.final_accuracy)}, {where} “{main.name}”.",
        f"Its loss over the last 10 steps was {noisy.final_loss():.3f} against {main.final_loss():.3f}.",
    )
