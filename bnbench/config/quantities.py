"""Quantities that follow from several keys of a configuration."""

import math
from collections.abc import Sequence

from bnbench.config.schema import TUNED_BATCH, LrScaling, NormLayers


def layers_per_width(widths: Sequence[int], depth: Sequence[int]) -> list[int]:
    """Expand `model.depth` to one number of layers for each width; a single one serves all.

    >>> layers_per_width([64, 128], [2]), layers_per_width([64, 128], [1, 2])
    ([2, 2], [1, 2])
    """
    return list(depth) * (len(widths) if len(depth) == 1 else 1)


def data_features(shape: tuple[int, int, int], flat: bool) -> int:
    """Count what a norm on the data normalises one by one: pixels for a perceptron, or channels.

    >>> data_features((3, 32, 32), flat=True), data_features((3, 32, 32), flat=False)
    (3072, 3)
    """
    return math.prod(shape) if flat else shape[0]


def norm_places(norm_layers: str, layers: int) -> list[bool]:
    """List whether a norm stands on the data, and then in each layer of a net.

    `every` is in each layer, `alternate` in the first, third and so on, `input` on the data alone.

    >>> norm_places("alternate", 3), norm_places("input", 2)
    ([False, True, False, True], [True, False, False])
    """
    chosen = {
        NormLayers.every: range(1, layers + 1),
        NormLayers.first: [1],
        NormLayers.last: [layers],
        NormLayers.alternate: range(1, layers + 1, 2),
        NormLayers.input: [0],
    }[NormLayers(norm_layers)]
    return [place in chosen for place in range(layers + 1)]


def peak_rate(base_lr: float, lr_mult: float, lr_scaling: str, batch_size: int) -> float:
    """Compute the rate at step 1: base_lr · lr_mult, scaled with the batch size as asked."""
    power = {LrScaling.none: 0.0, LrScaling.linear: 1.0, LrScaling.sqrt: 0.5}[LrScaling(lr_scaling)]
    return base_lr * lr_mult * (batch_size / TUNED_BATCH) ** power
