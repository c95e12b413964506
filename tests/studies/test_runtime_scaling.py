"""Time of a step against N and d_z: sizes, limits, counts and the timing model on top, by hand."""

import dataclasses

import pytest
import torch
from torch import nn

from tngd_hw.cost import UpdateSize
from tngd_hw.curvature import ggn_factors, ggn_operator
from tngd_hw.studies.scaling.runtime import device_costs, main, scaling_figure, sizes_in_outputs, sizes_in_parameters
from tngd_hw.studies.scaling.step_costs import (
    DAMPING,
    ERROR,
    METHODS,
    StepCost,
    measured,
    scaled_network,
    smallest_count,
)
from tngd_hw.training import conjugate_gradient, woodbury

SMALL = UpdateSize(1367, 2, 3)  # 208 + 1153 + 2 * 3: a hidden layer of one unit


def test_sizes_are_those_of_the_networks():
    for size in (SMALL, *sizes_in_parameters(32_000), *sizes_in_outputs()[:3]):
        network, (images, classes) = scaled_network(size)
        assert sum(p.numel() for p in network.parameters()) == size.parameters
        assert network(images).shape == (size.batch_size, size.outputs)
        assert classes.shape == (size.batch_size,)
    assert [round(size.parameters, -4) for size in sizes_in_parameters(100_000)] == [0, 0, 10_000, 30_000, 100_000]
    assert len(sizes_in_parameters(1_000_000)) == 7


@pytest.mark.parametrize("least", [1, 4, 40])
def test_the_smallest_count_is_found_from_the_least_on(least):
    asked = []
    found = smallest_count(least, lambda count: asked.append(count) or count >= 13)
    assert found == max(13, least)
    assert len(asked) < 10


@pytest.mark.parametrize("name", [name for name in METHODS if "200" not in name])  # as the other CG, only longer
def test_every_method_makes_a_step(name):
    cost = measured(name, SMALL)
    assert cost.left_out is None
    assert cost.seconds is not None
    assert 0 < cost.seconds < 10
    assert (cost.products is not None) == ("CG" in name or name == "TNGD, simulated")


def test_conjugate_gradients_stop_at_the_first_iteration_with_the_error():
    network, batch = scaled_network(SMALL)
    exact = woodbury(ggn_factors(network, nn.CrossEntropyLoss(), batch), damping=DAMPING)
    operator = ggn_operator(network, nn.CrossEntropyLoss(), batch, damping=DAMPING)
    count = measured("NGD, CG at equal error", SMALL).products
    assert count is not None
    off = [float((conjugate_gradient(operator, max_iterations=c).direction - exact).norm()) for c in (count - 1, count)]
    assert off[1] <= ERROR * float(exact.norm()) < off[0]


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("NGD, dense", UpdateSize(20_000, 32, 20), "6.5 GB, more than 6"),
        ("NGD, dense", UpdateSize(16_000, 32, 20), "operations"),
        ("NGD, Woodbury", UpdateSize(1_000_000, 32, 20), "GB"),
    ],
)
def test_what_is_too_dear_is_left_out_with_a_reason(name, size, reason):
    cost = measured(name, size)
    assert cost.seconds is None
    assert cost.left_out is not None
    assert reason in cost.left_out


def test_the_device_adds_the_timing_model_to_its_digital_part():
    """b d_z = 640, N = 1e4: 4.2266 ms of upload, 6.4 us of gradient and readout, 50 us of relaxation."""
    size = UpdateSize(10_000, 32, 20)
    costs = [StepCost("Adam", size, 0.5), StepCost("SGD", size, 9.0), StepCost("gradient, J and H", size, 0.25)]
    rest = 16 * (640 * (640 + 20_000)) / 50e9 + 6.4e-6 + 50e-6
    found = {cost.method: cost.seconds for cost in device_costs(costs)}
    assert found == {
        "TNGD on a device, digital part twice Adam": pytest.approx(1.0 + rest),
        "TNGD on a device, digital part measured": pytest.approx(0.25 + rest),
    }
    out = device_costs([dataclasses.replace(costs[2], seconds=None, left_out="7 GB")])
    assert [(cost.seconds, cost.left_out) for cost in out] == [(None, "7 GB")]


def test_the_figure_has_a_line_for_what_was_measured():
    sizes = sizes_in_parameters(32_000)
    costs = [
        StepCost(name, size, None if name == "NGD, dense" and size.parameters > 6000 else 1e-6 * size.parameters)
        for name in ("Adam", "NGD, dense")
        for size in sizes
    ]
    figure = scaling_figure(costs + device_costs(costs), [StepCost("Adam", size, 1.0) for size in sizes_in_outputs()])
    left = figure.axes[0]
    lengths = {line.get_label(): len(line.get_xdata()) for line in left.lines}
    assert lengths["Adam"] == len(sizes) == 4
    assert lengths["NGD, dense"] == 2
    assert left.get_xscale() == left.get_yscale() == "log"


def test_bad_calls_end_with_one_sentence(tmp_path, capsys):
    threads = torch.get_num_threads()
    assert main([str(tmp_path), "--largest", "100"]) == 2
    assert "largest = 100: give 10000 or more" in capsys.readouterr().err
    assert torch.get_num_threads() == threads
