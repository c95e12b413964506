"""``tngd-hw simulate``: a user's own deck, safely, through our equations or through ngspice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tngd_hw.cli.options import ForceOption, JsonOption, QuietOption, VerboseOption
from tngd_hw.cli.output import Output
from tngd_hw.outcome import MisuseError, Status

if TYPE_CHECKING:
    from tngd_hw.engines import DeckEngine, DeckResult
    from tngd_hw.engines.decks.result import AcResult, NoiseResult, TransientResult
    from tngd_hw.engines.decks.statistics import Band
    from tngd_hw.netlist import DcSolution

__all__ = ["simulate"]

_ROWS_SHOWN = 20


def simulate(
    deck: Annotated[Path, typer.Argument(metavar="DECK.cir", help="A SPICE deck; its first line is the title.")],
    *,
    engine: Annotated[
        str, typer.Option(metavar="NAME", help="state_space (exact, linear circuits) or ngspice.")
    ] = "state_space",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where waveforms go, as CSV and netCDF.")
    ] = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Time limit of one ngspice run.")] = 600.0,
    force: ForceOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> Status:
    """Simulate a deck: its operating point, and the .tran, .ac and .noise analyses that it asks for.

    Nothing in the deck is executed and no other file is opened: it is read by an allow-list (R C L V I E F G H K S B X,
    .subckt .param .model ... ) and written anew for ngspice.

    With --quiet: the operating point alone, one line a node.

    Example: tngd-hw simulate filter.cir --engine ngspice --out waves
    """
    output = Output(as_json, quiet, verbose)
    with output.working("reading ..."):
        from tngd_hw.engines import simulate_deck
        from tngd_hw.netlist import read_deck
        from tngd_hw.storage import make_directory

        chosen = _engine(engine)
        read = read_deck(deck)
        directory = None if out is None else make_directory(out, "--out")
    with output.working(f"{engine} ...") as progress:
        result = simulate_deck(read, chosen, timeout_s=timeout, force=force, progress=progress.tell)
        files = [] if directory is None else [str(path) for path in result.save(directory)]
    output.document(_document(result, files))
    if quiet and result.operating_point is not None:
        output.essential(_plain(result.operating_point))
    output.say(_report(result, rows=10**9 if verbose else _ROWS_SHOWN))
    for file in files:
        output.say(f"written {file}")
    return result.status


def _engine(name: str) -> DeckEngine:
    from tngd_hw.engines import DeckEngine

    try:
        return DeckEngine(name)
    except ValueError:
        names = " or ".join(engine.value for engine in DeckEngine)
        raise MisuseError(f"--engine {name!r}: a deck is simulated by {names}") from None


def _document(result: DeckResult, files: list[str]) -> dict[str, Any]:
    point = result.operating_point
    return {
        "outcome": result.status.outcome.value,
        "message": str(result.status),
        "title": result.title,
        "engine": result.engine.value,
        "elements": {kind.value: count for kind, count in result.element_counts.items()},
        "operating_point": None if point is None else {
            "voltage_volt": dict(point.voltage_volt), "current_ampere": dict(point.current_ampere),
        },
        "analyses": [{"name": name, **_summary(analysis)} for name, analysis in result.named()],
        "notes": list(result.notes),
        "files": files,
    }  # fmt: skip


def _summary(analysis: TransientResult | AcResult | NoiseResult) -> dict[str, Any]:
    from tngd_hw.engines.decks.result import AcResult, TransientResult
    from tngd_hw.engines.decks.statistics import bands, node_statistics

    common = {"kind": analysis.kind, "outcome": analysis.status.outcome.value, "message": str(analysis.status)}
    if isinstance(analysis, TransientResult):
        return {**common, "points": len(analysis.times_s), "nodes": [asdict(row) for row in node_statistics(analysis)]}
    if isinstance(analysis, AcResult):
        return {**common, "points": len(analysis.frequency_hz), "nodes": [asdict(row) for row in bands(analysis)]}
    return {
        **common,
        "points": len(analysis.frequency_hz),
        "output": analysis.output,
        "source": analysis.source,
        "output_total_volt": analysis.output_total_volt,
        "input_total": analysis.input_total,
        "input_total_unit": analysis.source_unit,
    }


def _plain(point: DcSolution) -> str:
    return "\n".join(f"v({node}) {volt!r}" for node, volt in point.voltage_volt.items())


def _report(result: DeckResult, rows: int) -> str:
    counts = ", ".join(f"{count} {kind.value}" for kind, count in result.element_counts.items())
    lines = [
        result.title or "(no title)",
        f"{sum(result.element_counts.values())} elements ({counts}), {result.engine.value}",
    ]
    point = result.operating_point
    if point is not None:
        lines += ["", "operating point"]
        lines += _table(["node", "volt"], [[name, f"{volt:.9g}"] for name, volt in point.voltage_volt.items()], rows)
        currents = [[name, f"{ampere:.6g}"] for name, ampere in point.current_ampere.items()]
        lines += _table(["branch", "ampere"], currents, rows) if currents else []
    for name, analysis in result.named():
        lines += ["", *_described(name, analysis, rows)]
    lines += ["", *(f"note: {note}" for note in result.notes)] if result.notes else []
    return "\n".join(lines)


def _described(name: str, analysis: TransientResult | AcResult | NoiseResult, rows: int) -> list[str]:
    from tngd_hw.engines.decks.result import AcResult, TransientResult
    from tngd_hw.engines.decks.statistics import bands, node_statistics
    from tngd_hw.units import format_quantity

    if not analysis.status.ok:
        name = f"{name} ({analysis.status.outcome.value})"
    if isinstance(analysis, TransientResult):
        times = analysis.times_s
        if len(times) == 0:
            return [f"{name}: nothing"]
        table = [
            [s.node, *(f"{value:.6g}" for value in (s.minimum, s.maximum, s.mean, s.rms, s.final))]
            for s in node_statistics(analysis)
        ]
        span = f"{format_quantity(float(times[0]), 's')} to {format_quantity(float(times[-1]), 's')}"
        heads = ["node", "min [V]", "max [V]", "mean [V]", "rms [V]", "final [V]"]
        return [f"{name}: {span}, {len(times)} points", *_table(heads, table, rows)]
    hertz = analysis.frequency_hz
    if len(hertz) == 0:
        return [f"{name}: nothing"]
    span = f"{format_quantity(float(hertz[0]), 'hz')} to {format_quantity(float(hertz[-1]), 'hz')}, {len(hertz)} points"
    if isinstance(analysis, AcResult):
        heads = ["node", "peak [V]", "peak [dB]", "at", "-3 dB below", "-3 dB above"]
        return [f"{name}: {span}", *_table(heads, [_band_row(band) for band in bands(analysis)], rows)]
    output = f"{format_quantity(analysis.output_total_volt, 'volt')} rms at v({analysis.output})"
    referred = f"{format_quantity(analysis.input_total, analysis.source_unit)} rms referred to {analysis.source}"
    return [f"{name}: {span}", f"  {output}, {referred}"]


def _band_row(band: Band) -> list[str]:
    from tngd_hw.units import format_quantity

    if band.peak_volt == 0:
        return [band.node, "0", *"----"]
    decibel = f"{20 * math.log10(band.peak_volt):.3f}"
    limits = ["-" if limit is None else format_quantity(limit, "hz") for limit in (band.low_hz, band.high_hz)]
    return [band.node, f"{band.peak_volt:.6g}", decibel, format_quantity(band.peak_hz, "hz"), *limits]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], shown: int) -> list[str]:
    """Columns as wide as they need; a last line where rows are left out."""
    kept = rows[:shown]
    widths = [max(len(row[k]) for row in (heads, *kept)) for k in range(len(heads))]
    lines = [
        "  "
        + "  ".join(
            [row[0].ljust(widths[0]), *(word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in (heads, *kept)
    ]
    if len(rows) > shown:
        lines.append(f"  ... {len(rows) - shown} more; --verbose shows all")
    return lines
