"""The VGG-style convolutional net (Simonyan & Zisserman 2015, section 2.1), with a linear head."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from bnbench.models.blocks import Norm, block, dropouts, norm_or_identity, norms, stages


class VGG(nn.Module):
    """Stages of 3×3 convolutions with a 2×2 max pool each, then a linear head.

    (N, *input_shape) -> (N, num_classes) logits. Much faster with model and images channels_last.

    Args:
        input_shape: (C, H, W) of one image.
        num_classes: number of logits.
        widths: channels of the stages.
        depth: convolutions per stage; one entry serves all.
        dropout, dropout_place: see `blocks.dropouts`.
        norm, norm_layers: the constructor of the norm (for (N, C, H, W)); see `blocks.norms`.
        options: activation and placement of `blocks.block`.

    Raises:
        ValueError: more stages than the image can be halved.

    >>> VGG((3, 32, 32), 10, widths=[64, 128, 256, 512, 512], depth=[1, 1, 2, 2, 2]).head
    Linear(in_features=512, out_features=10, bias=True)
    """

    spatial_dims = 2

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
        check_pools(input_shape, widths)
        channels, height, width = input_shape
        layers: list[nn.Module] = []
        every = stages(widths, depth)
        total = sum(count for _, count in every)
        of_data, *of_blocks = norms(norm, norm_layers, total)
        self.input = norm_or_identity(of_data, channels)
        own = iter(zip(dropouts(dropout, dropout_place, total), of_blocks, strict=True))
        for features, count in every:
            for _ in range(count):
                weights = partial(nn.Conv2d, channels, features, 3, padding=1)
                p, of_block = next(own)
                layers.append(block(weights, features, dropout=p, norm=of_block, **options))
                channels = features
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels * height * width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of a batch of images."""
        return self.head(self.features(self.input(images)).flatten(1))


def check_pools(input_shape: tuple[int, int, int], widths: Sequence[int]) -> None:
    """Refuse more stages than an image can be halved (`ValueError`)."""
    _, height, width = input_shape
    if min(height, width) < 2 ** len(widths):
        raise ValueError(
            f"{len(widths)} stages halve an image of {height}×{width} to nothing; "
            f"the widths {list(widths)} need at least {2 ** len(widths)} pixels a side"
        )
