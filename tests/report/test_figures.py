import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tngd_hw.outcome import MisuseError
from tngd_hw.report import (
    SettlingExample,
    agreement_figure,
    save_figure,
    settling_figure,
    training_figure,
)
from tngd_hw.report.figures import smoothing_window
from tngd_hw.training import TrainingRecord

Records = tuple[TrainingRecord, ...]


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def labels_have_units(axes: Axes, *, time: bool = False) -> bool:
    unit = re.compile(r"\[.+\]$")
    horizontal = axes.get_xlabel()
    return bool(unit.search(axes.get_ylabel())) and (bool(unit.search(horizontal)) if time else horizontal == "step")


def test_training_figure_shows_every_run_in_both_panels(records: Records):
    figure = training_figure(records)
    loss, accuracy = figure.axes
    assert labels_have_units(loss)
    assert labels_have_units(accuracy)
    assert len(loss.lines) == 2 * len(records)  # raw values and their mean
    assert len(accuracy.lines) == len(records)
    np.testing.assert_allclose(loss.lines[0].get_ydata(), records[0].loss)
    np.testing.assert_allclose(accuracy.lines[3].get_ydata(), [41.7, 83.4])
    np.testing.assert_array_equal(accuracy.lines[3].get_xdata(), [10, 30])
    assert legend_texts(figure)[3] == "SGD: 83.4 %"


def test_the_bold_loss_is_a_centred_mean(records: Records):
    window = smoothing_window(30)
    assert window == 3
    bold = training_figure(records).axes[0].lines[1].get_ydata()
    loss = records[0].loss
    assert np.asarray(bold)[10] == pytest.approx(sum(loss[9:12]) / 3)
    assert np.asarray(bold)[0] == pytest.approx(sum(loss[:2]) / 2)


def test_a_short_run_is_drawn_as_it_is(records: Records):
    short = replace(records[0], loss=(3.0, 2.0), accuracy=(0.5,), accuracy_steps=(2,))
    loss, accuracy = training_figure([short]).axes
    assert len(loss.lines) == 1
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [3.0, 2.0])
    assert accuracy.lines[0].get_marker() == "o"  # one point would not show as a line


def test_overlapping_runs_can_be_told_apart(records: Records):
    lines = training_figure(records).axes[1].lines
    looks = {(line.get_color(), line.get_linewidth(), line.get_linestyle()) for line in lines}
    assert len(looks) == len(records)
    assert lines[0].get_linewidth() > 2 * lines[1].get_linewidth()


def test_a_diverged_run_hides_nothing(records: Records, tmp_path: Path):
    wild = TrainingRecord("SGD", (2.0, 1e30, math.nan, math.inf), (math.nan,), (4,))
    figure = training_figure([records[0], wild])
    save_figure(figure, tmp_path / "diverged.png")
    assert figure.axes[0].get_ylim() == pytest.approx((0, 1.05 * max(records[0].loss)))
    assert legend_texts(figure)[1] == "SGD: diverged, no accuracy"


def test_names_are_drawn_as_they_are(records: Records, tmp_path: Path):
    figure = training_figure([replace(records[0], name="_$\\frac"), replace(records[1], name="$x^$")])
    save_figure(figure, tmp_path / "names.png")
    assert len(legend_texts(figure)) == 2


def test_no_runs_at_all(tmp_path: Path):
    save_figure(training_figure([]), tmp_path / "empty.png")
    save_figure(agreement_figure({}, 1e-3), tmp_path / "empty.png")


def test_settling_figure_shows_the_six_widest_nodes(settling: SettlingExample):
    figure = settling_figure(settling)
    axes = figure.axes[0]
    assert labels_have_units(axes, time=True)
    assert len(axes.lines) == 3 * 6
    simulated = axes.lines[2]
    assert simulated.get_label() == "out7"
    np.testing.assert_allclose(simulated.get_ydata(), 1e3 * settling.voltage_volt[:, 7].numpy())
    np.testing.assert_allclose(np.asarray(simulated.get_xdata())[-1], 50)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 1e3 * settling.exact_volt[:, 7].numpy())
    digital = axes.lines[1]
    np.testing.assert_allclose(digital.get_ydata(), 1e3 * 1.25 * 7)
    assert digital.get_linestyle() == "--"
    assert legend_texts(figure)[:1] == ["ngspice"]
    assert "out1" not in legend_texts(figure)


def test_settling_figure_has_both_times(settling: SettlingExample):
    figure = settling_figure(settling)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    top = axes.child_axes[0]
    assert (axes.get_xlabel(), top.get_xlabel()) == ("time [τ]", "time [µs]")
    assert top.get_xlim() == pytest.approx((0, 25))


def test_a_settling_example_checks_its_shapes(settling: SettlingExample):
    with pytest.raises(MisuseError, match="exact_volt has shape"):
        replace(settling, exact_times_s=settling.times_s)


def test_agreement_figure(tmp_path: Path):
    figure = agreement_figure({"a": (1e-6, 2e-6, 3e-6), "b": (1e-2, 0.0, math.nan)}, 1e-3)
    save_figure(figure, tmp_path / "agreement.png")
    axes = figure.axes[0]
    first, gate, second = axes.lines
    assert labels_have_units(axes)
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(first.get_ydata(), [1e-6, 2e-6, 3e-6])
    np.testing.assert_array_equal(first.get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(gate.get_ydata(), 1e-3)
    assert gate.get_color() == first.get_color()
    assert axes.texts[0].get_text() == "gate 0.001 for this colour"
    np.testing.assert_array_equal(np.isnan(np.asarray(second.get_ydata())), [False, True, True])
    assert legend_texts(figure) == ["a", "b (0 at 1 of 3 steps)"]


@pytest.mark.parametrize(("gated", "lines"), [("b", 3), ("", 2)])
def test_the_gate_belongs_to_one_difference(gated: str, lines: int):
    axes = agreement_figure({"a": (1e-6,), "b": (1e-5,)}, 1e-3, gated).axes[0]
    assert len(axes.lines) == lines
    if gated:
        assert axes.lines[2].get_color() == axes.lines[1].get_color()


def test_legends_lie_outside_the_axes(records: Records, settling: SettlingExample):
    for figure in (training_figure(records), settling_figure(settling), agreement_figure({"a": (1e-6,)}, 1e-3)):
        figure.draw_without_rendering()
        legend = figure.legends[0].get_window_extent()
        assert not any(legend.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_saving_is_repeatable_and_leaves_pyplot_alone(records: Records, tmp_path: Path):
    for suffix in (".png", ".svg"):
        first, second = (save_figure(training_figure(records), tmp_path / f"{k}{suffix}").read_bytes() for k in "ab")
        assert first == second
    assert plt.get_fignums() == []


def test_a_picture_that_cannot_be_written(records: Records, tmp_path: Path):
    with pytest.raises(MisuseError, match="cannot be written"):
        save_figure(training_figure(records), tmp_path / "missing" / "training.png")
