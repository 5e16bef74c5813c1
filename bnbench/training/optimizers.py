"""The optimisers: SGD with momentum and Adam, a step of each one fused operation of torch.

`torch.optim` calls the same operations and computes the same bits. Around them it does bookkeeping
in Python, at every step, and it imports `torch._dynamo`, which takes as long as most of torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn


class FusedOptimizer(ABC):
    """Moves the trained parameters of a net; weight decay falls on weights alone.

    Args:
        model: the net, whose parameters that require gradients are trained.
        masks: where only some values of a parameter are trained, a boolean mask of these. The
            others stay bit for bit as they are, in spite of momentum and weight decay.
        weight_decay: the L2 penalty on parameters of two or more dimensions, never on those of
            norms or on biases.
        spared: parameters that it does not fall on either.

    Attributes:
        parameters: what `step` wants the gradients of, in this order.
    """

    def __init__(
        self,
        model: nn.Module,
        masks: dict[Tensor, Tensor],
        weight_decay: float,
        spared: Collection[Tensor] = (),
    ) -> None:
        trained: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        without = {*spared, *(p for p in trained if p.ndim <= 1)}
        weights = [p for p in trained if p not in without]
        self.parameters = weights + [p for p in trained if p in without]
        self.groups = [
            (slice(None, len(weights)), weight_decay),
            (slice(len(weights), None), 0.0),
        ]
        self.masks = [(p, mask, p.detach().clone()) for p, mask in masks.items()]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Update the parameters, given the gradient of each and the learning rate."""
        for group, weight_decay in self.groups:
            if self.parameters[group]:
                self.update(group, gradients[group], rate, weight_decay)
        for p, mask, drawn in self.masks:
            p.copy_(torch.where(mask, p, drawn))

    @abstractmethod
    def update(
        self, group: slice, gradients: Sequence[Tensor], rate: float, weight_decay: float
    ) -> None:
        """Update one group of parameters."""

    def zeros(self) -> list[Tensor]:
        """Make a state of zeros for each parameter."""
        return [torch.zeros_like(p) for p in self.parameters]


class FusedSGD(FusedOptimizer):
    """SGD with momentum μ: v ← μv + g + λw; w ← w - ηv."""

    def __init__(
        self,
        model: nn.Module,
        masks: dict[Tensor, Tensor],
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        spared: Collection[Tensor] = (),
    ) -> None:
        super().__init__(model, masks, weight_decay, spared)
        self.momentum = momentum
        self.velocity = self.zeros() if momentum else []

    def update(
        self, group: slice, gradients: Sequence[Tensor], rate: float, weight_decay: float
    ) -> None:
        """See the class."""
        torch._fused_sgd_(  # pyright: ignore[reportPrivateImportUsage]
            self.parameters[group],
            list(gradients),
            self.velocity[group],
            weight_decay=weight_decay,
            momentum=self.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )


class FusedAdam(FusedOptimizer):
    """Adam, Kingma & Ba 2015, Algorithm 1; weight decay is added to the gradient."""

    def __init__(
        self,
        model: nn.Module,
        masks: dict[Tensor, Tensor],
        weight_decay: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        spared: Collection[Tensor] = (),
    ) -> None:
        super().__init__(model, masks, weight_decay, spared)
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.mean, self.square = self.zeros(), self.zeros()
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def update(
        self, group: slice, gradients: Sequence[Tensor], rate: float, weight_decay: float
    ) -> None:
        """See the class."""
        torch._foreach_add_(self.steps[group], 1)  # pyright: ignore[reportPrivateImportUsage]
        torch._fused_adam_(  # pyright: ignore[reportPrivateImportUsage]
            self.parameters[group],
            list(gradients),
            self.mean[group],
            self.square[group],
            [],
            self.steps[group],
            lr=rate,
            beta1=self.beta1,
            beta2=self.beta2,
            weight_decay=weight_decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )


OPTIMIZERS = {"sgd": FusedSGD, "adam": FusedAdam}
