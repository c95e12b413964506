r"""K-FAC: the curvature of every layer as one Kronecker product of two small matrices.

A layer s_r = [W b] (a_r, 1) has the gradient matrix V = sum_r (dL/ds_r) (a_r, 1)^T, shape (out, in + 1).  With the root
S of the loss Hessian (H = S S^T, its 1/batch included), its Gauss-Newton block is a sum over samples i and columns c,

    sum_{i,c} v_ic v_ic^T,     v_ic = vec(sum_r g_icr a_r^T),     g_icr = d(sum_k S_i[k, c] z_ik)/ds_r

with r over the rows of sample i.  K-FAC replaces it by G (x) A: the mean of products by the product of means, rows
taken as unrelated (the "expand" form for layers that serve several positions),

    A = (1/rows) sum_r a_r a_r^T          shape (d_A, d_A),  rows = batch T
    G = sum_{i,c,r} g_icr g_icr^T         shape (d_G, d_G),  a plain sum: S carries the 1/batch

It is exact where a_r and g_r are independent and a sample has one row: networks of linear layers with squared error, or
a batch of one.  Damping: :mod:`tngd_hw.curvature.kfac_block`.

Source: J. Martens, R. Grosse, arXiv 1503.05671; R. Grosse, J. Martens, arXiv 1602.01407 (convolutions); R. Eschenhagen
and others, arXiv 2311.00636 (expand).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tngd_hw.curvature.fisher import Fisher
from tngd_hw.curvature.forward import check_inputs, check_modules, check_pair, constants, forward_pass
from tngd_hw.curvature.kfac_block import KFACBlock, KFACDamping, KFACRows
from tngd_hw.curvature.kfac_layers import KFACLayer, LayerPass, Moment, check_pass, kfac_layers, recorded_pass
from tngd_hw.curvature.loss_factors import LossFactors
from tngd_hw.curvature.loss_hessian import loss_factors
from tngd_hw.curvature.monte_carlo import check_has_distribution, drawn_scores
from tngd_hw.curvature.parameters import trainable_parameters
from tngd_hw.outcome import MisuseError
from tngd_hw.random import stream

__all__ = ["KFACFactors", "LayerTrace", "kfac_factors", "trace_layers"]


@dataclass(frozen=True, eq=False)
class KFACFactors:
    """Kronecker factors of every layer of one batch.

    Attributes:
        blocks: One a layer, in the order of the modules.
        names: Trainable parameters in the package's order.
        loss: The batch loss L.
    """

    blocks: tuple[KFACBlock, ...]
    names: tuple[str, ...]
    loss: float

    def vector(self, matrices: Sequence[Tensor]) -> Tensor:
        """One (d_G, d_A) matrix a block as one vector over all parameters, shape (N,)."""
        pieces: dict[str, Tensor] = {}
        for block, X in zip(self.blocks, matrices, strict=True):
            pieces |= block.pieces(X)
        return torch.cat([pieces[name].reshape(-1) for name in self.names])

    def matrices(self, vector: Tensor) -> tuple[Tensor, ...]:
        """The inverse of :meth:`vector`: one (d_G, d_A) matrix a block."""
        sizes = [block.V.numel() for block in self.blocks]
        places = torch.split(torch.arange(sum(sizes), device=vector.device), sizes)
        order = self.vector([place.reshape(block.V.shape) for place, block in zip(places, self.blocks, strict=True)])
        side_by_side = torch.empty_like(vector)
        side_by_side[order] = vector
        pieces = torch.split(side_by_side, sizes)
        return tuple(piece.reshape(block.V.shape) for piece, block in zip(pieces, self.blocks, strict=True))

    def product(self, vector: Tensor) -> Tensor:
        """The undamped K-FAC matrix times a vector, G X A block by block, shape (N,)."""
        return self.vector([b.G @ X @ b.A for b, X in zip(self.blocks, self.matrices(vector), strict=True)])

    def gradient(self) -> Tensor:
        """The batch gradient g, shape (N,)."""
        return self.vector([block.V for block in self.blocks])

    def direction(self, damping: float, rule: KFACDamping = KFACDamping.FACTORED) -> Tensor:
        """The natural gradient under K-FAC, shape (N,); errors and cost as :meth:`KFACBlock.solve`."""
        return self.vector([block.solve(damping, rule) for block in self.blocks])


def kfac_factors(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    *,
    fisher: Fisher = Fisher.TRUE,
    samples: int = 1,
    seed: int = 0,
    use: int = 0,
) -> KFACFactors:
    """Kronecker factors of ``loss(model(inputs), targets)``, and its gradient layer by layer.

    The passes run in the model's dtype on copies, the factors are summed in float64.  Neither the model nor its
    ``grad`` fields change.

    Args:
        model: Its trainable layers are Linear, Conv2d (groups 1, zero padding) and Embedding, each run once a pass.
            A layer may serve several positions of a sample, in any axes before the last.
        loss: See :func:`tngd_hw.curvature.loss_factors`.
        batch: inputs, shape (batch, ...), and targets, shape (batch, ...).
        fisher: TRUE: the Gauss-Newton matrix, which is the true Fisher for softmax cross-entropy and squared error.
            EMPIRICAL: gradients of the data's own targets; a single reverse pass.  MONTE_CARLO: of drawn targets.
        samples: M, draws a sample of the batch; Monte Carlo only.
        seed: Seed of the draws; Monte Carlo only.
        use: Number of the step, so that every step draws anew; Monte Carlo only.

    Raises:
        MisuseError: What ``ggn_operator`` refuses; by name a layer of another kind, tied parameters, a layer that runs
            twice or not at all or whose rows are shared between samples; of Monte Carlo a loss without a distribution,
            samples below 1.

    Cost: three forward and d_z + 1 reverse passes (empirical: two; Monte Carlo: M + 1), one more where a layer has
    fewer rows than d_A; rows d_A^2 and rows d_z d_G^2 a layer; memory 8 (d_A^2 + d_G^2) bytes a layer, d_A of an
    Embedding being its number of tokens.
    """
    trace = trace_layers(model, loss, batch, fisher, samples=samples, seed=seed, use=use)
    gradients = trace.gradients()
    Gs = trace.output_factors()
    blocks = [_block(*each, gradients) for each in zip(trace.layers, trace.passes, Gs, trace.rows(), strict=True)]
    return KFACFactors(tuple(blocks), tuple(trace.parameters), trace.known.loss)


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One batch through the layers: what all Kronecker factors are made of.

    Attributes:
        layers: Those with trainable parameters.
        passes: What each saw.
        outputs: Of the model, with their graph.
        parameters: Copies of the trainable parameters, by name.
        known: The loss at the outputs.
        roots: Weights of the outputs, shape (batch, d_z, columns), whose outer products sum to the output-space
            curvature.
        moment: What is kept of second moments.
    """

    layers: tuple[KFACLayer, ...]
    passes: list[LayerPass]
    outputs: Tensor
    parameters: dict[str, Tensor]
    known: LossFactors
    roots: Tensor
    moment: Moment

    def gradients(self) -> dict[str, Tensor]:
        """dL/dp by name, float64.  Cost: one reverse pass."""
        weights = self.known.r.reshape(self.outputs.shape)
        found = self._pulled(list(self.parameters.values()), weights)
        return {name: piece.to(torch.float64) for name, piece in zip(self.parameters, found, strict=True)}

    def rows(self) -> list[KFACRows | None]:
        """Inputs and dL/ds of the layers that kept their rows.  Cost: one reverse pass if there are any."""
        kept = [k for k, seen in enumerate(self.passes) if seen.a is not None]
        found: list[KFACRows | None] = [None] * len(self.layers)
        if kept:
            weights = self.known.r.reshape(self.outputs.shape)
            for k, gradient in zip(kept, self._pulled([self.passes[k].output for k in kept], weights), strict=True):
                a = self.passes[k].a
                found[k] = None if a is None else KFACRows(a, self.layers[k].output_rows(gradient))
        return found

    def output_factors(self) -> list[Tensor]:
        """G of every layer, or its diagonal.  Cost: one reverse pass a column of the roots."""
        places = [each.output for each in self.passes]
        sums: list[Tensor | None] = [None] * len(self.layers)
        for c in range(self.roots.shape[2]):
            for k, gradient in enumerate(self._pulled(places, self.roots[:, :, c])):
                product, total = self.moment.sum(self.layers[k].output_rows(gradient)), sums[k]
                sums[k] = product if total is None else total + product
        return [total for total in sums if total is not None]

    def _pulled(self, places: list[Tensor], weights: Tensor) -> tuple[Tensor, ...]:
        """Gradients of sum(weights outputs) in ``places``; the graph stays."""
        weights = weights.to(self.outputs.dtype)
        return torch.autograd.grad(
            self.outputs, places, weights, retain_graph=True, allow_unused=True, materialize_grads=True
        )


def trace_layers(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    fisher: Fisher,
    moment: Moment = Moment.MATRIX,
    *,
    samples: int = 1,
    seed: int = 0,
    use: int = 0,
) -> LayerTrace:
    """The passes behind :func:`kfac_factors`; arguments and errors are its.  Cost: three forward passes."""
    if not isinstance(fisher, Fisher):  # pyright: ignore[reportUnnecessaryIsInstance] - callers need not be typed
        raise MisuseError(f"fisher = {fisher}: expected Fisher.TRUE, MONTE_CARLO or EMPIRICAL")
    if fisher is Fisher.MONTE_CARLO:
        check_has_distribution(loss, fisher.value)
    inputs, targets = check_pair(batch)
    trainable = trainable_parameters(model)
    check_inputs(inputs, next(iter(trainable.values())).dtype)
    check_modules(model)
    layers = kfac_layers(model)
    parameters = {name: p.detach().clone().requires_grad_() for name, p in trainable.items()}
    outputs = forward_pass(model, parameters | constants(model, parameters), inputs)
    known = loss_factors(loss, outputs, targets)
    match fisher:
        case Fisher.TRUE:
            roots = known.S
        case Fisher.EMPIRICAL:
            roots = math.sqrt(len(known.H)) * known.r.reshape(*known.H.shape[:2], 1)
        case Fisher.MONTE_CARLO:
            generator = stream(seed, "fisher.monte_carlo", use=use)
            roots = drawn_scores(loss, outputs, samples, generator).mT
    outputs, passes = _recorded(model, layers, parameters, inputs, moment)
    return LayerTrace(layers, passes, outputs, parameters, known, roots, moment)


def _recorded(
    model: nn.Module, layers: tuple[KFACLayer, ...], parameters: dict[str, Tensor], inputs: Tensor, moment: Moment
) -> tuple[Tensor, list[LayerPass]]:
    """Outputs with their graph and what every layer saw, checked against a pass of the first sample alone."""

    def whole() -> Tensor:
        with torch.enable_grad():
            return functional_call(model, parameters | constants(model, parameters), (inputs,))

    def first() -> Tensor:
        return forward_pass(model, parameters | constants(model, parameters), inputs[:1])

    outputs, passes = recorded_pass(layers, whole, moment)
    alone = recorded_pass(layers, first, moment)[1]
    for layer, seen, one in zip(layers, passes, alone, strict=True):
        check_pass(layer, seen, one, outputs)
    return outputs, passes


def _block(
    layer: KFACLayer, seen: LayerPass, G: Tensor, rows: KFACRows | None, gradients: dict[str, Tensor]
) -> KFACBlock:
    columns: list[Tensor] = []
    if layer.has_weight:
        weight = gradients[layer.parameter_name("weight")]
        columns.append(weight.mT if layer.transposed else weight.flatten(1))
    if layer.has_bias:
        columns.append(gradients[layer.parameter_name("bias")][:, None])
    A, symmetric_G = ((factor + factor.mT) / 2 for factor in (seen.A, G))  # BLAS need not round both halves alike
    V = torch.cat(columns, dim=1)
    return KFACBlock(layer.name, A, symmetric_G, V, layer.weight_shape, layer.has_bias, layer.transposed, rows)
