"""Normalisation by other norms: batch normalisation by L1 and L∞, and ParseNet's L2 over channels.

Santurkar et al. 2018, section 3.3, ask whether L1, L2 and L∞ do as well as one another; the scales
and their constants here are those of Hoffer et al. 2018 ("Norm matters"), section 4, with c_i =
x_i - mu and m values per channel:

    L1   sqrt(π/2) 1/m Σ |c_i|
    L∞   C(m) max |c_i|,    C(m) = (1 + sqrt(π ln 4)) / sqrt(8 ln m)

The first constant makes the scale of Gaussian data its standard deviation. The second does so only
roughly: it is the mean of the reciprocals of two bounds of the largest of m Gaussians, and the
scale comes out at 1.4 standard deviations for m = 64, 1.5 for m = 100,000. Both scales are centred,
as those of Hoffer et al.; Santurkar et al. take the norm before they subtract the mean.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.norms.functional import average, batch_dims, column, near, values_per_channel
from bnbench.norms.held import HoldsBatchNorm
from bnbench.norms.leaf import Leaf
from bnbench.norms.variants import AnyRank


class _WithSpread(AnyRank):
    """A batch normalisation whose running_var averages another square of a scale.

    A subclass has `spread2`: the squared scale (C,) of x (N, C, *) about mean (C,); differentiable.
    """

    spread2: Callable[[Tensor, Tensor], Tensor]

    def take(self, mean: Tensor, spread2: Tensor) -> None:
        """Average the statistics of a batch into the running ones, where there are any."""
        if not self.track_running_stats:
            return
        momentum = self._count_batch()
        if self.running_mean is not None and self.running_var is not None:
            average(self.running_mean, mean.detach(), momentum)
            average(self.running_var, spread2.detach(), momentum)


class _ScaledBatchNorm(HoldsBatchNorm):
    """Batch normalisation by sqrt(spread2 + eps), with the `spread2` of its child `norm`.

    running_var averages the spread2 of the batches, without correction for their size; in
    evaluation it takes the place of the variance.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch in training or without running statistics, else by those."""
        norm = self.norm
        has_statistics = norm.running_mean is not None or norm.running_var is not None
        if input.numel() == 0 or (has_statistics and not norm.training):
            return norm(input)
        norm = self._kept()
        norm._check_input_dim(input)
        if values_per_channel(input) == 1:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size "
                f"{input.shape}"
            )
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        # mu as shift + mean, see functional.py: a large mu must not cost the digits of x - mu
        shift = near(x.detach())
        x = x - column(shift, x)
        mean = x.mean(batch_dims(x))
        spread2 = norm.spread2(x, mean)
        if norm.training:  # before anything is kept for backward, see functional._ClosedForm
            norm.take(shift + mean, spread2)
        scale = (spread2 + norm.eps).rsqrt()
        if norm.weight is not None:
            scale = scale * norm.weight
        y = (x - column(mean, x)) * column(scale, x)
        if norm.bias is not None:
            y = y + column(norm.bias, x)
        return y.to(input.dtype)


class _L1Spread(_WithSpread):
    @staticmethod
    def spread2(x: Tensor, mean: Tensor) -> Tensor:
        """π/2 (1/m Σ |x - mean|)²; of Gaussian data the variance."""
        return math.pi / 2 * _deviation(x, mean).mean(batch_dims(x)).square()

    def population_variance(self, inputs: Iterable[Tensor], mean: Tensor) -> Tensor:
        """Compute spread2 of all inputs together (`population.HasOwnVariance`)."""
        count, total = 0, torch.zeros_like(mean)
        for x in inputs:
            count += values_per_channel(x)
            total = total + _deviation(x.double(), mean).sum(batch_dims(x))
        return math.pi / 2 * (total / count).square()


class L1BatchNorm(_ScaledBatchNorm):
    """Batch normalisation by sqrt(π/2) times the mean absolute deviation.

    Arguments and state as for `BatchNorm1d`, for any (N, C, *).

    >>> layer = L1BatchNorm(1, affine=False)
    >>> layer(torch.tensor([[0.0], [2.0], [1.0]])).flatten()  # deviations 1, 1 and 0
    tensor([-1.1968,  1.1968,  0.0000])
    """

    holds = _L1Spread


class _LInfSpread(_WithSpread):
    @staticmethod
    def spread2(x: Tensor, mean: Tensor) -> Tensor:
        """(C(m) max |x - mean|)²."""
        largest = _deviation(x, mean).amax(batch_dims(x))
        return (_constant(values_per_channel(x)) * largest).square()

    def population_variance(self, inputs: Iterable[Tensor], mean: Tensor) -> Tensor:
        """Compute spread2 of all inputs together (`population.HasOwnVariance`)."""
        count, largest = 0, torch.zeros_like(mean)
        for x in inputs:
            count += values_per_channel(x)
            of_batch = _deviation(x.double(), mean).amax(batch_dims(x))
            largest = torch.maximum(largest, of_batch)
        return (_constant(count) * largest).square()


class LInfBatchNorm(_ScaledBatchNorm):
    """Batch normalisation by C(m) times the largest absolute deviation.

    Arguments and state as for `BatchNorm1d`, for any (N, C, *).

    >>> layer = LInfBatchNorm(1, affine=False)
    >>> layer(torch.tensor([[0.0], [2.0], [1.0]])).flatten()  # C(3) = 1.0412
    tensor([-0.9604,  0.9604,  0.0000])
    """

    holds = _LInfSpread


def _constant(m: int) -> float:
    if m == 1:
        return 0.0  # a single value has no deviation
    return (1 + math.sqrt(math.pi * math.log(4))) / math.sqrt(8 * math.log(m))


def _deviation(x: Tensor, mean: Tensor) -> Tensor:
    return (x - mean.view(1, -1, *[1] * (x.dim() - 2))).abs()


class L2Norm(Leaf, nn.Module):
    """The channels of each location scaled to length 1, then each by a learned factor.

    Liu, Rabinovich & Berg 2015 (ParseNet), section 3.3. SSD has this layer behind conv4_3, with
    factors that start at 20 (Liu et al. 2016, section 3.1). Some notes on SSD call it batch
    normalisation, though no batch and no mean is involved.

        y_c = weight_c x_c / max(|x|, eps),    |x|² = Σ_c x_c²

    Args:
        num_features: C.
        init_scale: the initial value of every factor.
        eps: lower bound of the length, so that a location without signal stays 0.

    >>> L2Norm(2)(torch.tensor([[3.0, 4.0]])).tolist()
    [[12.0, 16.0]]
    """

    def __init__(self, num_features: int, init_scale: float = 20.0, eps: float = 1e-12) -> None:
        super().__init__()
        self.init_scale, self.eps = init_scale, eps
        self.weight = nn.Parameter(torch.empty(num_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every factor to `init_scale`."""
        nn.init.constant_(self.weight, self.init_scale)

    def forward(self, input: Tensor) -> Tensor:
        """Scale each location of (N, C, *)."""
        weight = self.weight.view(-1, *[1] * (input.dim() - 2))
        return F.normalize(input, dim=1, eps=self.eps) * weight

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{len(self.weight)}, init_scale={self.init_scale}, eps={self.eps}"
