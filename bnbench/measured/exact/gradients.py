"""E1, E2, E4, E5: the layer beside torch's, its gradient, and what of the layer before it survives.

N0 to N4 are the notes of docs/myths.md.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench import norms
from bnbench.measured.exact.arithmetic import (
    Bound,
    Check,
    draws,
    error,
    largest,
    layer,
    set_parameters,
    smallest,
)

DTYPES = {"float64": (torch.float64, 1e-10), "float32": (torch.float32, 1e-5)}
LAYOUTS = [
    ((8, 5), torch.contiguous_format),
    ((2, 5), torch.contiguous_format),
    ((4, 5, 6), torch.contiguous_format),
    ((4, 5, 3, 2), torch.contiguous_format),
    ((4, 5, 3, 2), torch.channels_last),
]
QUANTITIES = ("y", "dx", "dgamma", "dbeta", "running_mean", "running_var", "evaluation")


def against_torch() -> dict[str, float]:
    """Our layer and torch's, step by step, in every layout."""
    errors = defaultdict[str, list[float]](list)
    for name, (dtype, _) in DTYPES.items():
        for shape, memory_format in LAYOUTS:
            ours, native = (three_steps(m, shape, memory_format, dtype) for m in (norms, nn))
            for quantity in QUANTITIES:
                errors[f"{quantity}, {name}"].append(error(ours[quantity], native[quantity]))
            miscount = ours["count"] - native["count"]
            errors["num_batches_tracked"].append(abs(miscount.item()))
    return {part: largest(numbers) for part, numbers in errors.items()}


def three_steps(
    module: Any, shape: tuple[int, ...], memory_format: torch.memory_format, dtype: torch.dtype
) -> dict[str, Tensor]:
    """All that a BatchNorm of `module` gives in its third step, and in evaluation after it."""
    draw = draws()
    kind = module.BatchNorm2d if len(shape) == 4 else module.BatchNorm1d
    bn = set_parameters(kind(5, dtype=dtype), draw(5), draw(5))
    steps = [
        (3 + 2 * draw(*shape)).to(dtype).contiguous(memory_format=memory_format) for _ in range(4)
    ]
    for x in steps[:2]:
        bn(x)
    x = steps[2].requires_grad_()
    y = bn(x)
    dx, dgamma, dbeta = torch.autograd.grad(y, [x, bn.weight, bn.bias], draw(*shape).to(dtype))
    outputs = {"y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    state = {"running_mean": bn.running_mean, "running_var": bn.running_var}
    return {**outputs, **state, "count": bn.num_batches_tracked, "evaluation": bn.eval()(steps[3])}


E1 = Check(
    {
        **{
            f"{quantity}, {name}": Bound("largest relative difference from torch.nn", "<=", limit)
            for name, (_, limit) in DTYPES.items()
            for quantity in QUANTITIES
        },
        "num_batches_tracked": Bound("difference from torch.nn", "<=", 0),
    },
    against_torch,
)


def closed_form() -> dict[str, float]:
    """Three ways to the gradient beside autograd through the elementary operations."""
    draw, eps = draws(), 1e-2
    x, gamma, beta, dy = 3 + 2 * draw(16, 4), draw(4), draw(4), draw(16, 4)

    leaves = [t.clone().requires_grad_() for t in (x, gamma, beta)]
    mu, sigma2 = leaves[0].mean(0), leaves[0].var(0, correction=0)
    y = leaves[1] * (leaves[0] - mu) / (sigma2 + eps).sqrt() + leaves[2]
    truth = torch.autograd.grad(y, leaves, dy)

    bn, leaf = set_parameters(layer(4, eps=eps), gamma, beta), x.clone().requires_grad_()
    ours = torch.autograd.grad(bn(leaf), [leaf, bn.weight, bn.bias], dy)
    with torch.no_grad():
        slopes = central_differences(lambda x: (bn(x) * dy).sum(), x, step=1e-5)
    return {
        "formula of N4": error(n4_dx(x, dy, gamma, eps), truth[0]),
        "backward of the layer": largest(map(error, ours, truth)),
        "finite differences": error(ours[0], slopes),
    }


def n4_dx(x: Tensor, dy: Tensor, gamma: Tensor, eps: float) -> Tensor:
    """dx as N4 prints it, for x (m, C)."""
    m, std = len(x), (x.var(0, correction=0) + eps).sqrt()
    x_hat = (x - x.mean(0)) / std
    return gamma / (m * std) * (m * dy - dy.sum(0) - x_hat * (dy * x_hat).sum(0))


def central_differences(function: Callable[[Tensor], Tensor], x: Tensor, step: float) -> Tensor:
    """The gradient of a scalar function, one entry of x at a time."""
    moves = step * torch.eye(x.numel(), dtype=x.dtype).view(-1, *x.shape)
    differences = [function(x + move) - function(x - move) for move in moves]
    return torch.stack(differences).view(x.shape) / (2 * step)


E2 = Check(
    {
        "formula of N4": Bound("largest relative difference from autograd", "<=", 1e-12),
        "backward of the layer": Bound("largest relative difference from autograd", "<=", 1e-12),
        "finite differences": Bound("largest relative difference from the layer", "<=", 1e-8),
    },
    closed_form,
)


def bias_before() -> dict[str, float]:
    """A linear layer and a convolution, each with a bias in front of BN."""
    draw = draws()
    trained, frozen, moved = [], [], []
    for weights, u, w in (
        (F.linear, draw(16, 6), draw(4, 6)),
        (F.conv2d, draw(4, 6, 5, 5), draw(4, 6, 3, 3)),
    ):
        bn, b = layer(4, spatial_dims=u.dim() - 2), draw(4).requires_grad_()
        y = bn(weights(u, w, b))
        dy = draw(*y.shape)
        trained.append(torch.autograd.grad(y, b, dy)[0].abs().max().item())
        moved.append(error(bn(weights(u, w, b + 10)), y))
        frozen.append(torch.autograd.grad(bn.eval()(weights(u, w, b)), b, dy)[0].abs().max().item())
    return {
        "linear": trained[0],
        "convolution": trained[1],
        "output": largest(moved),
        "evaluation": smallest(frozen),
    }


E4 = Check(
    {
        "linear": Bound("largest |∂loss/∂b|", "<=", 1e-12),
        "convolution": Bound("largest |∂loss/∂b|", "<=", 1e-12),
        "output": Bound("largest relative change of y when b grows by 10", "<=", 1e-12),
        "evaluation": Bound("largest |∂loss/∂b| under fixed statistics", ">=", 0.1),
    },
    bias_before,
)


def scaled_weights() -> dict[str, float]:
    """BN after a linear layer with weights W and with weights 10 W."""
    draw, a = draws(), 10.0
    u, w, dy = draw(16, 6), draw(4, 6), draw(16, 4)
    bn = layer(4, eps=1e-15)  # the law is exact without eps, and off by about eps/sigma2 with it

    def output_and_gradient(w: Tensor) -> tuple[Tensor, Tensor]:
        leaf = w.clone().requires_grad_()
        y = bn(F.linear(u, leaf))
        return y, torch.autograd.grad(y, leaf, dy)[0]

    (y, dw), (scaled_y, scaled_dw) = output_and_gradient(w), output_and_gradient(a * w)
    return {
        "output": error(scaled_y, y),
        "gradient": error(a * scaled_dw, dw),
        "direction": F.cosine_similarity(w, dw).abs().max().item(),
    }


E5 = Check(
    {
        "output": Bound("largest relative difference of BN(10Wu) from BN(Wu)", "<=", 1e-12),
        "gradient": Bound("largest relative difference of 10 ∂/∂(10W) from ∂/∂W", "<=", 1e-12),
        "direction": Bound("largest |cosine| between a unit's W and ∂/∂W", "<=", 1e-12),
    },
    scaled_weights,
)
