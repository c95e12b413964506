"""Quantities of a linear circuit as rows over its states, its inputs, the constant 1 and its white noise.

A quantity q = a x + b u + c + d w is the row (a, b, c, d).  Kirchhoff's laws are then written as they stand, with sums
and products of rows, and the equations dx = (F x + E u) dt + B dW, y = C x + D u + D_w xi are read off at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tngd_hw.linear_sde import LinearSDE

__all__ = ["Space"]


@dataclass(frozen=True)
class Space:
    """What the rows range over.

    Attributes:
        states: Number of states.
        inputs: Number of inputs; the constant 1 follows them.
        noise: Number of independent white noises, each of two-sided density 1.
    """

    states: int
    inputs: int
    noise: int

    @property
    def width(self) -> int:
        """Length of a row."""
        return self.states + self.inputs + 1 + self.noise

    def state(self, first: int, count: int) -> Tensor:
        """Rows of ``count`` states from number ``first`` on."""
        return self._rows(torch.eye(count, dtype=torch.float64), first)

    def input(self) -> Tensor:
        """Rows of all inputs."""
        return self._rows(torch.eye(self.inputs, dtype=torch.float64), self.states)

    def constant(self, value: Tensor) -> Tensor:
        """Rows of constants, (..., m) to (..., m, width)."""
        return self._rows(value[..., None], self.states + self.inputs)

    def white(self, strength: Tensor, first: int = 0) -> Tensor:
        """Rows of white noise: column k of ``strength`` (..., m, q) is the share of noise ``first + k``."""
        return self._rows(strength, self.states + self.inputs + 1 + first)

    def _rows(self, block: Tensor, first: int) -> Tensor:
        before = block.new_zeros(*block.shape[:-1], first)
        after = block.new_zeros(*block.shape[:-1], self.width - first - block.shape[-1])
        return torch.cat([before, block, after], dim=-1)

    def linear_sde(
        self, change: Tensor, output: Tensor, input_names: Sequence[str], output_names: Sequence[str]
    ) -> LinearSDE:
        """The equations whose states change by the rows ``change`` and whose outputs are the rows ``output``."""
        first, last = self.states, self.states + self.inputs + 1
        F, E, B = change[..., :first], change[..., first:last], change[..., last:]
        C, D, D_w = output[..., :first], output[..., first:last], output[..., last:]
        names = {"input_names": (*input_names, "constant"), "output_names": output_names}
        return LinearSDE(F, E, B, C, D=D, D_w=D_w, **names)
