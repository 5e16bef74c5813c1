"""Batch normalisation whose batch is spread over the processes of torch.distributed.

Forward and backward equal those of the joined batch to a few roundings; `functional.py` has the
formulas and the notation. Each process k sends two messages in a step (gloo and NCCL know both):

    forward   m_k, shift_k, residual_k and M2_k = Σ (x - mu_k)²     8 (3 C + 1) bytes, all_gather
    backward  its parts of dgamma and dbeta                         2 C numbers, all_reduce

The first is in float64 whatever the data; the second has the dtype of the computation, and is not
sent where x needs no gradient. Batches may differ in size from process to process: a process may
hold one value per channel, or none, if all together hold two.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from bnbench.norms import batchnorm
from bnbench.norms.functional import (
    average,
    batch_dims,
    column,
    moments,
    near,
    scale_by,
    values_per_channel,
)
from bnbench.norms.held import STATE
from bnbench.norms.variants import AnyRank


class SyncBatchNorm(AnyRank):
    """Batch normalisation over all processes of a group; `torch.nn.SyncBatchNorm` on any device.

    In training every process of the group must call the layer, and backward, the same number of
    times. Running statistics come out the same on all processes. dgamma and dbeta are sums over
    the process's own part of the batch, as torch's are: their sum over the processes belongs to
    the joined batch, and DistributedDataParallel averages them like all other gradients. In
    evaluation, without an initialised process group or in a group of one, the layer is
    `BatchNorm1d`.

    Args:
        num_features: C.
        process_group: the processes that share a batch; None for all.
        options: as for `BatchNorm1d`.

    Raises:
        ValueError: in training, a single value per channel in all processes together.
    """

    def __init__(
        self, num_features: int, *, process_group: "dist.ProcessGroup | None" = None, **options: Any
    ) -> None:
        super().__init__(num_features, **options)
        self.process_group = process_group

    def forward(self, input: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Normalise by the joined batch in training, else as `BatchNorm1d`."""
        is_alone = not (dist.is_available() and dist.is_initialized())
        if not self.training or is_alone or dist.get_world_size(self.process_group) == 1:
            return super().forward(input)
        self._check_input_dim(input)
        updates = self.track_running_stats
        return _SyncBatchNorm.apply(
            input,
            self.running_mean if updates else None,
            self.running_var if updates else None,
            self.weight,
            self.bias,
            self._count_batch() if updates else 0.0,
            self.eps,
            self.process_group,
        )


def convert_sync_batchnorm(
    module: nn.Module, process_group: "dist.ProcessGroup | None" = None
) -> nn.Module:
    """Replace each BatchNorm1d, 2d and 3d in `module`, ours or torch's, by a `SyncBatchNorm`.

    Parameters and statistics are shared with the replaced layers. Variants stay; of a
    `BatchNormReLU2d` the child `norm` is replaced, and the ReLU stays.

    Returns:
        `module`, or the new layer where `module` is itself a BatchNorm.
    """
    kinds = (
        *(batchnorm.BatchNorm1d, batchnorm.BatchNorm2d, batchnorm.BatchNorm3d),
        *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    )
    if isinstance(module, _BatchNorm) and type(module) in kinds:
        layer = SyncBatchNorm(
            module.num_features,
            eps=module.eps,
            momentum=module.momentum,
            affine=module.affine,
            track_running_stats=module.track_running_stats,
            backend=getattr(module, "backend", "reference"),
            process_group=process_group,
        )
        for name in STATE:
            setattr(layer, name, getattr(module, name))
        return layer.train(module.training)
    converted: dict[nn.Module, nn.Module] = {}
    for parent in list(module.modules()):
        for name, child in parent._modules.items():  # a layer that has two names is one layer
            if child is not None and type(child) in kinds:
                if child not in converted:
                    converted[child] = convert_sync_batchnorm(child, process_group)
                setattr(parent, name, converted[child])
    return module


class _SyncBatchNorm(torch.autograd.Function):
    """Forward over the processes of `group`, and its closed-form backward.

    The running statistics are updated here, as in `functional._ClosedForm`.
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
        group: "dist.ProcessGroup | None",
    ):
        dtype = torch.promote_types(x.dtype, torch.float32)
        ctx.m, *statistics = _joined(x.to(dtype), group)
        shift, residual, m2 = statistics
        if running_mean is not None and running_var is not None:
            average(running_mean, shift + residual, momentum)
            average(running_var, m2 / (ctx.m - 1), momentum)
        inv_std = (m2 / ctx.m + eps).rsqrt().to(dtype)
        shift, residual = shift.to(dtype), residual.to(dtype)
        y = (x - column(shift, x)).sub_(column(residual, x))
        y = y.mul_(column(scale_by(inv_std, weight), x))
        if bias is not None:
            y += column(bias, x)
        ctx.group = group
        ctx.save_for_backward(x, weight, shift, residual, inv_std)
        return y.to(x.dtype)

    @staticmethod
    @once_differentiable  # the messages are not part of the graph
    def backward(ctx: Any, *grads: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        (dy,) = grads
        x, weight, shift, residual, inv_std = ctx.saved_tensors
        needs_dx, _, _, needs_dgamma, needs_dbeta, *_ = ctx.needs_input_grad
        dims = batch_dims(x)
        x_hat = (x - column(shift, x)).sub_(column(residual, x)).mul_(column(inv_std, x))
        parts = torch.stack([(dy * x_hat).sum(dims), dy.sum(dims, dtype=x_hat.dtype)])
        dx = None
        if needs_dx:
            sums = parts.clone()
            dist.all_reduce(sums, group=ctx.group)
            dgamma, dbeta = (column(total, x) for total in sums)
            dx = torch.addcmul(dy, x_hat, dgamma, value=-1 / ctx.m).sub_(dbeta, alpha=1 / ctx.m)
            dx = dx.mul_(column(scale_by(inv_std, weight), x)).to(x.dtype)
        dgamma, dbeta = parts
        return (
            *(dx, None, None),
            *(dgamma if needs_dgamma else None, dbeta if needs_dbeta else None),
            *[None] * 3,
        )


def _joined(x: Tensor, group: "dist.ProcessGroup | None") -> tuple[int, Tensor, Tensor, Tensor]:
    """Join m, a shift near the data, mu - shift and M2 of all processes, each (C,) in float64.

    Means and M2 are merged by the formula of Chan, Golub & LeVeque 1983, for any number of parts.
    The difference of two shifts near the same data is exact, or nearly so, and the precision of
    `residual` is that of a single process.
    """
    own = x.new_zeros(1 + 3 * x.shape[1], dtype=torch.float64)
    if values_per_channel(x) > 0:
        shift = near(x)
        m, residual, sigma2 = moments(x - column(shift, x))
        own = torch.cat([own.new_tensor([m]), shift.double(), residual, m * sigma2])
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, own, group)
    received = torch.stack(parts)
    counts, shifts, residuals, m2s = received[received[:, 0] > 0].split(
        [1, *[x.shape[1]] * 3], dim=1
    )
    total = int(counts.sum())
    if total < 2:  # on every process alike, so that none waits for another
        raise ValueError("Expected more than 1 value per channel in all processes together")
    offsets = shifts - shifts[0] + residuals
    residual = (counts * offsets).sum(0) / total
    m2 = (m2s + counts * (offsets - residual).square()).sum(0)
    return total, shifts[0], residual, m2
