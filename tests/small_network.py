"""A network small enough for dense linear algebra, and the finite-time filter of its curvature in numpy."""

import numpy as np
import torch
from torch import nn

from tngd_hw.curvature import ggn_factors

DAMPING = 0.2


def small_case():
    """Three samples, four classes, 31 parameters: nothing has the size of anything else."""
    generator = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 4)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model, (torch.randn(3, 2, generator=generator, dtype=torch.float64), torch.tensor([2, 0, 3]))


def dense_answer(model, batch, t):
    """(1 - e^(-(G + lambda) t)) (G + lambda)^-1 g with numpy, g from backward()."""
    factors = ggn_factors(model, nn.CrossEntropyLoss(), batch)
    eigenvalues, vectors = np.linalg.eigh(factors.ggn_matrix().numpy())
    model.zero_grad()
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in model.parameters()]).numpy()
    model.zero_grad()
    mu = eigenvalues + DAMPING
    gain = 1 / mu if np.isinf(t) else -np.expm1(-mu * t) / mu
    return vectors @ (gain * (vectors.T @ gradient)), gradient
