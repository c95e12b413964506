r"""The damped generalized Gauss-Newton matrix of a batch as an operator: products, never a matrix, never a Jacobian.

    v  ->  (G + lambda I) v = J^T (H (J v)) + lambda v

J^T w is a reverse pass through the network.  J v is a second reverse pass, through the first one: J^T w is linear in w,
so the derivative of v . (J^T w) in w is J v, at any w.  Both graphs are recorded once, at construction; a product then
costs two reverse passes and no forward pass, and needs no layer to support forward differentiation (fused attention and
recurrent layers do not).  Networks with convolutions take J v from a forward pass with tangents where they can: the
second reverse pass of a convolution also computes the gradient in its inputs, by a slow kernel, whether asked or not.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from tngd_hw.curvature.forward import check_inputs, check_modules, check_pair, constants, forward_pass
from tngd_hw.curvature.loss_hessian import loss_factors
from tngd_hw.curvature.parameters import trainable_parameters
from tngd_hw.outcome import MisuseError

__all__ = ["GGNOperator", "ggn_operator"]

_Tangent = dict[str, Tensor]  # one tensor a parameter, by name
_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class GGNOperator:
    """G + lambda I = J^T H J + lambda I of one batch, at the parameters it was made with, and the gradient g = J^T r.

    Vectors are float64; columns run over the trainable parameters in the order of
    :mod:`tngd_hw.curvature.parameters`, rows of J over samples (outer) and outputs (inner).

    Attributes:
        jacobian_product: v -> J v, shape (N,) to (batch * d_z,).  Cost: one reverse pass through a reverse pass, or one
            forward pass with tangents.
        transposed_product: w -> J^T w, shape (batch * d_z,) to (N,).  Cost: one reverse pass.
        H: Loss Hessian blocks with their 1/batch, shape (batch, d_z, d_z).
        r: Output gradient dL/dz with its 1/batch, shape (batch * d_z,).
        loss: The batch loss L.
        damping: lambda >= 0.
        parameter_count: N.
    """

    jacobian_product: Callable[[Tensor], Tensor]
    transposed_product: Callable[[Tensor], Tensor]
    H: Tensor
    r: Tensor
    loss: float
    damping: float
    parameter_count: int

    def __post_init__(self) -> None:
        if not 0 <= self.damping < float("inf"):
            raise MisuseError(f"damping = {self.damping!r}: expected a finite number, 0 or more")

    def apply(self, vectors: Tensor) -> Tensor:
        """(G + lambda I) V.

        Args:
            vectors: Shape (N,), or (N, k) for k vectors side by side; real floating point.

        Returns:
            The same shape, float64.

        Raises:
            MisuseError: Another shape or dtype.

        Cost: k times two reverse passes and batch d_z^2; memory of one vector's passes, whatever k is.
        """
        shape = vectors.shape
        if len(shape) not in (1, 2) or shape[0] != self.parameter_count or not vectors.is_floating_point():
            raise MisuseError(
                f"vectors have shape {tuple(shape)} and dtype {vectors.dtype}: this operator takes floating point "
                f"({self.parameter_count},) or ({self.parameter_count}, k), one row per trainable parameter"
            )
        V = vectors.detach().to(device=self.H.device, dtype=torch.float64)
        if V.ndim == 1:
            return self._column(V)
        result = torch.empty_like(V)
        for k in range(V.shape[1]):
            result[:, k] = self._column(V[:, k])
        return result

    def gradient(self) -> Tensor:
        """The batch gradient g = J^T r, shape (N,), float64.  Cost: one reverse pass."""
        return self.transposed_product(self.r)

    def to_scipy(self) -> LinearOperator:
        """The operator for ``scipy.sparse.linalg`` (cg, minres, eigsh ...): symmetric, real, float64, shape (N, N)."""
        n = self.parameter_count

        def product(array: NDArray[Any]) -> NDArray[np.float64]:
            if np.iscomplexobj(array):
                raise MisuseError(f"vectors have dtype {array.dtype}: the curvature takes real vectors")
            return self.apply(torch.tensor(array, dtype=torch.float64).reshape(n, -1)).numpy(force=True)

        return LinearOperator((n, n), matvec=product, rmatvec=product, matmat=product, dtype=np.float64)

    def _column(self, v: Tensor) -> Tensor:
        batch_size, d_z, _ = self.H.shape
        weighted = torch.bmm(self.H, self.jacobian_product(v).reshape(batch_size, d_z, 1))
        return self.transposed_product(weighted.reshape(-1)).add_(v, alpha=self.damping)


def ggn_operator(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    *,
    damping: float,
) -> GGNOperator:
    """The matrix-free counterpart of :func:`tngd_hw.curvature.ggn_factors`.

    Parameters and inputs are copied: a later update of the model does not reach the operator.  The passes run in the
    model's dtype, everything in the outputs in float64 (a float32 model gives products good to about 1e-7).

    Args:
        model: Any network that ``ggn_factors`` takes, and also those whose layers torch.vmap refuses.  Normalisation
            and dropout layers in eval mode.  Samples that influence each other are not looked for: J is then the
            Jacobian of the whole batch, which is still right.
        loss: See :func:`tngd_hw.curvature.loss_factors`.
        batch: inputs, shape (batch, ...), and targets, shape (batch, ...).
        damping: lambda >= 0; 0 gives G itself.  ``dataclasses.replace(operator, damping=...)`` costs nothing.

    Raises:
        MisuseError: What ``ggn_factors`` refuses, a layer that cannot be differentiated twice, or a negative damping.

    Cost: two forward and four reverse passes at construction; per product two passes, measured at 0.4 to 1.1 times a
    hand-written jvp-vjp pair (large linear layers, a small float32 convolution; see benchmarks/).  Memory: the
    activations of the batch in both passes, 8 batch d_z^2 bytes for H, and a copy of the parameters and inputs.
    """
    inputs, targets = check_pair(batch)
    parameters = {name: p.detach().clone() for name, p in trainable_parameters(model).items()}
    check_inputs(inputs, next(iter(parameters.values())).dtype)
    check_modules(model)
    outputs = forward_pass(model, parameters | constants(model, parameters), inputs)
    factors = loss_factors(loss, outputs, targets)
    push, pull = _recorded_passes(model, parameters, inputs.detach().clone())
    sizes = [p.numel() for p in parameters.values()]

    def jacobian_product(v: Tensor) -> Tensor:
        pieces = zip(parameters.items(), torch.split(v, sizes), strict=True)
        with torch.no_grad():
            tangent = {name: piece.reshape(p.shape).to(p.dtype) for (name, p), piece in pieces}
            return push(tangent).reshape(-1).to(torch.float64)

    def transposed_product(w: Tensor) -> Tensor:
        with torch.no_grad():
            found = pull(w.reshape(outputs.shape).to(outputs.dtype))
            return torch.cat([found[name].reshape(-1) for name in parameters]).to(torch.float64)

    operator = GGNOperator(
        jacobian_product, transposed_product, factors.H, factors.r, factors.loss, float(damping), sum(sizes)
    )
    _check_adjoint(operator, torch.finfo(outputs.dtype).eps ** 0.5)
    return operator


def _recorded_passes(
    model: nn.Module, parameters: _Tangent, inputs: Tensor
) -> tuple[Callable[[_Tangent], Tensor], Callable[[Tensor], _Tangent]]:
    """v -> J v and w -> J^T w on graphs that are recorded here, once (J v of convolutions: see the module's page)."""
    outputs_of = _outputs_of(model, inputs)

    def pull(w: Tensor) -> _Tangent:
        return reverse(w)[0]

    try:
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention cannot be differentiated twice
            z, reverse = vjp(outputs_of, parameters)[:2]
            forward = _forward_push(model, parameters, inputs)
            if forward is not None:
                return forward, pull
            _, reverse_again = vjp(pull, torch.zeros_like(z))[:2]
    except RuntimeError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise MisuseError(
            f"model cannot be differentiated twice ({reason}): replace that layer by one with a second derivative"
        ) from error

    def push(v: _Tangent) -> Tensor:
        return reverse_again(v)[0]

    return push, pull


def _outputs_of(model: nn.Module, inputs: Tensor) -> Callable[[_Tangent], Tensor]:
    def outputs_of(theta: _Tangent) -> Tensor:
        return functional_call(model, theta | constants(model, theta), (inputs,))

    return outputs_of


def _forward_push(model: nn.Module, parameters: _Tangent, inputs: Tensor) -> Callable[[_Tangent], Tensor] | None:
    """v -> J v by forward differentiation; None without convolutions, or where a layer does not support it."""
    if not any(isinstance(module, _CONVOLUTIONS) for module in model.modules()):
        return None
    try:
        own = copy.deepcopy(model)  # it is run at every product: modes and buffers of the caller's may change
        outputs_of = _outputs_of(own, inputs)

        def push(v: _Tangent) -> Tensor:
            return jvp(outputs_of, (parameters,), (v,))[1]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, inside torch's first jvp
            push(parameters)
    except RuntimeError:
        return None
    return push


def _check_adjoint(operator: GGNOperator, tolerance: float) -> None:
    """w . (J v) = v . (J^T w) for one v and w: a layer whose backward pass torch cannot follow breaks it silently."""
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(operator.parameter_count, generator=generator, dtype=torch.float64).to(operator.r.device)
    w = torch.randn(len(operator.r), generator=generator, dtype=torch.float64).to(operator.r.device)
    Jv, back = operator.jacobian_product(v), operator.transposed_product(w)
    gap = abs(float(w @ Jv - v @ back))
    if not gap <= tolerance * (_length(w) * _length(Jv) + _length(v) * _length(back)):
        raise MisuseError(
            f"model gives J v and J^T w that disagree by {gap:.3g}: "
            "one of its layers has a hand-written backward pass that cannot be differentiated; "
            "write that backward pass in differentiable operations"
        )


def _length(vector: Tensor) -> float:
    return float(vector.square().sum().sqrt())
