"""Small images of one's own, made in a test: a folder of two classes, and files of numpy."""

from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = {"discs": 12, "squares": 12}  # images of each class: enough for every split


def draw_photos(root: Path, classes=PHOTOS, side=9, seed=0) -> Path:
    """A folder of coloured noise, around a brighter middle in the second class."""
    rng = np.random.default_rng(seed)
    for number, (name, count) in enumerate(classes.items()):
        (root / name).mkdir(parents=True)
        for k in range(count):
            pixels = rng.integers(0, 128, (side + k % 3, side, 3), np.uint8)
            pixels[2:-2, 2:-2] += np.uint8(100 * (number % 2))
            Image.fromarray(pixels).save(root / name / f"{k:03}.png")
    return root


def write_arrays(file: Path, num=40, classes=2, shape=(6, 6), **changes) -> Path:
    """A file of numpy with classes in turn; a change of None leaves an array out."""
    rng = np.random.default_rng(0)
    arrays = {
        "images": rng.integers(0, 256, (num, *shape), np.uint8),
        "labels": np.arange(num) % classes,
    }
    arrays |= changes
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return file
