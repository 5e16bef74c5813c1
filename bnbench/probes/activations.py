"""Inputs of the activation functions: their distribution, their drift, the share that saturates.

A unit is one of a layer's features, or a channel with all its locations; percentiles are a unit's
own, with linear interpolation, and their mean over units is reported. Float64 throughout, of
values in the net's own dtype.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.probes.passes import (
    Batch,
    Values,
    measure_layer_inputs,
    measure_norm_inputs,
    measure_preactivations,
)

SHARES = {"p15": 0.15, "p50": 0.5, "p85": 0.85}  # Ioffe & Szegedy 2015, figure 1(b, c)
STEEPEST = {nn.ReLU: 1.0, nn.Sigmoid: 0.25, nn.Tanh: 1.0}  # the largest derivative
REACH, BINS = 8.0, 64  # of the histogram: equal bins from -8 to 8, and two open ones beyond
KEPT = "kept"  # whether values can be compared with at the next call; no metric
FLAT = 0.2  # share of the largest derivative below which a unit saturates: 0.05 for the sigmoid


def activations(model: nn.Module, batch: Batch) -> Values:
    """Measure mean and (biased) standard deviation of a layer's values, and percentiles by unit."""

    def measure(_layer: str, _block: nn.Module, x: Tensor) -> dict[str, Tensor]:
        x = x.double()
        values = {
            "preactivation_mean": x.mean(),
            "preactivation_std": x.std(correction=0),
        }
        of_units = percentiles(x.sort().values)
        return values | dict(zip(SHARES, of_units.mean(1), strict=True))

    return measure_preactivations(model, batch.images, measure)


def histogram(model: nn.Module, batch: Batch) -> Values:
    """Measure the share of a layer's values in each bin, on the reference images.

    `share_00` is below -REACH, `share_01` in the first of BINS equal bins, each with its lower edge
    and without its upper, and the last, `share_65`, from REACH on.
    """

    def measure(_layer: str, _block: nn.Module, x: Tensor) -> dict[str, Tensor]:
        edges = torch.linspace(-REACH, REACH, BINS + 1, dtype=torch.float64, device=x.device)
        bins = torch.bucketize(x.double().flatten(), edges, right=True)
        # bincount would wait, to see how many bins there are
        counts = bins.new_zeros(BINS + 2).scatter_add_(0, bins, torch.ones_like(bins))
        shares = counts.double() / bins.numel()
        return {f"share_{k:02}": share for k, share in enumerate(shares)}

    return measure_preactivations(model, batch.reference, measure)


def saturation(model: nn.Module, batch: Batch) -> Values:
    """Measure the share of values where the activation is flat, and the mean |gamma| of the norm.

    Flat means a derivative below 0.05 for the sigmoid, below 0.2 for tanh (the same share of the
    largest derivative), and 0 for ReLU.
    """

    def measure(_layer: str, block: nn.Module, x: Tensor) -> dict[str, Tensor]:
        activation = block.get_submodule("activation")
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(activation(x).sum(), x)
        is_flat = slope < FLAT * STEEPEST[type(activation)]
        values = {"saturation": is_flat.double().mean()}
        gamma = gamma_of(block)
        return values if gamma is None else values | {"gamma": gamma.double().abs().mean()}

    return measure_preactivations(model, batch.images, measure)


def variance(model: nn.Module, batch: Batch) -> Values:
    """Measure the variance that enters a BatchNorm in evaluation, over its running variance.

    Of the reference images, both summed over units. Where dropout stands in front of the norm the
    running variance has its noise and what is evaluated has not: Li et al. 2018, 1801.05134,
    section 3. There are no numbers of norms without running statistics.
    """

    def ratio(norm: nn.Module, x: Tensor) -> dict[str, Tensor]:
        state = next(with_running_statistics(norm), None)
        if state is None:
            return {}
        return {"variance_ratio": x.double().var(1).sum() / state.running_var.double().sum()}

    return measure_norm_inputs(model, batch.reference, ratio, training=False)


def affine(model: nn.Module, batch: Batch) -> Values:
    """Measure how far gamma and beta of a BatchNorm are from undoing its normalisation.

    With gamma = sigma and beta = mu of its input, sigma² = var + eps, the output of a BatchNorm is
    its input (Ioffe & Szegedy 2015, section 3). Of a unit the distance from there, in units of
    sigma,

        sqrt((gamma / sigma - 1)² + ((beta - mu) / sigma)²),

    is the root mean square difference of output and input. `identity_distance` is its median over
    units, `identity_distance_unlearned` that of gamma = 1 and beta = 0 in the same net. mu and
    sigma are those of the reference images, in training mode. There are no numbers of norms without
    running statistics.
    """

    def distances(norm: nn.Module, x: Tensor) -> dict[str, Tensor]:
        state = next(with_running_statistics(norm), None)
        if state is None:
            return {}
        x = x.double()
        mu, sigma = x.mean(1), (x.var(1, correction=0) + state.eps).sqrt()

        def distance(gamma: Tensor, beta: Tensor) -> Tensor:
            each = torch.hypot(gamma.double() / sigma - 1, (beta.double() - mu) / sigma)
            return percentiles(each.sort().values[None])[1, 0]

        unlearned = torch.ones_like(mu), torch.zeros_like(mu)
        learned = [
            own if (own := getattr(state, name)) is not None else start
            for name, start in zip(("weight", "bias"), unlearned, strict=True)
        ]
        return {
            "identity_distance": distance(*learned),
            "identity_distance_unlearned": distance(*unlearned),
        }

    return measure_norm_inputs(model, batch.reference, distances, training=True)


def with_running_statistics(norm: nn.Module) -> Iterator[Any]:
    """Find the modules of a norm, itself or inside it, that keep a running variance."""
    for module in norm.modules():
        if getattr(module, "running_var", None) is not None:
            yield module


def conditioning(model: nn.Module, batch: Batch) -> Values:
    """Measure how unevenly the inputs of each inner layer are spread over their directions.

    `conditioning` is the largest eigenvalue of the second moments of a layer's inputs x on the
    reference images, E[x xᵀ] without taking the mean out, over the mean of all eigenvalues. For a
    linear layer with a squared loss that matrix is the Hessian of each unit's weights (LeCun et al.
    1998, Efficient BackProp, section 5.1). It is 1 where all directions are alike, and as large as
    there are units where all inputs are multiples of one. The smallest eigenvalue, of which a
    condition number would be made, is 0 where a unit is dead.
    """

    def spread(x: Tensor) -> Tensor:
        moments = x @ x.T / x.shape[1]
        return torch.linalg.eigvalsh(moments)[-1] / (moments.trace() / len(x))

    found = measure_layer_inputs(model, batch.reference, spread)
    return {(layer, "conditioning"): value for (layer, _), value in found.items()}


def gamma_of(block: nn.Module) -> Tensor | None:
    """Find gamma in a block's norm, or in the norm inside; None without a gamma."""
    parameters = getattr(block, "norm", nn.Identity()).named_parameters()
    return next((p for name, p in parameters if name.rpartition(".")[2] == "weight"), None)


class Drift:
    """The probe of the drift of each unit's distribution since the last point, on reference images.

    `drift` is the mean over units of |median - last median|, over the mean of the spreads (85th
    less 15th percentile) then and now; `drift_shape` is the mean over units of the two-sample
    Kolmogorov-Smirnov distance of then and now, each with mean 0 and variance 1. The first call
    returns nothing, and so does a call after values that are not finite.
    """

    def __init__(self) -> None:
        self.last: dict[str, Tensor] = {}  # layer -> the values of each unit in order

    def __call__(self, model: nn.Module, batch: Batch) -> Values:
        """Compare with the last call."""
        values = measure_preactivations(model, batch.reference, self.measure)
        for layer in list(self.last):
            if math.isnan(values.pop((layer, KEPT))):
                del self.last[layer]
        return values

    def measure(self, layer: str, _block: nn.Module, x: Tensor) -> dict[str, Tensor]:
        """Compare a layer with the last call."""
        now, last = x.sort().values, self.last.get(layer)
        self.last[layer] = now
        kept = {KEPT: now.new_ones(())}  # not a number where the layer has none to keep
        if last is None:
            return kept
        then, here = percentiles(last.double()), percentiles(now.double())
        moved, spread = (here[1] - then[1]).abs(), (here[2] - here[0] + then[2] - then[0]) / 2
        distance = kolmogorov_smirnov(standardised(last), standardised(now))
        return {
            "drift": moved.mean() / spread.mean(),
            "drift_shape": distance.mean(),
            **kept,
        }


def percentiles(ordered: Tensor) -> Tensor:
    """Compute the percentiles `SHARES` of ascending values (units, M), as (3, units).

    >>> percentiles(torch.arange(101.0)[None]).flatten().tolist()
    [15.0, 50.0, 85.0]
    """
    last = ordered.shape[1] - 1
    # filled on the device: a list would be copied there
    shares = [ordered.new_full((), share, dtype=torch.float64) for share in SHARES.values()]
    places = last * torch.stack(shares)
    low = places.long()
    below, above = ordered[:, low], ordered[:, (low + 1).clamp(max=last)]
    return below.lerp(above, (places - low).to(ordered.dtype)).T


def standardised(x: Tensor) -> Tensor:
    """Scale each unit of (units, M) to mean 0 and variance 1; a constant unit becomes zeros."""
    x = x.double()
    centred = x - x.mean(1, keepdim=True)
    std = centred.square().mean(1, keepdim=True).sqrt()
    return centred / std.where(std > 0, 1)


def kolmogorov_smirnov(a: Tensor, b: Tensor) -> Tensor:
    """Compute the largest distance of two empirical distribution functions, unit by unit.

    Args:
        a: ascending values, (units, M).
        b: the same of the other sample, (units, K).

    Returns:
        The distances, (units,).
    """
    # F_a - F_b rises at values of a alone, so it is extreme there or just before; of equal values
    # the last has the right F_a and the first the right limit, the others none that is more extreme
    steps = torch.arange(a.shape[1] + 1, device=a.device).double() / a.shape[1]
    cdf, limit = (
        torch.searchsorted(b, a, right=side).double() / b.shape[1] for side in (True, False)
    )
    return torch.maximum(steps[1:] - cdf, limit - steps[:-1]).amax(1)
