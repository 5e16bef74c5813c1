"""Batch normalisation from its formulas: the forward pass, and the backward pass in closed form.

Ioffe & Szegedy 2015, Algorithm 1 and the gradients at the end of section 3. For each channel, with
every sum over the m values that it has in the batch (m = N for (N, C), N·H·W for (N, C, H, W)):

    mu     = 1/m Σ x                                Algorithm 1, line 1
    sigma2 = 1/m Σ (x - mu)²                        line 2; biased, and this is what normalises
    x_hat  = (x - mu) / sqrt(sigma2 + eps)          line 3
    y      = gamma x_hat + beta                     line 4

    dbeta  = Σ dy                                   section 3, the last two gradients
    dgamma = Σ dy x_hat
    dx     = gamma / sqrt(sigma2 + eps) (dy - x_hat dgamma/m - dbeta/m)

where dy stands for ∂loss/∂y. The last line is the section's chain rule, through mu and sigma2, with
everything substituted. It takes out of dy its mean and its component along x_hat: to first order, a
gradient step on x moves neither the mean nor the variance of the batch.

Rounding: a float32 mean of 10,000 is off by up to 0.0005, and so is every x - mu. Therefore mu is
kept as two numbers, shift + residual. The shift, the mean of the first sample, need only be close
to the data; the residual is the mean of x - shift, so its error is relative to the spread of x.
"""

import math
from typing import Any

import torch
from torch import Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel by its batch (`training`) or by its running statistics.

    The arguments, numbers and kinds of errors are those of `torch.nn.functional.batch_norm`. In
    training the running statistics, where given, are updated in place:

        running = (1 - momentum) running + momentum batch

    `momentum` is the weight of the *new* batch, and running_var takes the unbiased variance
    sigma2 m/(m - 1), although the biased sigma2 normalises.

    Args:
        input: x, (N, C, *); float16 and bfloat16 are computed in float32.
        running_mean: (C,), or None in training.
        running_var: (C,), or None in training.
        weight: gamma, (C,), or None for ones.
        bias: beta, (C,), or None for zeros.
        training: which statistics normalise.
        momentum: see above.
        eps: added to the variance; above 0 in training.

    Returns:
        y, in the shape, dtype and memory format of `input`; it can be differentiated twice.

    Raises:
        ValueError: one value per channel in training, `eps` out of range, or one running statistic
            without the other in training.
        RuntimeError: no running statistics in evaluation, or a tensor of the wrong length or dtype.

    >>> batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-12)
    tensor([[-1.],
            [ 1.]])
    """
    statistics = {"running_mean": running_mean, "running_var": running_var}
    _check(input, training, eps, **statistics, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
        return _normalise_by(running_mean, running_var, input, weight, bias, eps)
    y, mu, sigma2 = _BatchNorm.apply(input, weight, bias, eps)
    m = values_per_channel(input)
    if running_mean is not None and running_var is not None and m > 0:
        unbiased = sigma2 * (m / (m - 1))
        running_mean.lerp_(mu.view(-1).to(running_mean.dtype), momentum)
        running_var.lerp_(unbiased.view(-1).to(running_var.dtype), momentum)
    return y


def moments(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """m, mu and the biased sigma2 of x (N, C, *); mu and sigma2 are (C,), in float64."""
    shift = _mean(x[:1])
    _, residual, sigma2 = _centred(x, shift)
    mu = shift.double() + residual
    return values_per_channel(x), mu.view(-1), sigma2.double().view(-1)


def values_per_channel(x: Tensor) -> int:
    """m, the number of values that each channel of x (N, C, *) has."""
    return x.shape[0] * math.prod(x.shape[2:])


class _BatchNorm(torch.autograd.Function):
    """Algorithm 1: (x, gamma, beta, eps) -> y, mu, sigma2. Only y carries a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float):
        shift = _mean(x[:1])
        c, residual, sigma2 = _centred(x, shift)
        inv_std = (sigma2 + eps).rsqrt()
        # gamma and 1/std in one factor: x_hat itself is not kept, backward rebuilds it from x
        y = c.mul_(_scale(inv_std, weight))
        if bias is not None:
            y += bias.view_as(inv_std)
        mu = shift + residual
        ctx.eps = eps
        ctx.save_for_backward(x, weight, shift, residual, inv_std)
        ctx.mark_non_differentiable(mu, sigma2)
        return y.to(x.dtype), mu, sigma2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        dy, *_ = grads
        x, weight, shift, residual, inv_std = ctx.saved_tensors
        if torch.is_grad_enabled():  # for a second derivative, mu and sigma2 are functions of x
            _, residual, sigma2 = _centred(x, shift)
            inv_std = (sigma2 + ctx.eps).rsqrt()
        x_hat = (x - shift).sub_(residual).mul_(inv_std)
        m, dims = max(1, values_per_channel(x)), _batch_dims(x)
        dbeta = dy.sum(dims, keepdim=True, dtype=x_hat.dtype)
        dgamma = (dy * x_hat).sum(dims, keepdim=True)
        dx = torch.addcmul(dy, x_hat, dgamma, value=-1 / m).sub_(dbeta, alpha=1 / m)
        dx = dx.mul_(_scale(inv_std, weight))
        _, needs_dgamma, needs_dbeta, _ = ctx.needs_input_grad
        return (
            dx.to(x.dtype),
            dgamma.view(-1) if needs_dgamma else None,
            dbeta.view(-1) if needs_dbeta else None,
            None,
        )


def _normalise_by(
    mean: Tensor, var: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Lines 3 and 4 with fixed statistics: one affine map per channel (Algorithm 2, line 11)."""
    shape, dtype = (1, -1, *[1] * (x.dim() - 2)), _compute_dtype(x)
    inv_std = (var.view(shape).to(dtype) + eps).rsqrt()
    y = (x - mean.view(shape).to(dtype)) * _scale(inv_std, weight)
    if bias is not None:
        y += bias.view(shape)
    return y.to(x.dtype)


def _centred(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x - mu, mu - shift and sigma2, for any shift near the data; differentiable in x."""
    c = x - shift
    residual = _mean(c)
    c -= residual
    return c, residual, _mean(c.square())


def _mean(x: Tensor) -> Tensor:
    return x.mean(_batch_dims(x), keepdim=True, dtype=_compute_dtype(x))


def _scale(inv_std: Tensor, weight: Tensor | None) -> Tensor:
    return inv_std if weight is None else inv_std * weight.view_as(inv_std)


def _batch_dims(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _compute_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _check(x: Tensor, training: bool, eps: float, **vectors: Tensor | None) -> None:
    if training and values_per_channel(x) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {x.shape}"
        )
    if training and (vectors["running_mean"] is None) != (vectors["running_var"] is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if eps < 0 or (training and eps == 0):
        bound = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {bound}, but got {eps}")
    if x.dim() < 2 or not x.is_floating_point():
        raise RuntimeError(f"expected a floating-point (N, C, *), got {x.dtype} {list(x.shape)}")
    given = {name: vector for name, vector in vectors.items() if vector is not None}
    for name, vector in given.items():
        if vector.numel() != x.shape[1]:
            raise RuntimeError(f"{name} should contain {x.shape[1]} elements not {vector.numel()}")
    dtypes = {vector.dtype for vector in given.values()}
    if dtypes not in (set(), {x.dtype}, {_compute_dtype(x)}):
        raise RuntimeError(
            f"mixed dtypes: a {x.dtype} input with parameters or statistics {dtypes}"
        )
