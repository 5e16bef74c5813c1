"""The table of normalisation layers that experiments compare.

`NORMS[name](num_features, spatial_dims, **options)` makes a layer for inputs with `num_features`
channels and `spatial_dims` dimensions behind them: 0 for (N, C), 1 for (N, C, L), 2 for
(N, C, H, W), 3 for (N, C, D, H, W).
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from bnbench.norms.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnbench.norms.lp import L1BatchNorm, L2Norm, LInfBatchNorm
from bnbench.norms.noise import Noise, NoisyBatchNorm
from bnbench.norms.sync import SyncBatchNorm
from bnbench.norms.variants import BatchNormLrn, BatchRenorm, GhostBatchNorm


def none(num_features: int, spatial_dims: int) -> nn.Module:
    """The identity."""
    return nn.Identity()


def batchnorm(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
    """This package's batch normalisation; options: momentum, eps, affine, scale,
    bias, backend.
    """
    return (BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d)[spatial_dims](
        num_features, **options
    )


def torch_batchnorm(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
    """torch's batch normalisation; options: momentum, eps, affine."""
    return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[spatial_dims](
        num_features, **options
    )


def layernorm(
    num_features: int, spatial_dims: int, eps: float = 1e-5, affine: bool = True
) -> nn.Module:
    """Layer normalisation (Ba et al. 2016, eq. 3): one sample, all C·H·W values at a time.

    gamma and beta are per channel, as for the other norms here, not per value as in
    `torch.nn.LayerNorm((C, H, W))`; that makes it group normalisation with a single group.
    """
    if spatial_dims == 0:
        return nn.LayerNorm(num_features, eps, affine)
    return nn.GroupNorm(1, num_features, eps, affine)


def groupnorm(
    num_features: int,
    spatial_dims: int,
    groups: int = 4,
    eps: float = 1e-5,
    affine: bool = True,
) -> nn.Module:
    """Group normalisation (Wu & He 2018, eq. 7): one sample, a group of channels at a time."""
    if num_features % groups:
        raise ValueError(f"groupnorm: {num_features} channels do not divide into {groups} groups")
    if spatial_dims == 0 and groups == num_features:
        raise ValueError(f"groupnorm: {groups} groups of one value each have no variance")
    return nn.GroupNorm(groups, num_features, eps, affine)


def instancenorm(
    num_features: int, spatial_dims: int, eps: float = 1e-5, affine: bool = True
) -> nn.Module:
    """Instance normalisation (Ulyanov et al. 2016): one sample, one channel at a time."""
    if spatial_dims == 0:
        raise ValueError("instancenorm needs spatial dimensions: one value has no variance")
    layer = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[spatial_dims - 1]
    return layer(num_features, eps, affine=affine)


def lrn(
    num_features: int,
    spatial_dims: int,
    size: int = 5,
    alpha: float = 5e-4,
    beta: float = 0.75,
    k: float = 2.0,
) -> nn.Module:
    """Local response normalisation (Krizhevsky et al. 2012, section 3.3) over `size` channels.

    torch and Caffe divide alpha by size, the paper does not: alpha = 5e-4 is the paper's 1e-4.
    """
    _needs_space("lrn", spatial_dims)
    return nn.LocalResponseNorm(size, alpha, beta, k)


def batchnorm_lrn(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
    """`batchnorm`, then `lrn`; options: momentum, eps, affine, size, alpha, beta, k."""
    _needs_space("batchnorm_lrn", spatial_dims)
    return BatchNormLrn(num_features, **options)


def noise(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
    """The noise of `noisy_batchnorm` alone; options: n_mu, n_sigma, r_mu, r_sigma."""
    return Noise(**options)


def _needs_space(name: str, spatial_dims: int) -> None:
    if spatial_dims == 0:
        raise ValueError(f"{name} needs spatial dimensions: it compares channels at one position")


def any_rank(layer: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A row of the table for a class that serves inputs of every rank."""

    def make(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
        return layer(num_features, **options)

    return make


NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": none,
    "batchnorm": batchnorm,
    "torch_batchnorm": torch_batchnorm,
    "layernorm": layernorm,
    "groupnorm": groupnorm,
    "instancenorm": instancenorm,
    "lrn": lrn,
    "ghost_batchnorm": any_rank(GhostBatchNorm),
    "batch_renorm": any_rank(BatchRenorm),
    "noisy_batchnorm": any_rank(NoisyBatchNorm),
    "noise": noise,
    "l1_batchnorm": any_rank(L1BatchNorm),
    "linf_batchnorm": any_rank(LInfBatchNorm),
    "sync_batchnorm": any_rank(SyncBatchNorm),
    "l2norm": any_rank(L2Norm),
    "batchnorm_lrn": batchnorm_lrn,
}
