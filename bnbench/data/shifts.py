"""Shifts of the test distribution: changes of the raw test images, in five severities.

Hendrycks & Dietterich (2019), sec. 3, with levels for small images. A shift is for evaluation only
and never changes training. Lengths are shares of the image's side, so that 8×8 and 32×32 compare.
Most corrupt the images (`SHIFTS`); one changes only their order (`ORDERS`), and so the composition
of test batches.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bnbench.config.arms import derive_seed

SEVERITIES: dict[str, tuple[float, float, float, float, float]] = {
    "gaussian_noise": (0.1, 0.2, 0.3, 0.4, 0.5),  # standard deviation; white is 1
    "contrast": (0.8, 0.6, 0.4, 0.3, 0.2),  # share of each deviation from the mean that is left
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),  # added to every pixel; white is 1
    "blur": (0.05, 0.065, 0.08, 0.1, 0.12),  # standard deviation of the kernel, share of the side
    "translate": (0.05, 0.1, 0.15, 0.2, 0.25),  # distance, share of the side
    "invert": (0.2, 0.4, 0.6, 0.8, 1.0),  # probability that an image is inverted
    "class_sorted": (16.0, 8.0, 4.0, 2.0, 1.0),  # how many neighbouring classes meet
}


def gaussian_noise(images: Tensor, std: float, seed: int) -> Tensor:
    """x + std·ε with ε ~ N(0, 1) per pixel."""
    noise = per_image("gaussian_noise", seed, torch.empty(images.shape), Tensor.normal_)
    return images + std * noise.to(images.device)


def contrast(images: Tensor, factor: float, seed: int) -> Tensor:
    """m + factor·(x - m), where m is the mean of the image."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


def brightness(images: Tensor, offset: float, seed: int) -> Tensor:
    """x + offset."""
    return images + offset


def blur(images: Tensor, share: float, seed: int) -> Tensor:
    """Convolve with a Gaussian, renormalised over the pixels inside the image.

    The kernel is separable, so it is two products with a matrix of the image's side: far faster
    than a convolution whose kernel is as wide as the image, and it has no padding to choose.
    """
    height, width = images.shape[2:]
    return (
        gaussian_matrix(height, share).to(images)
        @ images
        @ gaussian_matrix(width, share).to(images).T
    )


def gaussian_matrix(side: int, share: float) -> Tensor:
    """Make the matrix whose row i weighs the pixels for blurred pixel i; each row sums to 1."""
    position = torch.arange(side, dtype=torch.float64)
    distance = (position[:, None] - position) / (share * side)
    return torch.softmax(-(distance**2) / 2, dim=1)


def translate(images: Tensor, share: float, seed: int) -> Tensor:
    """Move each image by share·side in a direction of its own, between pixels bilinearly.

    Edge pixels fill the gap, as in `augment_light`.
    """
    turn = per_image("translate", seed, torch.empty(len(images)), Tensor.uniform_)
    angle = 2 * math.pi * turn
    transform = torch.eye(2, 3).repeat(len(images), 1, 1)
    transform[:, :, 2] = 2 * share * torch.stack([angle.cos(), angle.sin()], dim=1)  # side is 2
    grid = F.affine_grid(transform.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def invert(images: Tensor, share: float, seed: int) -> Tensor:
    """1 - x for a share of the images; those inverted at one severity stay so at the next."""
    turn = per_image("invert", seed, torch.empty(len(images), 1, 1, 1), Tensor.uniform_)
    return torch.where(turn.to(images.device) < share, 1 - images, images)


def class_sorted(labels: Tensor, width: float, seed: int) -> Tensor:
    """Find the order that sorts images by label + width·u with u ~ U[0, 1) per image.

    At a place of the order there are images of at most `width` neighbouring classes, and with width
    1 the classes come one after another. A batch of such a stream is no sample of the test set, so
    statistics of test batches, the policies batch and blend, take away what its classes have in
    common (Gong et al. 2022, NOTE, show it of adaptation methods). No other policy can notice:
    images and labels stay pairs.

    Compare with `test@batch` on the clean set, not with EMA: small batches cost accuracy in any
    order. The order is made from the test labels: it tells what batch mates are, so nothing may be
    tuned on it, and a method that gains by it has read labels.
    """
    turn = per_image("class_sorted", seed, torch.empty(len(labels)), Tensor.uniform_)
    # in float64 label + u stays below label + 1
    return (labels.cpu() + width * turn.double()).argsort(stable=True).to(labels.device)


SHIFTS: dict[str, Callable[[Tensor, float, int], Tensor]] = {
    "gaussian_noise": gaussian_noise,
    "contrast": contrast,
    "brightness": brightness,
    "blur": blur,
    "translate": translate,
    "invert": invert,
}


# from labels, a level and a seed to the order of the images
ORDERS: dict[str, Callable[[Tensor, float, int], Tensor]] = {"class_sorted": class_sorted}


def apply_shift(
    images: Tensor, labels: Tensor, name: str, severity: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Shift raw images with their labels.

    The random draw for image i depends on (seed, name, i) alone: it is the same at every severity,
    and for the first images of any set.

    Args:
        images: raw images in [0, 1], (N, C, H, W).
        labels: their classes, (N,).
        name: a key of `SHIFTS` or `ORDERS`.
        severity: 1 (mild) to 5 (hard), an index into `SEVERITIES`.
        seed: the run's seed.

    Returns:
        The shifted images, clamped to [0, 1], with their labels, in another order for a key of
        `ORDERS`; the input is left alone.

    Raises:
        ValueError: the shift is unknown or the severity is not 1 to 5.

    Example:
        >>> images, labels = torch.full((1, 1, 1, 2), 0.5), torch.tensor([7])
        >>> apply_shift(images, labels, "brightness", severity=3, seed=0)
        (tensor([[[[0.8000, 0.8000]]]]), tensor([7]))
    """
    if name not in SEVERITIES:
        raise ValueError(f"unknown shift {name!r}; known are {', '.join(SEVERITIES)}")
    if severity not in range(1, 6):
        raise ValueError(f"severity {severity!r} of {name}: expected 1, 2, 3, 4 or 5")
    assert ((images >= 0) & (images <= 1)).all(), "shifts apply to raw images, in [0, 1]"
    level = SEVERITIES[name][severity - 1]
    if name in ORDERS:
        order = ORDERS[name](labels, level, seed)
        return images[order], labels[order]
    return SHIFTS[name](images, level, seed).clamp(0, 1), labels


def per_image(name: str, seed: int, draws: Tensor, fill: Callable[..., Tensor]) -> Tensor:
    """Fill row i of `draws` in place from a generator seeded for (seed, name, i)."""
    generator = torch.Generator()
    for i, row in enumerate(draws):
        fill(row, generator=generator.manual_seed(derive_seed(seed, "shift", name, i)))
    return draws
