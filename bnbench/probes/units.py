"""Accuracy without some of the hidden units: growing random sets of them, and single ones.

Morcos et al. 2018 (arXiv 1803.06959), section 2.3. A unit is an output of a block's activation
function, a channel with all its locations; it is held at 0, or at its mean over the images.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from bnbench.probes.passes import Batch, Measured, Values, blocks, in_mode, read, recognised

ORDERS = 5  # random ones, in which units are taken away
PARTS = 10  # equal ones of all units, after each of which the accuracy is measured
SINGLE = 300  # units that are taken away by themselves: all, or so many of them


@torch.no_grad()
def ablation(model: nn.Module, batch: Batch) -> Values:
    """Measure what accuracy on unseen images is left without units, in evaluation mode.

    With A(s) the accuracy without a random share s of the units of all layers, A = the mean of the
    orders: `ablation_area` = ∫ A(s) ds by trapezia, `ablation_area_mean` the same with units held
    at their means, `unablated` = A(0), `ablated` = A(1), and `single_loss` = A(0) minus the least
    accuracy without a single unit.
    """
    assert batch.unseen
    images, labels = batch.unseen.images, batch.unseen.labels
    with in_mode(model, images.device, training=False):
        means = unit_means(model, images)
        whole = torch.cat(means)
        zero = [torch.zeros_like(mean) for mean in means]

        def accuracy(kept: Tensor, fill: list[Tensor]) -> Tensor:
            with held(model, kept.split([len(mean) for mean in means]), fill):
                return recognised(model(images), labels).double().mean()

        orders = [torch.rand_like(whole).argsort() for _ in range(ORDERS)]
        ranks = [order.argsort() for order in orders]
        everything = torch.ones_like(whole, dtype=torch.bool)
        first = accuracy(everything, zero)
        none = {"": zero, "_mean": means}
        last = {name: accuracy(~everything, fill) for name, fill in none.items()}
        values = {"unablated": first, "ablated": last[""]}
        for name, fill in none.items():
            inner = [
                torch.stack(
                    [accuracy(rank >= round(k * len(rank) / PARTS), fill) for rank in ranks]
                )
                for k in range(1, PARTS)
            ]
            between = torch.stack([each.mean() for each in inner])
            values[f"ablation_area{name}"] = (between.sum() + (first + last[name]) / 2) / PARTS
        single = [accuracy(ranks[0] != k, zero) for k in range(min(SINGLE, len(whole)))]
        values["single_loss"] = first - torch.stack(single).amin()
    measured: Measured = {("", metric): value for metric, value in values.items()}
    return read(measured)


def unit_means(model: nn.Module, images: Tensor) -> list[Tensor]:
    """Compute the mean of each unit over images and locations, (units,) of each block in order."""
    found: list[Tensor] = []

    def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(output.transpose(0, 1).flatten(1).mean(1))

    with hooked(model, [keep] * len(blocks(model))):
        model(images)
    return found


@contextmanager
def held(model: nn.Module, kept: tuple[Tensor, ...], fill: list[Tensor]) -> Iterator[None]:
    """Hold the units that are not kept at a value each, inside a `with`.

    Args:
        model: the net.
        kept: whether each unit is as ever, (units,) of each block in order.
        fill: the values of the others, likewise.
    """

    def clamp(
        keep: Tensor, value: Tensor, _: nn.Module, __: tuple[Tensor, ...], output: Tensor
    ) -> Tensor:
        shape = (1, -1, *[1] * (output.dim() - 2))
        return torch.where(keep.view(shape), output, value.view(shape))

    with hooked(model, [partial(clamp, *each) for each in zip(kept, fill, strict=True)]):
        yield


@contextmanager
def hooked(model: nn.Module, hooks: list[Callable[..., Tensor | None]]) -> Iterator[None]:
    """Call a hook on the output of the activation function of each block, inside a `with`."""
    activations = [block.get_submodule("activation") for block in blocks(model).values()]
    handles = [
        activation.register_forward_hook(hook)
        for activation, hook in zip(activations, hooks, strict=True)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
