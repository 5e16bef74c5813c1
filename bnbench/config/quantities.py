"""Quantities that follow from several keys of a configuration."""

from collections.abc import Sequence

from bnbench.config.schema import TUNED_BATCH, LrScaling


def layers_per_width(widths: Sequence[int], depth: Sequence[int]) -> list[int]:
    """Expand `model.depth` to one number of layers for each width; a single one serves all.

    >>> layers_per_width([64, 128], [2]), layers_per_width([64, 128], [1, 2])
    ([2, 2], [1, 2])
    """
    return list(depth) * (len(widths) if len(depth) == 1 else 1)


def peak_rate(base_lr: float, lr_mult: float, lr_scaling: str, batch_size: int) -> float:
    """Compute the rate at step 1: base_lr · lr_mult, scaled with the batch size as asked."""
    power = {LrScaling.none: 0.0, LrScaling.linear: 1.0, LrScaling.sqrt: 0.5}[LrScaling(lr_scaling)]
    return base_lr * lr_mult * (batch_size / TUNED_BATCH) ** power
