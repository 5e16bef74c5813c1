"""The table of normalisation layers that experiments compare.

`NORMS[name](num_features, spatial_dims, **options)` makes a layer for inputs with `num_features`
channels and `spatial_dims` dimensions behind them: 0 for (N, C), 1 for (N, C, L), 2 for
(N, C, H, W), 3 for (N, C, D, H, W). The options are those of the layer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from torch import nn

from bnbench.norms.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from bnbench.norms.lp import L1BatchNorm, L2Norm, LInfBatchNorm
from bnbench.norms.noise import Noise, NoisyBatchNorm
from bnbench.norms.sync import SyncBatchNorm
from bnbench.norms.torch_layers import groupnorm, layernorm, lrn
from bnbench.norms.variants import BatchNormLrn, BatchRenorm, GhostBatchNorm

Maker = Callable[..., nn.Module]


def by_rank(*makers: Maker) -> Maker:
    """Make a row from the layers for 0, 1, 2 and 3 spatial dimensions, or one that serves all."""

    def make(num_features: int, spatial_dims: int, **options: Any) -> nn.Module:
        return makers[spatial_dims if len(makers) > 1 else 0](num_features, **options)

    return make


def needs_space(name: str, reason: str = "it compares channels at one position") -> Maker:
    """Make the entry for (N, C) of a norm that is not for such inputs; it raises a ValueError."""

    def refuse(num_features: int, **options: Any) -> NoReturn:
        raise ValueError(f"{name} needs spatial dimensions: {reason}")

    return refuse


NORMS: dict[str, Maker] = {
    "none": by_rank(lambda num_features: nn.Identity()),
    "batchnorm": by_rank(BatchNorm1d, BatchNorm1d, BatchNorm2d, BatchNorm3d),
    "torch_batchnorm": by_rank(nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    "layernorm": layernorm,
    "groupnorm": groupnorm,
    "instancenorm": by_rank(  # Ulyanov et al. 2016: one sample, one channel at a time
        needs_space("instancenorm", "one value has no variance"),
        partial(nn.InstanceNorm1d, affine=True),
        partial(nn.InstanceNorm2d, affine=True),
        partial(nn.InstanceNorm3d, affine=True),
    ),
    "lrn": by_rank(needs_space("lrn"), lrn, lrn, lrn),
    "ghost_batchnorm": by_rank(GhostBatchNorm),
    "batch_renorm": by_rank(BatchRenorm),
    "noisy_batchnorm": by_rank(NoisyBatchNorm),
    "noise": by_rank(lambda num_features, **options: Noise(**options)),
    "l1_batchnorm": by_rank(L1BatchNorm),
    "linf_batchnorm": by_rank(LInfBatchNorm),
    "sync_batchnorm": by_rank(SyncBatchNorm),
    "l2norm": by_rank(L2Norm),
    "batchnorm_lrn": by_rank(needs_space("batchnorm_lrn"), *[BatchNormLrn] * 3),
}
