"""Layers of torch behind the arguments that the rows of `NORMS` share."""

from torch import nn


def layernorm(
    num_features: int, spatial_dims: int, eps: float = 1e-5, affine: bool = True
) -> nn.Module:
    """Make layer normalisation (Ba et al. 2016, eq. 3): all C·H·W values of one sample at a time.

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
    """Make group normalisation (Wu & He 2018, eq. 7): one sample, a group of channels at a time.

    Raises:
        ValueError: groups of unequal size, or of one value each.
    """
    if num_features % groups:
        raise ValueError(f"groupnorm: {num_features} channels do not divide into {groups} groups")
    if spatial_dims == 0 and groups == num_features:
        raise ValueError(f"groupnorm: {groups} groups of one value each have no variance")
    return nn.GroupNorm(groups, num_features, eps, affine)


def lrn(
    num_features: int, size: int = 5, alpha: float = 5e-4, beta: float = 0.75, k: float = 2.0
) -> nn.Module:
    """Make local response normalisation (Krizhevsky et al. 2012, section 3.3) over `size` channels.

    torch and Caffe divide alpha by size, the paper does not: alpha = 5e-4 is the paper's 1e-4.
    """
    return nn.LocalResponseNorm(size, alpha, beta, k)
