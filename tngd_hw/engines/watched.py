"""Circuits whose inner stages are read beside the outputs, so that a run can tell whether one left its range.

Voltages of a run are those of the n outputs, then those of ``loaded.inner_stages``, along the axis of the nodes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE
from tngd_hw.netlist import Netlist
from tngd_hw.topologies import LoadedChip

__all__ = ["outputs_alone", "outputs_of", "watched_equations", "watched_names", "watched_netlist", "without_own_noise"]


def watched_names(loaded: LoadedChip) -> tuple[str, ...]:
    """Nodes of the outputs, then of the inner stages."""
    return (*(f"out{i}" for i in range(loaded.n)), *loaded.inner_stages.nodes)


def watched_netlist(loaded: LoadedChip, netlist: Netlist) -> Netlist:
    """The same circuit with the nodes of the inner stages behind its outputs."""
    return replace(netlist, outputs=(*netlist.outputs, *loaded.inner_stages.nodes))


def watched_equations(loaded: LoadedChip, chips: slice | None = None) -> LinearSDE:
    """The closed form with the voltages of the inner stages behind the outputs."""
    return loaded.linear_sde(chips, inner=bool(loaded.inner_stages.nodes))


def without_own_noise(loaded: LoadedChip, sde: LinearSDE) -> LinearSDE:
    """Without the white noise that an inner stage shows directly: it has no value at a point."""
    n = loaded.n
    if not bool(sde.D_w[..., n:, :].any()):
        return sde
    return replace(sde, D_w=torch.cat([sde.D_w[..., :n, :], torch.zeros_like(sde.D_w[..., n:, :])], -2))


def outputs_alone(loaded: LoadedChip, sde: LinearSDE) -> LinearSDE:
    """The equations without the inner stages."""
    n = loaded.n
    if sde.n_outputs == n:
        return sde
    C, D, D_w = (rows[..., :n, :] for rows in (sde.C, sde.D, sde.D_w))
    return replace(sde, C=C, D=D, D_w=D_w, output_names=sde.output_names[:n])


def outputs_of(loaded: LoadedChip, voltage: Tensor, node_axis: int) -> Tensor:
    """The voltages of the outputs alone."""
    if voltage.shape[node_axis] == loaded.n:
        return voltage
    return voltage.narrow(node_axis, 0, loaded.n).clone()
