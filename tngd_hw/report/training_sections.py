"""Sections of the report about the training: overview, task, results, agreement of the simulators."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path

from tngd_hw.report.comparison import TrainingComparison, is_analog
from tngd_hw.report.markup import Html, fill, image, join, number, paragraph, percent, section, table
from tngd_hw.training import TrainingRecord

__all__ = ["agreement_section", "overview_section", "result_section", "task_section"]


def overview_section(comparison: TrainingComparison) -> Html:
    """What this is and how it went, at a glance."""
    metrics, main = comparison.metrics, comparison.record(comparison.main)
    lead = fill(
        '<p class="lead">A neural network with {parameters} parameters was trained for {steps} steps. At every step '
        "the natural gradient came out of an analog circuit: the problem was turned into the resistances of an array "
        "of {nodes} operational-amplifier integrators, the circuit was {how}, and the answer was read from its node "
        "voltages.</p>",
        parameters=f"{metrics['task']['parameters']:,}",
        steps=main.steps,
        nodes=metrics["mapping"]["nodes_used"],
        how=_how_simulated(comparison),
    )
    note = metrics.get("note", "")
    shown = fill('<p class="note">{note}</p>', note=note) if note else Html()
    return join((lead, shown, fill('<div class="cards">{cards}</div>', cards=join(_cards(comparison, main)))))


def _how_simulated(comparison: TrainingComparison) -> str:
    engine = comparison.metrics["runs"][comparison.main]["engine"]
    version = comparison.metrics["versions"].get(engine, "")
    exact = {"state_space": "solved exactly (no SPICE simulator was used)", "ideal": "idealised and solved exactly"}
    return exact.get(engine, f"simulated with {engine} {version}".rstrip())


def _cards(comparison: TrainingComparison, main: TrainingRecord) -> Iterator[Html]:
    gate = comparison.metrics["accuracy_gate"]
    text = f"accuracy on held-out samples after {main.steps} steps"
    if gate is None:
        yield _card(percent(main.final_accuracy), text)
    else:
        yield _card(percent(main.final_accuracy), f"{text}; {percent(gate)} required", good=main.final_accuracy >= gate)
    gated = comparison.metrics["gated_difference"]
    if gated is not None:
        largest = comparison.largest_difference(gated)
        text = f"largest relative difference, {gated}; must stay below {comparison.gate:g}"
        yield _card(number(largest, 2), text, good=largest <= comparison.gate)
    settling, training = comparison.settling, comparison.metrics["training"]
    microseconds = 1e6 * training["duration_tau"] * settling.tau_s
    yield _card(
        f"{number(microseconds)} µs",
        f"analog time of the solve shown below, {training['duration_tau']:g} time constants τ",
    )
    noise = comparison.metrics["noise"]
    if noise is not None:
        final = comparison.record(noise["record"]).final_accuracy
        yield _card(percent(final), f"accuracy with injected noise, κ = {noise['kappa']:g}")


def _card(figure: str, text: str, *, good: bool | None = None) -> Html:
    verdict = {True: ' class="good"', False: ' class="bad"', None: ""}[good]
    mark = {True: " ✓", False: " ✗", None: ""}[good]
    template = f'<div class="card"><b{verdict}>{{figure}}{mark}</b><span>{{text}}</span></div>'
    return fill(template, figure=figure, text=text)


def task_section(comparison: TrainingComparison) -> Html:
    """Data, network and what a natural gradient is."""
    task, training = comparison.metrics["task"], comparison.metrics["training"]
    what = fill(
        "{data}; {train} samples to learn from and {test} held out, never trained on. A {network} ({parameters} "
        "parameters) minimises the cross-entropy in {steps} steps of {batch} samples each. All runs "
        "on this page start from the same network and see the same mini-batches.",
        data=task["description"],
        train=f"{task['train_samples']:,}",
        test=f"{task['test_samples']:,}",
        network=task["network"],
        parameters=f"{task['parameters']:,}",
        steps=training["steps"],
        batch=training["batch_size"],
    )
    natural = fill(
        "The gradient <b>g</b> treats all parameters alike, although a small change of some changes what the network "
        "says far more than the same change of others. The natural gradient <b>x</b> takes that into account: it "
        'solves <b class="f">A x = g</b>, where <span class="f">A = Jᵀ H J + λ I</span> is the curvature of the loss '
        "as the network’s outputs see it (the generalized Gauss–Newton matrix, with damping λ = {damping}).",
        damping=f"{training['damping']:g}",
    )
    return section("task", "What was trained", paragraph(what), paragraph(natural), paragraph(_dual(comparison)))


def _dual(comparison: TrainingComparison) -> Html:
    training = comparison.metrics["training"]
    return fill(
        "A has as many rows as the network has parameters. With W = H<sup>1/2</sup> J the same answer is "
        '<span class="f">x = Wᵀ y</span>, <span class="f">(W Wᵀ + λ I) y = u</span>, which has one unknown for each '
        "sample and output of the mini-batch: {nodes} here. That small system is what the circuit solves; below, A and "
        'b stand for <span class="f">W Wᵀ + λ I</span> and u. The update is <span class="f">θ ← θ − {rate} x</span>.',
        nodes=comparison.metrics["mapping"]["nodes_used"],
        rate=f"{training['learning_rate']:g}",
    )


def result_section(comparison: TrainingComparison, picture: Path | None) -> Html:
    """Curves, the table of final figures and what can be said of them."""
    caption = fill("Every run of this page, against the number of updates. {text}", text=_overlap(comparison))
    shown = image(picture, "Loss and accuracy of all runs against step", caption) if picture else Html()
    choice = comparison.metrics["training"]["choice"]
    return section(
        "training",
        "Training",
        shown,
        _result_table(comparison),
        paragraph(_verdict(comparison), _controls(comparison)),
        paragraph(choice),
    )


def _overlap(comparison: TrainingComparison) -> str:
    """How far the losses of the analog runs without noise are from those of the main run."""
    main = comparison.record(comparison.main)
    gaps = {
        record.name: max((abs(a - b) for a, b in zip(record.loss, main.loss, strict=False)), default=math.nan)
        for record in comparison.records
        if is_analog(record) and record.name != main.name and comparison.metrics["runs"][record.name]["kappa"] == 0
    }
    texts = [f"“{name}” {number(gap, 2)}" for name, gap in gaps.items()]
    return f"Largest distance of the loss from that of “{main.name}”: {', '.join(texts)}." if texts else ""


def _result_table(comparison: TrainingComparison) -> Html:
    head = ("run", "engine", "learning rate", "loss, last 10 steps", "held-out accuracy", "wall time")
    rows: list[tuple[str, ...]] = []
    for record in comparison.records:
        facts = comparison.metrics["runs"][record.name]
        rows.append(
            (
                record.name,
                facts["engine"],
                number(facts["learning_rate"]),
                "diverged" if record.diverged else f"{record.final_loss():.3f}",
                percent(record.final_accuracy),
                f"{number(facts['wall_time_s'])} s",
            )
        )
    return table(head, rows, numbers_from=2)


def _verdict(comparison: TrainingComparison) -> Html:
    main, gate = comparison.record(comparison.main), comparison.metrics["accuracy_gate"]
    if gate is None:
        return fill("“{name}” ended at {final}.", name=main.name, final=percent(main.final_accuracy))
    word = "reached" if main.final_accuracy >= gate else "missed"
    return fill(
        "“{name}” {word} the required {gate}: it ended at {final}.",
        name=main.name,
        word=word,
        gate=percent(gate),
        final=percent(main.final_accuracy),
    )


def _controls(comparison: TrainingComparison) -> Html | str:
    """Distance to the digital controls, with what that is worth."""
    main = comparison.record(comparison.main)
    controls = [record for record in comparison.records if not is_analog(record)]
    if not controls or not math.isfinite(main.final_accuracy):
        return ""
    n = comparison.metrics["task"]["test_samples"]
    p = main.final_accuracy
    return fill(
        "The digital controls: {distances}. With {n} held-out samples, differences below about {chance} points can "
        "be chance (two standard errors of a difference), and each run has one seed only.",
        distances="; ".join(_distance(record, main) for record in controls),
        n=f"{n:,}",
        chance=f"{200 * math.sqrt(2 * p * (1 - p) / n):.1f}",
    )


def _distance(record: TrainingRecord, main: TrainingRecord) -> str:
    points = 100 * (record.final_accuracy - main.final_accuracy)
    if record.diverged:
        return f"“{record.name}” diverged"
    if not math.isfinite(points):
        return f"“{record.name}” has no accuracy"
    if abs(points) < 0.05:
        return f"“{record.name}” ended level with it"
    return f"“{record.name}” ended {abs(points):.1f} points {'above' if points > 0 else 'below'} it"


def agreement_section(comparison: TrainingComparison, picture: Path | None) -> Html:
    """Differences of the answers at every step, and whether the gated one kept below its gate."""
    caption = Html("Relative difference of two answers at every step; the axis is logarithmic.")
    shown = image(picture, "Relative differences of the answers against step", caption) if picture else Html()
    rows = [
        (name, number(_median(values)), number(comparison.largest_difference(name)))
        for name, values in comparison.differences.items()
    ]
    figures = table(("difference", "median", "largest"), rows) if rows else Html()
    return section(
        "agreement", "Do the simulators agree?", paragraph(_gate(comparison)), shown, figures, _ungated(comparison)
    )


def _median(values: tuple[float, ...]) -> float:
    return math.nan if not values or any(map(math.isnan, values)) else statistics.median(values)


def _gate(comparison: TrainingComparison) -> Html:
    gated = comparison.metrics["gated_difference"]
    if gated is None:
        return Html("No SPICE simulator took part in this run, so there is nothing to hold the exact solution against.")
    values = comparison.differences[gated]
    above = sum(not value <= comparison.gate for value in values)
    verdict = f"stayed below the gate of {comparison.gate:g} at all {len(values)} steps"
    if above:
        verdict = f"missed the gate of {comparison.gate:g} at {above} of {len(values)} steps"
    return fill(
        "The difference “{name}” <b>{verdict}</b>; the largest value is {largest}.",
        name=gated,
        verdict=verdict,
        largest=number(comparison.largest_difference(gated)),
    )


def _ungated(comparison: TrainingComparison) -> Html:
    if len(comparison.differences) == (comparison.metrics["gated_difference"] is not None):
        return Html()
    return paragraph(
        Html(
            "The gate is about simulators of one and the same circuit. A difference between the circuit and the ideal "
            "filter is no error of a simulator: it is what tolerances, offsets, finite gain and finite bandwidth of "
            "the parts do to the answer."
        )
    )
