"""What every shift must fulfil, as contracts that can be run over one of the user's own.

A contract takes the function of a shift and its levels, as `SHIFTS` and `SEVERITIES` have them, and
raises an AssertionError that says why it does not hold.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

SHAPES = ((9, 1, 8, 8), (9, 3, 12, 12))  # of raw images

Shift = Callable[[Tensor, float, int], Tensor]


def raw(shape: Sequence[int]) -> Tensor:
    """Draw raw images in [0, 1], the same each time."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def keeps_shape(shift: Shift, levels: Sequence[float]) -> None:
    """Return images of the same shape and dtype, with finite pixels."""
    for shape in SHAPES:
        for level in levels:
            found = shift(raw(shape), level, 0)
            if found.shape != shape or found.dtype != torch.float32:
                raise AssertionError(f"{shape} becomes {tuple(found.shape)} in {found.dtype}")
            if bad := int((~found.isfinite()).sum()):
                raise AssertionError(f"{bad} of {found.numel()} pixels are not finite at {level}")


def leaves_images(shift: Shift, levels: Sequence[float]) -> None:
    """Change no pixel of the images that it is given."""
    for shape in SHAPES:
        images = raw(shape)
        shift(images, levels[-1], 0)
        if changed := int((images != raw(shape)).sum()):
            raise AssertionError(f"{changed} of {images.numel()} pixels are others afterwards")


def is_drawn_from_the_seed(shift: Shift, levels: Sequence[float]) -> None:
    """Give the same images for the same seed."""
    for shape in SHAPES:
        one, other = (shift(raw(shape), levels[2], 3) for _ in range(2))
        if differ := int((one != other).sum()):
            raise AssertionError(
                f"{differ} of {one.numel()} pixels differ from one call to another"
            )


def ignores_mates(shift: Shift, levels: Sequence[float]) -> None:
    """Shift an image alike whatever images come behind it."""
    for shape in SHAPES:
        few, all_of_them = (shift(raw(shape)[:n], levels[2], 3) for n in (4, shape[0]))
        off = float((few - all_of_them[:4]).abs().max())
        if not off <= 1e-6:
            raise AssertionError(f"the first images differ among more by up to {off:.3g}")


def grows(shift: Shift, levels: Sequence[float]) -> None:
    """Change images more from one severity to the next, and at the first already."""
    for shape in SHAPES:
        images = raw(shape)
        changes = [float((shift(images, v, 0).clamp(0, 1) - images).abs().mean()) for v in levels]
        if not changes[0] > 0 or any(not b > a for a, b in pairwise(changes)):
            told = ", ".join(f"{change:.3g}" for change in changes)
            raise AssertionError(f"pixels change by {told} on average at the five severities")


CONTRACTS: dict[str, Callable[[Shift, Sequence[float]], None]] = {
    "shape": keeps_shape,
    "images": leaves_images,
    "seed": is_drawn_from_the_seed,
    "mates": ignores_mates,
    "severity": grows,
}
