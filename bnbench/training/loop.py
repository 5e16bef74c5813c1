"""The training loop: one step after another, and nothing else.

The whole data set is one tensor on the device and a batch is a selection of its rows; the optimiser
step is one fused kernel; nothing waits for the device between evaluations.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def training_steps(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batches: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    rate: Callable[[int], float],
    augment: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Train on one batch after another; yields each batch's training-mode loss, on the device.

    Args:
        model: the net; whoever takes a loss may evaluate it but must leave it in training mode.
        images: all training images, normalised, (N, C, H, W).
        labels: their classes, (N,).
        batches: the indices of each batch.
        optimizer: the optimiser of the model's parameters.
        rate: the learning rate of step 1, 2, …
        augment: a random change of a batch's images.
    """
    rows = images.permute(0, 2, 3, 1)  # in channels_last an image is one row of memory
    model.train()
    for step, index in enumerate(batches, 1):
        index = index.to(images.device)
        batch = rows.index_select(0, index).permute(0, 3, 1, 2)
        if augment:
            batch = augment(batch)
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        loss = F.cross_entropy(model(batch), labels.index_select(0, index))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.detach()


def fused_optimizer(
    model: nn.Module, name: str, weight_decay: float = 0.0, **options: float
) -> torch.optim.Optimizer:
    """Fused SGD or Adam; weight decay falls on weights, never on norm parameters or biases.

    Args:
        model: the net to train.
        name: `sgd` with the option momentum, or `adam` with beta1, beta2 and eps.
        weight_decay: the L2 penalty on parameters of two or more dimensions.
        options: as above; the learning rate is set at each step.
    """
    weights = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=options["momentum"], fused=True)
    betas = (options["beta1"], options["beta2"])
    return torch.optim.Adam(groups, lr=0.0, betas=betas, eps=options["eps"], fused=True)


def schedule(shape: str, first: float, end: float, steps: int) -> Callable[[int], float]:
    """The learning rate of each step, from `first` at step 1 to `end`·first at the last.

    >>> rate = schedule("exponential", first=1.0, end=0.01, steps=3)
    >>> [round(rate(step), 4) for step in (1, 2, 3)]
    [1.0, 0.1, 0.01]
    """
    shapes: dict[str, Callable[[float], float]] = {
        "constant": lambda t: 1.0,
        "cosine": lambda t: end + (1 - end) * (1 + math.cos(math.pi * t)) / 2,
        "exponential": lambda t: end**t,
    }
    factor = shapes[shape]
    return lambda step: first * factor((step - 1) / max(1, steps - 1))
