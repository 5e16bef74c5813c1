"""The multilayer perceptron (Ioffe & Szegedy 2015, section 4.1, use three hidden layers of 100)."""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from bnbench.models.blocks import Norm, block, dropouts, norm_or_identity, norms, stages


class MLP(nn.Module):
    """Flatten, fully connected blocks, a linear head: (N, *input_shape) -> (N, num_classes) logits.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of logits.
        widths: units of the hidden layers.
        depth: hidden layers per width; one entry serves all.
        dropout, dropout_place: see `blocks.dropouts`.
        norm, norm_layers: the constructor of the norm (for (N, C)); see `blocks.norms`.
        options: activation and placement of `blocks.block`.

    >>> MLP((1, 8, 8), 10, widths=[100, 100, 100]).head
    Linear(in_features=100, out_features=10, bias=True)
    """

    spatial_dims = 0

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        *,
        widths: Sequence[int],
        depth: Sequence[int] = (1,),
        dropout: float = 0.0,
        dropout_place: str = "blocks",
        norm: Norm | None = None,
        norm_layers: str = "every",
        **options: Any,
    ) -> None:
        super().__init__()
        hidden = [width for width, count in stages(widths, depth) for _ in range(count)]
        sizes = [math.prod(input_shape), *hidden]
        dropped = dropouts(dropout, dropout_place, len(hidden))
        of_data, *of_blocks = norms(norm, norm_layers, len(hidden))
        self.input = norm_or_identity(of_data, sizes[0])
        self.blocks = nn.Sequential(
            *(
                block(partial(nn.Linear, fan_in, width), width, dropout=p, norm=own, **options)
                for (fan_in, width), p, own in zip(pairwise(sizes), dropped, of_blocks, strict=True)
            )
        )
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of a batch of images."""
        return self.head(self.blocks(self.input(images.flatten(1))))
