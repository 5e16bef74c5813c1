"""Residual nets: the outputs of every two layers are added to what went into them.

A stage is a layer that changes the width, then residual blocks whose shortcuts are identities. The
layers are those of `blocks.block`; an order says how many of a layer's three modules (weights, norm
and activation, as `placement` has them) stand before the shortcut is added at the end of a branch,
and how many before the next shortcut leaves (He et al. 2016, arXiv 1603.05027, figure 4).
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bnbench.models.blocks import Norm, block, check_key, filled, stages
from bnbench.models.vgg import check_pools

# Of a layer's weights (W), norm (N) and activation (A) how many stand before the addition (+), and
# how many before the next shortcut leaves (|).
ORDERS = {
    "original": (2, 3),  # W N A | W N A W N + A |
    "norm_after_addition": (1, 3),  # W N A | W N A W + N A |
    "activation_before_addition": (3, 3),  # W N A | W N A W N A + |
    "activation_only_preactivation": (2, 2),  # W N | A W N A W N + | A
    "full_preactivation": (1, 1),  # W | N A W N A W + | N A
}
BRANCHES = ("none", "skipinit", "fixup")
IN_A_BRANCH = 2  # layers


class ScalarBias(nn.Module):
    """Add one learned number, 0 at the start, to every value."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        """Set the bias to 0."""
        nn.init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Compute input + bias."""
        return input + self.bias


class ScalarMultiplier(nn.Module):
    """Multiply every value by one learned number.

    Args:
        start: the number before training.
    """

    def __init__(self, start: float) -> None:
        super().__init__()
        self.start = start
        self.weight = nn.Parameter(torch.full((), start))

    def reset_parameters(self) -> None:
        """Set the multiplier to what it is before training."""
        nn.init.constant_(self.weight, self.start)

    def forward(self, input: Tensor) -> Tensor:
        """Compute weight · input."""
        return self.weight * input


class ResidualStage(nn.Module):
    """A layer, then residual blocks: x ← x + multiplier · branch(x), of two layers each.

    Args:
        weights: the constructor of a layer's weights for (inputs, outputs), which takes `bias=`.
        sizes: inputs of the stage and its width.
        layers: number of layers: one, and two for each branch.
        branch: `none`; `skipinit` (De & Smith 2020, arXiv 2002.10444): the multiplier is learned
            and 0 at the start; `fixup` (Zhang et al. 2019, arXiv 1901.09321, section 3.2): it is
            learned and 1, scalar biases stand before weights and activations in the place of
            biases of units; see `ResidualNet.start_branches` for the weights.
        order: a key of `ORDERS`.
        norm: as in `blocks.block`.
        placement: a key of `PLACEMENTS`; of `post` norm and activation change places throughout.
            Without a norm it makes no difference.
        options: activation and dropout of `blocks.block`.

    Raises:
        ValueError: an unknown branch or order, an even number of layers, or Fixup with a norm.
    """

    def __init__(
        self,
        weights: Callable[..., nn.Module],
        sizes: tuple[int, int],
        layers: int,
        *,
        branch: str = "none",
        order: str = "full_preactivation",
        norm: Norm | None = None,
        placement: str = "pre",
        **options: Any,
    ) -> None:
        super().__init__()
        check_key("branch", branch, dict.fromkeys(BRANCHES))
        check_key("order", order, ORDERS)
        if layers % IN_A_BRANCH == 0:
            raise ValueError(f"depth {layers}: expected one layer and two for each branch")
        if branch == "fixup" and norm:
            raise ValueError("fixup stands in the place of a norm: expected no norm with it")
        if norm is None:
            placement = "pre"
        fan_in, width = sizes
        of_layer = {"norm": norm, "placement": placement, **options}
        if branch == "fixup":
            of_layer["norm"] = lambda _: ScalarBias()
        made = []
        for number in range(layers):
            of_weights = partial(weights, width if number else fan_in, width)
            if branch == "fixup":
                own = block(partial(_without_bias, of_weights), width, **of_layer)
                own = nn.Sequential(OrderedDict(offset=ScalarBias(), **dict(own.named_children())))
            else:
                own = block(of_weights, width, **of_layer)
            made.append(own)
        self.layers = nn.ModuleList(made)
        start = {"skipinit": 0.0, "fixup": 1.0}.get(branch)
        self.multipliers = nn.ModuleList(
            nn.Identity() if start is None else ScalarMultiplier(start)
            for _ in range(layers // IN_A_BRANCH)
        )
        # a layer's modules before the addition, and before the shortcut leaves
        self.added, self.leaves = (filled(made[0], slots, placement) for slots in ORDERS[order])

    def forward(self, input: Tensor) -> Tensor:
        """Compute the outputs of the last layer."""
        x = y = input
        for number, layer in enumerate(self.layers):
            if number % IN_A_BRANCH:
                y = layer(y)
                continue
            modules = list(layer.children())
            y = _run(modules[: self.added], y)
            if number:
                y = x + self.multipliers[number // IN_A_BRANCH - 1](y)
            x = _run(modules[self.added : self.leaves], y)
            y = _run(modules[self.leaves :], x)
        return y


class ResidualNet(nn.Module):
    """What residual nets have in common: stages, and a head behind what `features` are."""

    features: nn.Sequential
    offset: nn.Module
    head: nn.Linear

    def finish(self, inputs: int, num_classes: int, branch: str) -> None:
        """Add the head for a number of inputs, with a scalar bias before it for Fixup."""
        self.is_fixup = branch == "fixup"
        self.offset = ScalarBias() if self.is_fixup else nn.Identity()
        self.head = nn.Linear(inputs, num_classes)

    @torch.no_grad()
    def start_branches(self) -> None:
        """Bring weights that have just been drawn to where Fixup has them start.

        With L branches of m = 2 layers each, the weights of a branch are multiplied by
        L^(-1/(2m - 2)); those of its last layer and of the head are 0 (Zhang et al. 2019, section
        3.2, rules 1 and 2).
        """
        if not self.is_fixup:
            return
        layers = [stage.layers for stage in self.features if isinstance(stage, ResidualStage)]
        number = sum(len(own) // IN_A_BRANCH for own in layers)
        for own in layers:
            for k, layer in enumerate(own[1:]):
                weight: Any = layer.get_submodule("weights").weight
                weight.mul_(number ** (-1 / (2 * IN_A_BRANCH - 2)) if k % IN_A_BRANCH == 0 else 0.0)
        self.head.weight.zero_()


class ResidualMLP(ResidualNet):
    """A stage of fully connected layers for each width, then a linear head.

    (N, *input_shape) -> (N, num_classes) logits.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of logits.
        widths: units of the layers of each stage.
        depth: layers of each stage, an odd number: one, and two for each branch; one entry serves
            all.
        branch: see `ResidualStage`.
        options: order, norm (for (N, C)), placement, activation and dropout of `ResidualStage`.

    >>> net = ResidualMLP((1, 8, 8), 10, widths=[100], depth=[9])
    >>> len(net.features[0].layers), len(net.features[0].multipliers)
    (9, 4)
    """

    spatial_dims = 0

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        widths: Sequence[int],
        depth: Sequence[int] = (1,),
        branch: str = "none",
        **options: Any,
    ) -> None:
        super().__init__()
        inputs = math.prod(input_shape)
        self.features = nn.Sequential()
        for width, layers in stages(widths, depth):
            self.features.append(
                ResidualStage(nn.Linear, (inputs, width), layers, branch=branch, **options)
            )
            inputs = width
        self.finish(inputs, num_classes, branch)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of a batch of images."""
        return self.head(self.offset(self.features(images.flatten(1))))


class ResidualVGG(ResidualNet):
    """A stage of 3×3 convolutions with a 2×2 max pool for each width, then a linear head.

    (N, *input_shape) -> (N, num_classes) logits. Much faster with model and images channels_last.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of logits.
        widths: channels of the stages.
        depth: convolutions of each stage, an odd number: one, and two for each branch; one entry
            serves all.
        branch: see `ResidualStage`.
        options: order, norm (for (N, C, H, W)), placement, activation and dropout of
            `ResidualStage`.

    Raises:
        ValueError: more stages than the image can be halved.
    """

    spatial_dims = 2

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        widths: Sequence[int],
        depth: Sequence[int] = (1,),
        branch: str = "none",
        **options: Any,
    ) -> None:
        super().__init__()
        check_pools(input_shape, widths)
        channels, height, width = input_shape
        convolution = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.features = nn.Sequential()
        for features, layers in stages(widths, depth):
            sizes = channels, features
            self.features.append(
                ResidualStage(convolution, sizes, layers, branch=branch, **options)
            )
            self.features.append(nn.MaxPool2d(2))
            channels, height, width = features, height // 2, width // 2
        self.finish(channels * height * width, num_classes, branch)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of a batch of images."""
        return self.head(self.offset(self.features(images).flatten(1)))


def _without_bias(weights: Callable[..., nn.Module], bias: bool) -> nn.Module:
    return weights(bias=False)


def _run(modules: Sequence[nn.Module], x: Tensor) -> Tensor:
    for module in modules:
        x = module(x)
    return x
