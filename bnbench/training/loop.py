"""The training loop: one step after another, and nothing else.

The whole data set is one tensor on the device and a batch is a selection of its rows; the optimiser
step is one fused kernel; nothing in a step waits for the device.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.training.optimizers import FusedOptimizer

AHEAD = 256  # steps whose draws are copied to the device at once


def training_steps(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    batches: Iterable[Tensor],
    optimizer: FusedOptimizer,
    rate: Callable[[int], float],
    augment: Callable[[Tensor], Tensor] | None = None,
) -> Iterator[Tensor]:
    """Train on one batch after another; yields each batch's training-mode loss, on the device.

    Args:
        model: the net; whoever takes a loss may evaluate it but must leave it in training mode.
        images: all training images, normalised, (N, C, H, W).
        labels: their classes, (N,).
        batches: the indices of each batch.
        optimizer: what moves the model's parameters.
        rate: the learning rate of step 1, 2, …; a number of the host goes to the device with the
            call of a kernel, and so needs no copy.
        augment: a random change of a batch's images.
    """
    rows = images.permute(0, 2, 3, 1)  # in channels_last an image is one row of memory
    model.train()
    for step, index in enumerate(ahead(batches, images.device), 1):
        batch = rows.index_select(0, index).permute(0, 3, 1, 2)
        if augment:
            batch = augment(batch)
        loss = F.cross_entropy(model(batch), labels.index_select(0, index))
        optimizer.step(torch.autograd.grad(loss, optimizer.parameters), rate(step))
        yield loss.detach()


def ahead(draws: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """Draw for many steps on the host, and give one step's draw after another on the device.

    The host waits for the device at a copy: here once in `AHEAD` steps. What is drawn is the same.
    """
    source = iter(draws)
    while block := list(islice(source, AHEAD)):
        yield from torch.stack(block).to(device)


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
