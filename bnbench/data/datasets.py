"""The data sets as whole tensors in memory, split by a seed.

digits: Alpaydin & Kaynak (1998), as in scikit-learn; fashion_mnist: Xiao et al. (2017); mnist:
LeCun et al. (1998); cifar10: Krizhevsky (2009); synthetic: made here, for tests and smoke runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bnbench.config.arms import derive_seed
from bnbench.config.schema import DATA_SIZES, NUM_CLASSES, Pixels
from bnbench.data.files import FILES, read_arrays
from bnbench.data.fingerprint import overlap, tensor_digest
from bnbench.data.own import OwnImages

MIRRORED = {"fashion_mnist", "cifar10"}  # a mirrored shoe is a shoe; a mirrored 3 is not a 3


class Split(NamedTuple):
    """Raw images, float32 (N, C, H, W) in [0, 1], and their labels, int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Dataset:
    """Three disjoint splits of raw images, with the mean and deviation that normalise them.

    Attributes:
        train, val, test: the splits; shifts apply to their raw images, nets see normalised ones.
        num_classes: labels are 0 … num_classes - 1.
        mean, std: per channel over the training split, (C,); std is the biased one. Of other
            pixels (`with_pixels`) what takes raw images to these.
        mirrored: whether an image keeps its class when flipped left to right.
    """

    train: Split
    val: Split
    test: Split
    num_classes: int
    mean: Tensor
    std: Tensor
    mirrored: bool

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """`splits`: a digest of all images and labels; `overlap`: how many images two splits share.

        Splits are disjoint in samples: an image that a data set holds twice may be in two splits.
        """
        splits = (self.train, self.val, self.test)
        return {
            "splits": tensor_digest(tensor for split in splits for tensor in split),
            "overlap": overlap([split.images for split in splits]),
        }

    def normalise(self, images: Tensor) -> Tensor:
        """Compute (images - mean) / std per channel: mean 0 and variance 1 on the training split.

        Args:
            images: raw images, (N, C, H, W).
        """
        return (images - self.mean[:, None, None]).div_(self.std[:, None, None])

    def with_pixels(self, pixels: str) -> "Dataset":
        """Give the same data set with other images for nets to see: raw ones times a factor.

        Args:
            pixels: `normalised`: the data set as it is; `unit`: `normalise` gives the raw images,
                from 0 to 1; `bytes`: 255 times these.

        Raises:
            ValueError: an unknown choice.
        """
        if pixels not in [*Pixels]:
            raise ValueError(f"unknown pixels {pixels!r}; allowed: {', '.join(Pixels)}")
        if pixels == Pixels.normalised:
            return self
        factor = {Pixels.unit: 1, Pixels.bytes: 255}[Pixels(pixels)]
        zero = torch.zeros_like(self.mean)
        return replace(self, mean=zero, std=zero + 1 / factor)


def from_files(name: str, root: Path) -> tuple[Tensor, Tensor]:
    """Read the pixels (uint8) and labels of a data set from its files."""
    images, labels = read_arrays(name, root)
    return torch.from_numpy(images), torch.from_numpy(labels)


def digits(root: Path) -> tuple[Tensor, Tensor]:
    """Load 1,797 handwritten digits of 8×8 pixels and 17 grey levels; comes with scikit-learn."""
    table = _digits_table()
    return (table[:, :-1] / 16).float().view(-1, 1, 8, 8), table[:, -1].long()


@cache  # it takes a tenth of a second, and runs with splits of their own ask for it each time
def _digits_table() -> Tensor:
    """Read the file of the digits: importing scikit-learn takes as long as importing torch."""
    scikit_learn = find_spec("sklearn")
    assert scikit_learn
    assert scikit_learn.origin
    file = Path(scikit_learn.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return torch.from_numpy(np.loadtxt(file, delimiter=","))


def synthetic(root: Path) -> tuple[Tensor, Tensor]:
    """Draw 400 images of 32×32 pixels: ten smooth random prototypes under pixel noise.

    The side is that of CIFAR-10, so that five stages of halving, a VGG, have pixels to halve.
    """
    generator = torch.Generator().manual_seed(derive_seed(0, "synthetic"))
    coarse = torch.rand(NUM_CLASSES, 1, 4, 4, generator=generator)
    prototypes = F.interpolate(coarse, size=(32, 32), mode="bilinear")
    labels = torch.arange(sum(DATA_SIZES["synthetic"])) % NUM_CLASSES
    images = prototypes[labels]
    noise = torch.randn(images.shape, generator=generator)
    return (images + 0.25 * noise).clamp_(0, 1), labels


DATASETS: dict[str, Callable[[Path], tuple[Tensor, Tensor]]] = {
    "digits": digits,
    "fashion_mnist": partial(from_files, "fashion_mnist"),
    "mnist": partial(from_files, "mnist"),
    "cifar10": partial(from_files, "cifar10"),
    "synthetic": synthetic,
}


def load(
    name: str,
    root: Path,
    split_seed: int,
    train_images: int | None = None,
    *,
    stratified: bool = False,
) -> Dataset:
    """Load a data set and split it; the same seed always gives the same split.

    An official test set is kept as it is and the rest is drawn into training and validation; where
    there is none (digits, synthetic), all of it is drawn into the three splits.

    Args:
        name: a key of `DATASETS`.
        root: the folder that holds the data sets kept in files.
        split_seed: the seed of the split.
        train_images: how many of the training images to keep, the first of them; None for all. The
            other splits are the same, and the kept images give mean and deviation.
        stratified: whether each class has its share of every split (`stratified_splits`), instead
            of as many images as a permutation of all gives it.

    Returns:
        The data set; sizes are those of `bnbench.config.schema.DATA_SIZES`.

    Raises:
        ValueError: there is no data set of that name.
        DataError: a file is missing or is not what it should be.

    Example:
        >>> load("digits", Path("data"), split_seed=0).train.images.shape
        torch.Size([1078, 1, 8, 8])
    """
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; known are {', '.join(DATASETS)}")
    pixels, labels = DATASETS[name](root)
    sizes = DATA_SIZES[name]
    free = sizes[:-1] if name in FILES else sizes
    splits = draw_splits(pixels, labels, sizes, free, split_seed, train_images, stratified)
    return around(*splits, NUM_CLASSES, mirrored=name in MIRRORED)


def load_own(
    own: OwnImages, split_seed: int, train_images: int | None = None, *, stratified: bool = False
) -> Dataset:
    """Split images of the user's own as `load` splits a data set; none is ever mirrored."""
    pixels, labels = torch.from_numpy(own.images), torch.from_numpy(own.labels)
    sizes, _, num_classes = own.facts
    free = sizes[:-1] if own.num_test else sizes
    splits = draw_splits(pixels, labels, sizes, free, split_seed, train_images, stratified)
    return around(*splits, num_classes, mirrored=False)


def draw_splits(
    pixels: Tensor,
    labels: Tensor,
    sizes: Sequence[int],
    free: Sequence[int],
    split_seed: int,
    train_images: int | None,
    stratified: bool,
) -> tuple[Split, Split, Split]:
    """Draw splits of some sizes; what is not among the `free` ones keeps its place at the end."""
    generator = torch.Generator().manual_seed(derive_seed(split_seed, "split"))
    if stratified:
        drawn = stratified_splits(labels[: sum(free)], free, generator)
    else:
        drawn = torch.randperm(sum(free), generator=generator).split(list(free))
    order = torch.cat([*drawn, torch.arange(sum(free), len(labels))])
    train, val, test = (Split(raw(pixels[i]), labels[i]) for i in order.split(list(sizes)))
    return Split(*(part[:train_images] for part in train)), val, test


def around(train: Split, val: Split, test: Split, num_classes: int, mirrored: bool) -> Dataset:
    """Make a data set of its splits; a channel that is one value becomes zeros, not nan."""
    std, mean = torch.std_mean(train.images, dim=(0, 2, 3), correction=0)
    std = torch.where(std > 0, std, 1)
    return Dataset(train, val, test, num_classes, mean, std, mirrored)


def stratified_splits(
    labels: Tensor, sizes: Sequence[int], generator: torch.Generator
) -> list[Tensor]:
    """Draw disjoint splits at random, of each of which every class has its share.

    Images are put in order by class, at random within a class, and every k-th is drawn from a
    random start on (systematic sampling): every image is as likely as any other, and a class is
    within one image of its share of those that were left.

    Args:
        labels: (N,).
        sizes: of the splits; they add up to N.
        generator: what they are drawn from.

    Returns:
        The indices of each split's images, in random order.
    """
    order = torch.randperm(len(labels), generator=generator)
    left = order[labels[order].argsort(stable=True)]
    splits: list[Tensor] = []
    for size in reversed(sizes):
        start = torch.rand((), dtype=torch.float64, generator=generator)
        places = ((torch.arange(size) + start) * len(left) / max(1, size)).long()
        is_drawn = torch.zeros(len(left), dtype=torch.bool)
        is_drawn[places] = True
        splits.append(left[is_drawn][torch.randperm(size, generator=generator)])
        left = left[~is_drawn]
    return splits[::-1]


def raw(pixels: Tensor) -> Tensor:
    """Convert pixels to float32 in [0, 1]: bytes are scaled, floats already are."""
    return pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
