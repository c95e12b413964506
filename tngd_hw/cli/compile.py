"""``tngd-hw compile``: a matrix to a deck, its port map, mapping report, bill of materials and schematic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tngd_hw.cli.arrays import read_matrix, read_right_hand_side
from tngd_hw.cli.choices import choice
from tngd_hw.cli.duration import Duration, parse_duration
from tngd_hw.cli.options import (
    EncodingOption,
    HardwareOption,
    JsonOption,
    KappaOption,
    MatrixArgument,
    PreconditioningOption,
    QuietOption,
    SeedOption,
    TopologyOption,
    VerboseOption,
)
from tngd_hw.cli.output import Output, json_text
from tngd_hw.cli.port_map import port_map
from tngd_hw.outcome import Status

if TYPE_CHECKING:
    from tngd_hw.engines import DeckFolder, NoisePath
    from tngd_hw.topologies import LoadedChip

__all__ = ["compile_command"]


def compile_command(
    matrix: MatrixArgument,
    right: Annotated[
        Path | None, typer.Argument(metavar="b", show_default=False, help="The right-hand side, (n,); default: 0.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files go; made if missing.")],
    topology: TopologyOption = "integrator",
    encoding: EncodingOption = None,
    preconditioning: PreconditioningOption = "none",
    hardware: HardwareOption = "ideal",
    duration: Annotated[
        str, typer.Option(metavar="TIME", help="Of the deck's run: 50tau, 20us, 5e-5 (seconds), or settle.")
    ] = "settle",
    kappa: KappaOption = 0.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> Status:
    """Turn a matrix into a circuit: files for a simulator, for a layout and for a shop.

    deck.cir                      runs as it is: ngspice -b deck.cir
    ports.json                    which node is which unknown, and the scales to x and from b
    mapping.txt, mapping.json     what became of the matrix: scales and limits
    design.txt, design.json       what to expect of the circuit: stability, speed, offset, current
    bill_of_materials.csv         the parts, in the values that are sold
    schematic_cell.svg, .png      one node of the circuit with its parts
    schematic_array.svg, .png     how nodes make the circuit: 3 x 3 entries

    With --kappa the deck reads the injected noise from files beside it (noise0.txt ...): run ngspice in DIR.  The same
    --seed gives the same noise, that of solve --engine ngspice.
    """
    output = Output(as_json, quiet, verbose)
    length = parse_duration(duration)
    A = read_matrix(matrix)
    b = None if right is None else read_right_hand_side(right)
    from tngd_hw.hardware import Encoding, load_hardware
    from tngd_hw.problem import LinearProblem
    from tngd_hw.storage import make_directory
    from tngd_hw.topologies import Preconditioning, manufacture, program

    problem = LinearProblem(A, b)
    signs = None if encoding is None else choice(Encoding, encoding, "--encoding")
    chip = manufacture(topology, problem.n, load_hardware(hardware), seed=seed, encoding=signs)
    scaling = choice(Preconditioning, preconditioning, "--preconditioning")
    loaded = program(chip, problem, kappa=kappa, seed=seed, preconditioning=scaling)
    if loaded.programmed is not None and not loaded.circuit_status.ok:
        output.say(str(loaded.design_report))  # by how much it fails, before the sentence that it does
    loaded.circuit_status.require_ok()
    seconds = _seconds(length, loaded)
    with output.working("writing ..."):
        noise = _noise(loaded, seconds=seconds, seed=seed) if kappa > 0 else None
        directory = make_directory(out, "--out")
        files = _write(loaded, directory, noise, seconds=seconds, seed=seed)
    output.document(
        {
            "outcome": loaded.status.outcome.value,
            "message": str(loaded.status),
            "directory": str(directory),
            "files": files,
            "tau_s": loaded.tau,
            "duration_s": seconds,
            "topology": chip.topology,
            "hardware": chip.hardware.name,
            "hardware_hash": chip.hardware.hash,
            "seed": seed,
            "noise": None if noise is None else _noise_document(loaded, noise),
            "mapping": loaded.report.to_dict(),
            "design": loaded.design_report.to_dict(),
        }
    )
    output.say(f"{loaded.report}\n\n{loaded.design_report}")
    output.detail(f"hardware            {chip.hardware} (hash {chip.hardware.hash})")
    if noise is not None:
        output.say(f"\n{_noise_sentence(loaded, noise)}")
    output.say("")
    for file in files:
        output.essential(str(directory / file))
    return Status()


def _seconds(length: Duration, loaded: LoadedChip) -> float:
    from tngd_hw.api import DEFAULT_SETTLING
    from tngd_hw.readout import settling_time

    if length.in_tau is not None:
        return length.in_tau * loaded.tau
    return settling_time(loaded, DEFAULT_SETTLING) if length.seconds is None else length.seconds


def _noise(loaded: LoadedChip, *, seconds: float, seed: int) -> NoisePath:
    """The path that ``solve`` of the same seed runs on."""
    from tngd_hw.engines import draw_path
    from tngd_hw.random import derived_seed

    return draw_path(loaded, duration=seconds, seed=derived_seed(seed, "run"))


def _noise_document(loaded: LoadedChip, noise: NoisePath) -> dict[str, Any]:
    return {
        "kappa": loaded.kappa,
        "step_s": noise.step_s,
        "samples": len(noise.current_ampere),
        "sources": list(noise.names),
        "variance_bias": noise.variance_bias,
        "effective_temperature_kelvin": loaded.report.effective_temperature_kelvin,
    }


def _noise_sentence(loaded: LoadedChip, noise: NoisePath) -> str:
    from tngd_hw.units import format_quantity

    count, sources = len(noise.current_ampere), len(noise.names)
    bias = "" if noise.variance_bias is None else f", which puts variances off by up to {noise.variance_bias:.2%}"
    return (
        f"injected noise      kappa = {loaded.kappa:g}, T_eff = {loaded.report.effective_temperature_kelvin:.3g} K: "
        f"{count} samples of {sources} sources, {format_quantity(noise.step_s, 's')} apart{bias}"
    )


def _deck(loaded: LoadedChip, noise: NoisePath | None, *, seconds: float) -> DeckFolder:
    from tngd_hw.engines import DeckFolder, Ngspice
    from tngd_hw.engines.noise.run import path_deck

    if noise is None:
        return DeckFolder(Ngspice().deck(loaded, duration=seconds, standalone=True), {})
    return path_deck(loaded, noise, standalone=True)


def _write(loaded: LoadedChip, directory: Path, noise: NoisePath | None, *, seconds: float, seed: int) -> list[str]:
    """Write every file, each whole or not at all; their names in the order of a reader."""
    from tngd_hw.report import draw_array, draw_cell
    from tngd_hw.storage import write_text
    from tngd_hw.topologies.bill_of_materials import bill_of_materials, bill_to_csv

    folder = _deck(loaded, noise, seconds=seconds)
    texts = {
        "deck.cir": folder.deck,
        **folder.files,
        "ports.json": json_text(port_map(loaded, loaded.netlist(), duration=seconds, seed=seed)) + "\n",
        "mapping.json": json_text(loaded.report.to_dict()) + "\n",
        "mapping.txt": f"{loaded.report}\n",
        "design.json": json_text(loaded.design_report.to_dict()) + "\n",
        "design.txt": f"{loaded.design_report}\n",
        "bill_of_materials.csv": bill_to_csv(bill_of_materials(loaded)),
    }
    for name, text in texts.items():
        write_text(directory / name, text)
    topology = loaded.chip.topology
    drawings = draw_cell(topology, directory / "schematic_cell") + draw_array(topology, directory / "schematic_array")
    return [*texts, *(path.name for path in drawings)]
