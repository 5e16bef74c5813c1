"""Batch normalisation as layers that take the place of `torch.nn.BatchNorm1d`, `2d` and `3d`.

Ioffe & Szegedy 2015, sections 3 and 3.1. The numbers come from `functional.py`. A layer adds state
(gamma, beta, running statistics) and the rule for which statistics normalise. The state, its
checkpoints and the checks of the input are torch's own, by inheritance.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms import functional, kernels
from bnbench.norms.leaf import Leaf


class OurBatchNorm(Leaf, _BatchNorm):
    """The forward of this package behind torch's state; a subclass checks the input's shape."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
        scale: bool = True,
        backend: str = "reference",
    ) -> None:
        kernels.check(backend)
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        if not scale:
            self.register_parameter("weight", None)
        self.backend = backend

    def forward(self, input: Tensor, relu: bool = False) -> Tensor:
        """Normalise by the batch in training, else by the running statistics.

        `.training` alone decides, whether or not gradients are recorded. A layer without running
        statistics (`track_running_stats=False`) always normalises by the batch. With `relu` the
        result is max(y, 0).
        """
        self._check_input_dim(input)
        has_statistics = self.running_mean is not None or self.running_var is not None
        updates = self.training and self.track_running_stats
        takes_statistics = updates or not self.training
        return functional.batch_norm(
            input,
            self.running_mean if takes_statistics else None,
            self.running_var if takes_statistics else None,
            self.weight,
            self.bias,
            training=self.training or not has_statistics,
            momentum=self._count_batch() if updates else 0.0,
            eps=self.eps,
            relu=relu,
            backend=self.backend,
        )

    def _count_batch(self) -> float:
        """Count the batch.

        Returns:
            Its weight in the running statistics: `momentum`, or 1/num_batches_tracked if momentum
            is None, which makes them the plain average over all batches since the last reset.
        """
        if self.num_batches_tracked is None:
            return self.momentum or 0.0
        self.num_batches_tracked.add_(1)
        return 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    def reset_parameters(self) -> None:
        """Forget all statistics; gamma becomes 1 and beta 0, where there are any."""
        self.reset_running_stats()
        if self.weight is not None:
            nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        """Extend torch's text by the one option that torch's layer does not have."""
        lacks_scale = self.affine and self.weight is None
        return super().extra_repr() + (", scale=False" if lacks_scale else "")


class BatchNorm1d(OurBatchNorm, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`, with its arguments and state, for (N, C) and (N, C, L).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the *new* batch in the running statistics; None averages all batches.
        affine: whether there are gamma and beta.
        track_running_stats: whether there are running statistics.
        device: of parameters and statistics.
        dtype: of parameters and statistics.
        bias: whether there is beta, where the layer is affine.
        scale: whether there is gamma, where the layer is affine; torch's layer always has it.
        backend: a key of `kernels.BACKENDS`, the code that computes; no part of the state.

    >>> BatchNorm1d(100)
    BatchNorm1d(100, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """


class BatchNorm2d(OurBatchNorm, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` for (N, C, H, W); arguments as for `BatchNorm1d`."""


class BatchNorm3d(OurBatchNorm, nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` for (N, C, D, H, W); arguments as for `BatchNorm1d`."""
