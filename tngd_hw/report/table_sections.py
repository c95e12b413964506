"""Sections of the report that are tables: learning-rate searches, hardware and scales, versions and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tngd_hw.report.comparison import TrainingComparison
from tngd_hw.report.markup import Html, fill, join, number, paragraph, section, span, table
from tngd_hw.units import format_quantity

__all__ = ["facts_section", "repeat_section", "search_section"]


def search_section(comparison: TrainingComparison) -> Html:
    """How the digital controls got their learning rates."""
    searches = comparison.metrics["learning_rate_searches"]
    if not searches:
        return section("search", "Learning rates", paragraph("No learning rate was searched for."))
    why = (
        "The controls get the learning rate with the lowest training loss in short searches of their own. "
        "Held-out samples are never looked at, and the seeds are not those of the runs above."
    )
    names = {comparison.metrics["runs"][record.name]["engine"]: record.name for record in comparison.records}
    tables = join(_search(search, names.get(str(search["optimizer"]), str(search["optimizer"]))) for search in searches)
    columns = fill('<div class="columns">{tables}</div>', tables=tables)
    return section("search", "Learning rates of the digital controls", paragraph(why), columns)


def _search(search: Mapping[str, Any], name: str) -> Html:
    rows = [_trial(trial, search["lr"]) for trial in search["trials"]]
    text = (
        f"{search['steps']} steps of {search['batch_size']} samples, {_count(len(search['seeds']), 'run')} a rate; "
        f"score: loss over the whole training set at the end, mean of the runs. Chosen: {number(search['lr'])}."
    )
    edge = "It is at the edge of what was tried: a wider search might find a better one." if search["at_edge"] else ""
    title = fill("<h3>{name}</h3>", name=name)
    return fill(
        "<div>{content}</div>",
        content=join((title, paragraph(text, edge), table(("learning rate", "score"), rows, numbers_from=0))),
    )


def _count(number_of: int, what: str) -> str:
    return f"{number_of} {what}" if number_of == 1 else f"{number_of} {what}s"


def _trial(trial: Mapping[str, Any], chosen: float) -> tuple[Html | str, Html | str]:
    rate, score = number(trial["lr"]), "diverged" if trial["score"] is None else f"{trial['score']:.3f}"
    if trial["lr"] != chosen:
        return rate, score
    return fill("<b>{rate}</b>", rate=rate), fill("<b>{score}</b>", score=score)


def facts_section(comparison: TrainingComparison) -> Html:
    """The chip, where its numbers come from, and the scales that were chosen."""
    hardware = comparison.metrics["hardware"]
    parts = [(name, value) for name, value in hardware["values"].items()]
    identity = fill(
        "Chip <b>{name}</b>, specification hash <code>{hash}</code>, one die made with seed {seed} and programmed anew "
        "at every step.",
        name=hardware["name"],
        hash=hardware["hash"],
        seed=hardware["seed"],
    )
    return section(
        "facts",
        "Hardware and scales",
        paragraph(identity),
        table(("part", "value"), parts, numbers_from=2),
        fill('<p class="source">Source: {source}</p>', source=hardware["source"]),
        Html("<h3>Scales</h3>"),
        table(("quantity", "value"), _scales(comparison), numbers_from=2),
    )


def _scales(comparison: TrainingComparison) -> list[tuple[str, str]]:
    m = comparison.metrics["mapping"]
    limit = m["voltage_limit_volt"]
    last = {
        "topology": f"{m['topology']}, {m['nodes_used']} of {m['nodes_on_chip']} nodes, {m['amplifiers']} amplifiers",
        "array conductances": " to ".join(format_quantity(g, "siemens", 3) for g in m["component_range"])
        + f" ({m['dynamic_range_db']:.0f} dB)",
        "condition number of A": number(m["condition_number"]),
        "voltage limit of the amplifiers": "none" if limit is None else format_quantity(limit, "volt", 3),
        "finite bandwidth slows a node by a factor of": f"up to {number(m['bandwidth_slowdown'], 4)}",
        "finite gain adds to the damping": f"up to {number(m['gain_damping'])}",
    }
    return [*_ranges(comparison), *((f"{name} (last step)", value) for name, value in last.items())]


def _ranges(comparison: TrainingComparison) -> list[tuple[str, str]]:
    """Smallest and largest value over the steps of the main run."""
    extra = comparison.record(comparison.main).extra
    shown = {
        "v0_volt": ("v₀, voltage of an answer of 1", 1e3, "mV"),
        "tau_s": ("τ = C/g₀", 1e6, "µs"),
        "peak_volt": ("largest node voltage read", 1e3, "mV"),
    }
    return [
        (f"{name} (all steps)", span(scale * min(extra[key]), scale * max(extra[key]), unit))
        for key, (name, scale, unit) in shown.items()
        if extra.get(key)
    ]


def repeat_section(comparison: TrainingComparison) -> Html:
    """The command, seeds, versions, and the other files of the run."""
    metrics = comparison.metrics
    files = metrics.get("files", {})
    listed = (
        (Html("<h3>Files beside this page</h3>"), table(("file", "what it is"), list(files.items()), numbers_from=2))
        if files
        else ()
    )
    took = f"The whole run took {number(metrics['wall_time_s'])} s on {metrics['machine']}."
    return section(
        "repeat",
        "Do it again",
        fill("<pre>{command}</pre>", command=metrics["command"]),
        paragraph(took, "The same seeds and versions give the same numbers on the same machine."),
        Html("<h3>Seeds</h3>"),
        table(("what", "seed"), [(name, str(seed)) for name, seed in metrics["seeds"].items()]),
        Html("<h3>Versions</h3>"),
        table(("program", "version"), list(metrics["versions"].items()), numbers_from=2),
        *listed,
        _method(),
    )


def _method() -> Html:
    return paragraph(
        Html(
            "The method: K. Donatella and others, “Thermodynamic Natural Gradient Descent”, "
            '<a href="https://arxiv.org/abs/2405.13817">arXiv:2405.13817</a>.'
        )
    )
