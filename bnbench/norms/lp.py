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
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.norms.functional import values_per_channel
from bnbench.norms.variants import AnyRank


class _ScaledBatchNorm(AnyRank):
    """Batch normalisation by sqrt(spread2 + eps), whatever a subclass means by `spread2`.

    running_var averages the spread2 of the batches as it normalised them, without correction for
    their size; it takes the place of the variance in evaluation.
    """

    @staticmethod
    def spread2(x: Tensor, mean: Tensor) -> Tensor:
        """The square of the scale of x (N, C, *) about mean (C,), as (C,); differentiable."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch in training or without running statistics, else by those."""
        has_statistics = self.running_mean is not None or self.running_var is not None
        if not self.training and has_statistics:
            return super().forward(input)
        self._check_input_dim(input)
        if values_per_channel(input) < 2:
            raise ValueError(
                f"Expected more than 1 value per channel when training, got input size "
                f"{input.shape}"
            )
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        # mu as shift + mean, see functional.py: a large mu must not cost the digits of x - mu
        shift = x[:1].detach().mean(_batch_dims(x), keepdim=True)
        x = x - shift
        mean = x.mean(_batch_dims(x))
        spread2 = self.spread2(x, mean)
        scale = (spread2 + self.eps).rsqrt()
        if self.weight is not None:
            scale = scale * self.weight
        y = (x - mean.view_as(shift)) * scale.view_as(shift)
        if self.bias is not None:
            y = y + self.bias.view_as(shift)
        if self.training:
            self._average(shift.flatten() + mean, spread2)
        return y.to(input.dtype)


class L1BatchNorm(_ScaledBatchNorm):
    """Batch normalisation by sqrt(π/2) times the mean absolute deviation.

    Arguments and state as for `BatchNorm1d`, for any (N, C, *).

    >>> layer = L1BatchNorm(1, affine=False)
    >>> layer(torch.tensor([[0.0], [2.0], [1.0]])).flatten()  # deviations 1, 1 and 0
    tensor([-1.1968,  1.1968,  0.0000])
    """

    @staticmethod
    def spread2(x: Tensor, mean: Tensor) -> Tensor:
        """π/2 (1/m Σ |x - mean|)²; of Gaussian data the variance."""
        return math.pi / 2 * _deviation(x, mean).mean(_batch_dims(x)).square()

    def population_variance(self, inputs: Iterable[Tensor], mean: Tensor) -> Tensor:
        """The same of all inputs (`population.HasOwnVariance`)."""
        count, total = 0, torch.tensor(0.0)
        for x in inputs:
            count += values_per_channel(x)
            total = total + _deviation(x.double(), mean).sum(_batch_dims(x))
        return math.pi / 2 * (total / count).square()


class LInfBatchNorm(_ScaledBatchNorm):
    """Batch normalisation by C(m) times the largest absolute deviation.

    Arguments and state as for `BatchNorm1d`, for any (N, C, *).

    >>> layer = LInfBatchNorm(1, affine=False)
    >>> layer(torch.tensor([[0.0], [2.0], [1.0]])).flatten()  # C(3) = 1.0412
    tensor([-0.9604,  0.9604,  0.0000])
    """

    @staticmethod
    def spread2(x: Tensor, mean: Tensor) -> Tensor:
        """(C(m) max |x - mean|)²."""
        largest = _deviation(x, mean).amax(_batch_dims(x))
        return (_constant(values_per_channel(x)) * largest).square()

    def population_variance(self, inputs: Iterable[Tensor], mean: Tensor) -> Tensor:
        """The same of all inputs (`population.HasOwnVariance`)."""
        count, largest = 0, torch.zeros_like(mean)
        for x in inputs:
            count += values_per_channel(x)
            of_batch = _deviation(x.double(), mean).amax(_batch_dims(x))
            largest = torch.maximum(largest, of_batch)
        return (_constant(count) * largest).square()


def _constant(m: int) -> float:
    if m == 1:
        return 0.0  # a single value has no deviation
    return (1 + math.sqrt(math.pi * math.log(4))) / math.sqrt(8 * math.log(m))


def _deviation(x: Tensor, mean: Tensor) -> Tensor:
    return (x - mean.view(1, -1, *[1] * (x.dim() - 2))).abs()


def _batch_dims(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


class L2Norm(nn.Module):
    """The channels of each location scaled to length 1, then each by a learned factor.

    Liu, Rabinovich & Berg 2015 (ParseNet), section 3.3; what SSD puts behind its layer conv4_3,
    with factors that start at 20 (Liu et al. 2016, section 3.1), and what notes on SSD call batch
    normalisation: no batch and no mean is involved.

        y_c = weight_c x_c / max(|x|, eps),    |x|² = Σ_c x_c²

    Args:
        num_features: C.
        init_scale: what every factor starts at.
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
