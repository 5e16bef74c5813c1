"""Layers that are more than the affine map of a batch normalisation, and hold one.

Tools take every torch `_BatchNorm` for that map: `torch.nn.SyncBatchNorm.convert_sync_batchnorm`
replaces the module, `torch.nn.utils.fuse_conv_bn_eval` folds its numbers into a convolution.
Anything more that a subclass does would be lost without a word. Tools leave a layer that holds a
BatchNorm as it is, and code that looks for statistics (`population`, `update_bn`) finds the held
one.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, OurBatchNorm
from bnbench.norms.leaf import Leaf

STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
HELD = (  # names that only the child `norm` has
    *STATE,
    *("num_features", "eps", "momentum", "affine", "track_running_stats", "backend"),
)


class HoldsBatchNorm(Leaf, nn.Module):
    """A layer around a batch normalisation, its child `norm`; a subclass has the forward.

    Parameters, statistics and options belong to `norm`; the layer has none of these names (`HELD`)
    and refuses to be given one. Checkpoints without the prefix `norm.`, such as those of
    `torch.nn.BatchNorm2d`, can be loaded.

    Args:
        num_features: C.
        args: further arguments of the class `holds`.
        options: further arguments by name.

    Raises:
        AttributeError: a name of `HELD` is set on the layer.
    """

    holds: type[OurBatchNorm]  # the class of `norm`

    def __init__(self, num_features: int, *args: Any, **options: Any) -> None:
        super().__init__()
        self.norm: _BatchNorm = self.holds(num_features, *args, **options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in HELD:
            raise AttributeError(
                f"{type(self).__name__} has no {name} of its own, expected .norm.{name}"
            )
        super().__setattr__(name, value)

    def reset_parameters(self) -> None:
        """Forget all statistics; gamma becomes 1 and beta 0, where there are any."""
        self.norm.reset_parameters()

    def _kept(self) -> Any:
        """Return `norm`, for layers with a training of their own.

        Raises:
            TypeError: another layer was put in its place, which would train in another way.
        """
        if not isinstance(self.norm, self.holds):
            raise TypeError(
                f"{type(self).__name__} cannot train with {type(self.norm).__name__} in place of "
                "the BatchNorm that it held; expected a net that was not converted"
            )
        return self.norm

    def _load_from_state_dict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        for name in STATE:
            flat, held = prefix + name, f"{prefix}norm.{name}"
            if flat in state_dict and held not in state_dict:
                state_dict[held] = state_dict.pop(flat)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _BatchNormReLU(HoldsBatchNorm):
    def forward(self, input: Tensor) -> Tensor:
        """Normalise, then set negative values to 0; in one operation if `norm` is our layer."""
        if type(self.norm).forward is OurBatchNorm.forward:
            return self.norm(input, relu=True)
        return F.relu(self.norm(input))


class BatchNormReLU1d(_BatchNormReLU):
    """`BatchNorm1d` and a ReLU in one layer; arguments as for `BatchNorm1d`.

    It keeps one tensor for backward instead of two, unless torch computes it (`native`).
    """

    holds = BatchNorm1d


class BatchNormReLU2d(_BatchNormReLU):
    """`BatchNorm2d` and a ReLU in one layer, as `BatchNormReLU1d`."""

    holds = BatchNorm2d


class BatchNormReLU3d(_BatchNormReLU):
    """`BatchNorm3d` and a ReLU in one layer, as `BatchNormReLU1d`."""

    holds = BatchNorm3d
