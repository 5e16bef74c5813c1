"""Facts about a data set that requests are checked against and nets are built by."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from bnbench.config.schema import (
    DATA_SHAPES,
    DATA_SIZES,
    NUM_CLASSES,
    DataConfig,
    NpzDataConfig,
)


class DataFacts(NamedTuple):
    """What is known of a data set before any image is read.

    Attributes:
        sizes: images to train, to validate, to test.
        shape: channels, height and width of an image.
        num_classes: labels are 0 … num_classes - 1.
    """

    sizes: tuple[int, int, int]
    shape: tuple[int, int, int]
    num_classes: int

    @property
    def chance(self) -> float:
        """The accuracy of a net that guesses: what one that has diverged is counted as."""
        return 1 / self.num_classes


def is_own(data: Mapping[str, Any]) -> bool:
    """Whether a data set is the user's own, by its settings."""
    return "digest" in data


def facts(data: Mapping[str, Any]) -> DataFacts:
    """State the facts of a data set, given its settings or their canonical form.

    >>> facts({"name": "digits"}).shape
    (1, 8, 8)
    """
    if not is_own(data):
        name = data["name"]
        return DataFacts(DATA_SIZES[name], DATA_SHAPES[name], NUM_CLASSES)
    train, val, test = data["sizes"]
    channels, height, width = data["shape"]
    return DataFacts((train, val, test), (channels, height, width), data["num_classes"])


def path_key(data: DataConfig) -> str:
    """Name the key of a data set that says where its files lie."""
    return "file" if isinstance(data, NpzDataConfig) else "root"


def split_sizes(num_images: int, num_test: int) -> tuple[int, int, int]:
    """Count the images to train, to validate and to test of the user's own data.

    Without a test set of its own a fifth is validated on, a fifth tested on; with one, a fifth of
    the rest is validated on.

    >>> split_sizes(1797, 0), split_sizes(100, 20)
    ((1078, 359, 360), (64, 16, 20))
    """
    test = num_test or -(-num_images // 5)
    val = (num_images - num_test) // 5
    return num_images - val - test, val, test
