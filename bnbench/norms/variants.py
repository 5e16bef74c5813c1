"""Batch normalisation with smaller or corrected batches, or with something behind it.

Each holds a batch normalisation (held.py), by which it normalises in evaluation. Like
`torch.nn.SyncBatchNorm`, one class serves every rank: (N, C), (N, C, L), (N, C, H, W), ….
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bnbench.norms.batchnorm import OurBatchNorm
from bnbench.norms.functional import batch_norm, moments
from bnbench.norms.held import HoldsBatchNorm


class AnyRank(OurBatchNorm):
    """Batch normalisation of any (N, C, *); arguments as for `BatchNorm1d`."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.shape[1] != self.num_features:  # it might broadcast
            raise RuntimeError(f"expected {self.num_features} channels, got {list(input.shape)}")


class GhostBatchNorm(HoldsBatchNorm):
    """Ghost batch normalisation: in training each part of the batch is normalised by itself.

    Hoffer, Hubara & Soudry 2017, Algorithm 1. The layer does to a batch what `BatchNorm1d` does to
    its ghosts one after another, so the running statistics move once for each ghost,

        running = (1 - momentum) running + momentum ghost

    and `num_batches_tracked` counts ghosts. (The algorithm writes this as one sum, whose printed
    exponents do not add up to a weighted mean.) As everywhere here running_var is the average of
    unbiased variances; the algorithm averages standard deviations.

    A batch of N samples makes max(1, N // ghost_size) ghosts, as equal as possible: the remainder
    is spread, so that no ghost has fewer than `ghost_size` samples, unless the batch has.

    Args:
        num_features: C.
        ghost_size: the least number of samples in a ghost.
        options: as for `BatchNorm1d`.

    Raises:
        ValueError: in training, a ghost with a single value per channel.

    >>> layer = GhostBatchNorm(1, ghost_size=2, eps=1e-12)
    >>> layer(torch.tensor([[1.0], [3.0], [10.0], [30.0]])).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    holds = AnyRank

    def __init__(self, num_features: int, *, ghost_size: int = 32, **options: Any) -> None:
        if ghost_size < 1:
            raise ValueError(f"ghost_size={ghost_size}: expected at least 1")
        super().__init__(num_features, **options)
        self.ghost_size = ghost_size

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ghost by ghost in training, else as `BatchNorm1d`."""
        if not self.norm.training:
            return self.norm(input)
        norm = self._kept()
        norm._check_input_dim(input)
        num_ghosts = max(1, len(input) // self.ghost_size)
        size, larger = divmod(len(input), num_ghosts)
        # not tensor_split: its backward makes a tensor as large as the batch for every ghost
        ghosts = input.split([size + 1] * larger + [size] * (num_ghosts - larger))
        return torch.cat([norm(ghost) for ghost in ghosts])

    def extra_repr(self) -> str:
        """The arguments."""
        return f"ghost_size={self.ghost_size}"


class BatchRenorm(HoldsBatchNorm):
    """Batch renormalisation: in training, too, the output is near that of the evaluation.

    Ioffe 2017, Algorithm 1. With the running mu and sigma as they are before this batch,

        r = clip(sigma_B / sigma, 1/r_max, r_max)    stop gradient
        d = clip((mu_B - mu) / sigma, -d_max, d_max) stop gradient
        y = gamma (x_hat r + d) + beta               x_hat = (x - mu_B) / sigma_B

    where every sigma is sqrt(variance + eps). Without limits y = gamma (x - mu) / sigma + beta,
    as in evaluation; with r_max = 1 and d_max = 0 it is batch normalisation.

    The limits rise linearly with the batches seen (`num_batches_tracked`), from 1 and 0 at the
    first to r_max and d_max after `warmup`. The paper (section 4.1) holds 1 and 0 for 5,000 steps
    of its training and then relaxes r to 3 at step 40,000 and d to 5 at step 25,000.

    The algorithm keeps a running average of sigma_B. This layer keeps running_var, the average of
    the unbiased variance, so that its state is a BatchNorm's and every population policy applies.

    Args:
        num_features: C.
        r_max: limit of the correction of the scale, at least 1.
        d_max: limit of the correction of the mean, at least 0.
        warmup: batches until the limits are reached; 0 for no rise.
        options: as for `BatchNorm1d`; there is nothing to correct by without running statistics.

    Raises:
        ValueError: a limit out of range, or `track_running_stats=False`.
        RuntimeError: training inside a backward pass, as recomputation under a checkpoint is: r and
            d would be those of statistics that have moved, and the gradients another step's.
    """

    holds = AnyRank

    def __init__(
        self,
        num_features: int,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        warmup: int = 0,
        **options: Any,
    ) -> None:
        if not (1 <= r_max < math.inf and 0 <= d_max < math.inf and warmup >= 0):
            raise ValueError(
                f"r_max={r_max}, d_max={d_max}, warmup={warmup}: expected finite numbers of at "
                "least 1, 0 and 0"
            )
        super().__init__(num_features, **options)
        if not self.norm.track_running_stats:
            raise ValueError("batch renormalisation needs running statistics")
        self.r_max, self.d_max, self.warmup = r_max, d_max, warmup

    def forward(self, input: Tensor) -> Tensor:
        """Normalise by the batch, corrected towards the running statistics, in training."""
        if not (self.norm.training and self.norm.track_running_stats and input.numel()):
            return self.norm(input)
        norm = self._kept()
        norm._check_input_dim(input)
        if not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1:
            raise RuntimeError(
                "BatchRenorm cannot be trained inside a backward pass (recomputation under a "
                "checkpoint)"
            )
        r, d = self._correction(input)
        # gamma (x_hat r + d) + beta is batch normalisation with gamma r and gamma d + beta
        weight = r if norm.weight is None else norm.weight * r
        bias = d if norm.weight is None else norm.weight * d
        return batch_norm(
            input,
            norm.running_mean,
            norm.running_var,
            weight,
            bias if norm.bias is None else bias + norm.bias,
            training=True,
            momentum=norm._count_batch(),
            eps=norm.eps,
            backend=norm.backend,
        )

    def _correction(self, input: Tensor) -> tuple[Tensor, Tensor]:
        norm = self.norm
        mean, var, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
        assert mean is not None
        assert var is not None
        assert count is not None
        risen = (count.double() / max(1, self.warmup)).clamp(max=1)
        if not self.warmup:
            risen = torch.ones_like(risen)
        r_max, d_max = 1 + risen * (self.r_max - 1), risen * self.d_max
        _, batch_mean, batch_var = moments(input.detach())
        sigma = (var.double() + norm.eps).sqrt()
        r = ((batch_var + norm.eps).sqrt() / sigma).clamp(1 / r_max, r_max)
        d = ((batch_mean - mean) / sigma).clamp(-d_max, d_max)
        return r.to(mean.dtype), d.to(mean.dtype)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"r_max={self.r_max}, d_max={self.d_max}, warmup={self.warmup}"


class _WithSpace(AnyRank):
    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 3:
            raise ValueError(f"expected at least 3D input (got {input.dim()}D input)")
        super()._check_input_dim(input)


class BatchNormLrn(HoldsBatchNorm):
    """Batch normalisation, then local response normalisation, as one layer.

    Ioffe & Szegedy 2015, section 4.2.1, remove the latter where they add the former. This layer has
    both, so that the gain of removing it can be measured. With x the batch-normalised input,
    gamma and beta applied (Krizhevsky et al. 2012, section 3.3; torch and Caffe divide alpha by
    size, the paper does not),

        y_c = x_c / (k + alpha / size Σ x_j²)^beta    Σ over the `size` channels around c

    The statistics, and so the population policies, are those of batch normalisation.

    Args:
        num_features: C.
        size: how many channels are summed over.
        alpha: see above, as the next two.
        beta: the exponent; the beta of batch normalisation is `bias`.
        k: see above.
        options: as for `BatchNorm1d`.

    Raises:
        ValueError: an input (N, C): there are channels to compare at each position of (N, C, L, …).

    >>> layer = BatchNormLrn(1, size=1, alpha=1.0, beta=1.0, k=1.0, eps=1e-12)
    >>> layer(torch.tensor([[[1.0, 3.0]]])).tolist()  # normalised -1 and 1, each over 1 + 1
    [[[-0.5, 0.5]]]
    """

    holds = _WithSpace

    def __init__(
        self,
        num_features: int,
        *,
        size: int = 5,
        alpha: float = 5e-4,
        beta: float = 0.75,
        k: float = 2.0,
        **options: Any,
    ) -> None:
        super().__init__(num_features, **options)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """Normalise as `BatchNorm1d`, then by the channels nearby."""
        x = self.norm(input)
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"size={self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
