"""Batch normalisation from its formulas: the forward pass, and the backward pass in closed form.

Ioffe & Szegedy 2015, Algorithm 1 and the gradients at the end of section 3. x is (N, C) or
(N, C, *). Every channel is normalised by itself: mu, sigma2, gamma and beta are (C,), and each sum
runs over the m values that a channel has in the batch (m = N for (N, C), N·H·W for (N, C, H, W)):

    mu     = 1/m Σ x                                Algorithm 1, line 1
    sigma2 = 1/m Σ (x - mu)²                        line 2; the biased variance normalises
    x_hat  = (x - mu) / sqrt(sigma2 + eps)          line 3
    y      = gamma x_hat + beta                     line 4

    dbeta  = Σ dy                                   section 3, the last two gradients
    dgamma = Σ dy x_hat
    dx     = gamma / sqrt(sigma2 + eps) (dy - x_hat dgamma/m - dbeta/m)

where dy stands for ∂loss/∂y. `_centred` is lines 1 and 2, `forward` and `backward` are the others,
and `batch_norm` chooses who computes them. `tests/norms/test_norms_functional.py` tells of a change
of any: it compares with torch, with finite differences and with numbers worked out by hand.

Rounding: a float32 mean of 10,000 is off by up to 0.0005, and so is every x - mu. Therefore mu is
kept as two numbers, shift + residual. The shift, the mean of the first sample, need only be close
to the data; the residual is the mean of x - shift, so its error is relative to the spread of x.
A sample that is not finite gives no shift: inf - inf is nan where mu is inf.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bnbench.norms import kernels

VECTORS = ("running_mean", "running_var", "weight", "bias")


def near(x: Tensor) -> Tensor:
    """Take the shift: the mean of the first sample, (C,), or 0 where it is not finite."""
    first = x[0] if x.dim() == 2 else x[:1].mean(batch_dims(x), dtype=_compute_dtype(x))
    return _to(_compute_dtype(x), first.nan_to_num(0.0, 0.0, 0.0))


def _centred(x: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lines 1 and 2: x - mu, mu - shift and sigma2, for any shift near the data; differentiable."""
    c = x - column(shift, x)
    residual = _mean(c)  # line 1
    c -= column(residual, x)
    return c, residual, _mean(c.square())  # line 2


def forward(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, relu: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute Algorithm 1.

    Returns:
        y like x; then shift and residual, whose sum is mu, and sigma2, each (C,).
    """
    shift = near(x)
    c, residual, sigma2 = _centred(x, shift)
    # gamma and 1/std in one factor: x_hat itself is not kept, backward rebuilds it from x
    y = c.mul_(column(scale_by((sigma2 + eps).rsqrt(), weight), x))
    if bias is not None:
        y += column(bias, x)
    if relu:
        y.relu_()
    return _to(x.dtype, y), shift, residual, sigma2


def backward(
    dy: Tensor,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    shift: Tensor,
    residual: Tensor,
    sigma2: Tensor,
    eps: float,
    relu: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients at the end of section 3 in closed form.

    With std = sqrt(sigma2 + eps), and Σ (x - mu) = 0, the section's chain rule reads

        dx_hat  = gamma dy
        dsigma2 = -1/2 std⁻³ Σ dx_hat (x - mu)  =  -gamma dgamma / (2 std²)
        dmu     = -1/std Σ dx_hat               =  -gamma dbeta / std
        dx      = dx_hat/std + dsigma2 2/m (x - mu) + dmu/m
                = gamma/std (dy - x_hat dgamma/m - dbeta/m)

    The bracket takes out of dy its mean and its component along x_hat: to first order, a gradient
    step on x moves neither the mean nor the variance of the batch.

    Returns:
        dx in x's dtype; dgamma and dbeta, (C,).
    """
    c = (x - column(shift, x)).sub_(column(residual, x))
    inv_std = (sigma2 + eps).rsqrt()
    scale = column(scale_by(inv_std, weight), x)
    if relu:
        y = c * scale
        # as torch's ReLU: an infinite dy is blocked, and one where y is a NaN is not
        dy = dy.masked_fill((y if bias is None else y + column(bias, x)) <= 0, 0)
    x_hat = c.mul_(column(inv_std, x))
    m, dims = values_per_channel(x), batch_dims(x)
    dbeta = dy.sum(dims, dtype=x_hat.dtype)
    dgamma = (dy * x_hat).sum(dims)
    dx = torch.addcmul(dy, x_hat, column(dgamma, x), value=-1 / m)
    dx = dx.sub_(column(dbeta, x), alpha=1 / m).mul_(scale)
    return _to(x.dtype, dx), dgamma, dbeta


def evaluate(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    relu: bool = False,
) -> Tensor:
    """Compute lines 3 and 4 with given statistics: one affine map per channel.

    Algorithm 2, line 11.

    Returns:
        y like x.
    """
    dtype = _compute_dtype(x)
    scale = scale_by((_to(dtype, var) + eps).rsqrt(), weight)
    y = x - column(_to(dtype, mean), x)
    # gradients and transforms may need x - mean, a trace holds for both; else y takes its memory
    traced = torch._C._get_tracing_state() is not None
    keep = torch.is_grad_enabled() or traced or kernels.is_transformed()
    y = y * column(scale, x) if keep else y.mul_(column(scale, x))
    if bias is not None:
        y += column(bias, x)
    return _to(x.dtype, y.relu_() if relu else y)


def moments(x: Tensor) -> tuple[int, Tensor, Tensor]:
    """Measure x (N, C, *).

    Returns:
        m, then mu and the biased sigma2, each (C,) in float64.
    """
    shift = near(x)
    _, residual, sigma2 = _centred(x, shift)
    return values_per_channel(x), shift.double() + residual, sigma2.double()


def _mean(x: Tensor) -> Tensor:
    return x.mean(batch_dims(x))


def scale_by(inv_std: Tensor, weight: Tensor | None) -> Tensor:
    """The factor gamma/std of each channel."""
    return inv_std if weight is None else inv_std * weight


def column(vector: Tensor, x: Tensor) -> Tensor:
    """A vector (C,) in the shape that goes with x: (C,) with (N, C), (C, 1, …) with (N, C, *)."""
    return vector if x.dim() == 2 else vector.view(-1, *[1] * (x.dim() - 2))


def _to(dtype: torch.dtype, x: Tensor) -> Tensor:
    """Convert x; to ask first costs less than a conversion to what x is."""
    return x if x.dtype == dtype else x.to(dtype)


def values_per_channel(x: Tensor) -> int:
    """m, the number of values that each channel of x (N, C, *) has."""
    return x.shape[0] * math.prod(x.shape[2:])


def batch_dims(x: Tensor) -> list[int]:
    """The dimensions of x (N, C, *) that sums run over: all but that of the channels."""
    return [0, *range(2, x.dim())]


def _compute_dtype(x: Tensor) -> torch.dtype:
    dtype = x.dtype
    return dtype if dtype == torch.float32 else torch.promote_types(dtype, torch.float32)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    relu: bool = False,
    backend: str = "reference",
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
        training: whether the batch normalises, else the running statistics do.
        momentum: the weight of the new batch.
        eps: added to the variance; above 0 in training.
        relu: whether to return max(y, 0). Backward computes again from x where y was above 0, so
            that only x is kept; a ReLU module behind the layer keeps its output as well.
        backend: a key of `kernels.BACKENDS`, the code that computes; it changes speed and the last
            bits.

    Returns:
        y, in the shape, dtype and memory format of `input`; it can be differentiated twice.

    Raises:
        ValueError: one value per channel in training, `eps` out of range, an unknown backend, or
            one running statistic without the other in training.
        RuntimeError: no running statistics in evaluation, or a tensor of the wrong length or dtype.

    >>> batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True, eps=1e-12)
    tensor([[-1.],
            [ 1.]])
    """
    _check(input, training, eps, running_mean, running_var, weight, bias)
    if input.numel() == 0:  # the gradients of gamma and beta are 0
        return sum((t.sum() for t in (weight, bias) if t is not None), input.clone())
    if backend == "native":
        y = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
        return F.relu(y) if relu else y
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
        kernel = kernels.select(backend, input, weight, bias, running_mean, running_var)
        differentiable = [t for t in (input, weight, bias) if t is not None and t.requires_grad]
        is_recorded = torch.is_grad_enabled() and differentiable
        compute = evaluate if kernel is None or is_recorded else kernel.evaluate
        return compute(input, weight, bias, running_mean, running_var, eps, relu)
    if not kernels.is_transformed():
        kernel = kernels.select(backend, input, weight, bias)
        return _ClosedForm.apply(
            input, running_mean, running_var, weight, bias, momentum, eps, relu, kernel
        )
    # lines 1 to 4 by operations that torch.func and forward AD can transform, none of them in place
    shift = near(input)
    _, residual, sigma2 = _centred(input, shift)
    y = evaluate(input - column(shift, input), weight, None, residual, sigma2, eps)
    if bias is not None:
        y = y + column(bias, input)
    # running statistics are constants: no part of a graph, without a tangent
    mu = shift + residual
    _update(running_mean, running_var, input, mu.detach(), sigma2.detach(), momentum)
    return (y.relu() if relu else y).to(input.dtype)


class _ClosedForm(torch.autograd.Function):
    """Join `forward` and `backward`, or those of a kernel, to one operation of autograd.

    The running statistics are updated here, before anything is kept for backward: recomputation
    (`torch.utils.checkpoint`) may end the pass as soon as all that backward needs is there again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
        momentum: float,
        eps: float,
        relu: bool,
        kernel: kernels.Kernel | None,
    ):
        compute = kernel.forward if kernel else forward
        y, shift, residual, sigma2 = compute(x, weight, bias, eps, relu)
        _update(running_mean, running_var, x, shift + residual, sigma2, momentum)
        ctx.eps, ctx.relu, ctx.kernel = eps, relu, kernel
        # backward needs beta only to know where y is above 0
        ctx.save_for_backward(x, weight, bias if relu else None, shift, residual, sigma2)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        (dy,) = grads
        x, weight, bias, shift, residual, sigma2 = ctx.saved_tensors
        compute = ctx.kernel.backward if ctx.kernel else backward
        if torch.is_grad_enabled():  # for a second derivative, mu and sigma2 are functions of x
            (_, residual, sigma2), compute = _centred(x, shift), backward
        dx, dgamma, dbeta = compute(dy, x, weight, bias, shift, residual, sigma2, ctx.eps, ctx.relu)
        needs_dgamma, needs_dbeta = ctx.needs_input_grad[3:5]
        return (
            *(dx, None, None),
            *(dgamma if needs_dgamma else None, dbeta if needs_dbeta else None),
            *[None] * 4,
        )


def _update(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    x: Tensor,
    mu: Tensor,
    sigma2: Tensor,
    momentum: float,
) -> None:
    """Average the statistics of a batch into the running ones: mu, and the unbiased variance."""
    if running_mean is not None and running_var is not None:
        m = values_per_channel(x)
        average(running_mean, mu, momentum)
        average(running_var, sigma2, momentum, unbiased=m / (m - 1))


def average(running: Tensor, batch: Tensor, momentum: float, unbiased: float = 1.0) -> None:
    """Set running = (1 - momentum) running + momentum (unbiased · batch), in place."""
    batch = _to(running.dtype, batch)
    try:  # no lerp_, which subtracts: nan of an infinite value that stays infinite by the formula
        running.mul_(1 - momentum).add_(batch, alpha=momentum * unbiased)
    except RuntimeError as error:
        if not torch._C._are_functorch_transforms_active():
            raise
        raise RuntimeError(
            "under vmap running statistics must be batched too (torch.func.stack_module_state) "
            "or not be there (track_running_stats=False)"
        ) from error


def _check(x: Tensor, training: bool, eps: float, *vectors: Tensor | None) -> None:
    if training and values_per_channel(x) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {x.shape}"
        )
    if eps < 0 or (training and eps == 0):
        bound = "positive during training" if training else "non-negative"
        raise ValueError(f"batch_norm eps must be {bound}, but got {eps}")
    if x.numel() == 0:
        return  # as torch, which returns whatever has no values
    if x.dim() < 2 or not x.is_floating_point():
        raise RuntimeError(f"expected a floating-point (N, C, *), got {x.dtype} {list(x.shape)}")
    running_mean, running_var, *_ = vectors
    if training and (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    num_channels = x.shape[1]
    for name, vector in zip(VECTORS, vectors, strict=True):
        if vector is not None and vector.shape != (num_channels,):
            found = vector.numel() if vector.dim() == 1 else list(vector.shape)
            raise RuntimeError(f"{name} should contain {num_channels} elements not {found}")
    dtypes = {vector.dtype for vector in vectors if vector is not None}
    if len(dtypes) > 1 or not dtypes <= {x.dtype, _compute_dtype(x)}:
        raise RuntimeError(
            f"mixed dtypes: a {x.dtype} input with parameters or statistics {dtypes}"
        )
