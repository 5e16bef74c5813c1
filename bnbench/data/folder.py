"""A folder that holds one folder of images for each class, brought to one shape by fixed rules.

Classes are the folders, sorted by name. Names that begin with a dot are passed over, and beside the
classes' folders what is no image; in them everything has to be one. Only the first frame counts,
turned as its camera noted (EXIF), what is transparent on white, 16 bits scaled to 8. The middle
square is cut out, as large as it can be, and brought to the side that is asked for by Pillow's
bilinear filter, which averages where it shrinks. If no pixel of any image has a colour, the images
have one channel, else three.
"""

import hashlib
import os
import stat
import warnings
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from bnbench.data.arrays import MAX_PIXELS, Labelled, first_line
from bnbench.data.files import DataError

PREPARATION = "folder 1"  # another number where the same files would become other pixels
MAX_IMAGE = 89_478_485  # pixels of a file: Pillow's own bound against decompression bombs
TOO_MANY = f"expected at most {MAX_IMAGE:,} of an image"
DROPPINGS = {"Thumbs.db", "desktop.ini"}  # of file managers, beside what they hide by a dot
RUN_CODE = {"EPS"}  # programs, which Pillow has another program run


class ImageFile(NamedTuple):
    """One file of a class, and what changes with its content."""

    label: int
    name: str  # below the root
    path: str
    stamp: tuple[int, int, int]


class Listing(NamedTuple):
    """The classes of a folder and their files, in order."""

    classes: tuple[str, ...]
    files: list[ImageFile]

    def key(self, size: int) -> str:
        """Name what the files become at a size, without reading one, in 16 hexadecimal digits.

        A file that is changed has another time of its last change (ctime), whatever its size and
        the time of its last modification pretend.
        """
        sha = hashlib.sha256(f"{PREPARATION} {size}".encode())
        for file in self.files:
            sha.update(os.fsencode(f"\0{file.name}\0{file.stamp}"))
        return sha.hexdigest()[:16]


@cache
def formats() -> dict[str, str]:
    """The image formats that Pillow reads, by the endings of files."""
    endings = Image.registered_extensions()  # which loads its plugins
    return {end: name for end, name in endings.items() if name in Image.OPEN}


def listing(root: Path) -> Listing:
    """List the images of a folder by class.

    Raises:
        DataError: it is not one folder of images a class; one line that names the culprit.
    """
    try:
        inside = Path(os.path.realpath(root))
        if not inside.is_dir():
            raise DataError("a file, expected a folder" if inside.exists() else "no such folder")
        classes, loose = [], []
        for name in entries(inside):
            mode = mode_of(inside, name).st_mode
            if stat.S_ISDIR(mode):
                classes.append(name)
            elif Path(name).suffix.lower() in formats():
                loose.append(name)
        if loose:
            raise DataError(f"{loose[0]}: an image beside the folders of the classes, not in one")
        if not classes:
            raise DataError("expected one folder of images for each class, found no folder")
        files = []
        for label, folder in enumerate(classes):
            names = entries(inside / folder)
            if not names:
                raise DataError(f"{folder}: an empty folder, expected images")
            for name in names:
                shown = f"{folder}/{name}"
                facts = mode_of(inside, shown)
                if not stat.S_ISREG(facts.st_mode):
                    is_folder = stat.S_ISDIR(facts.st_mode)
                    raise DataError(
                        f"{shown}: {'a folder' if is_folder else 'no file'}, expected images alone"
                    )
                stamp = (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
                files.append(ImageFile(label, shown, str(inside / shown), stamp))
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return Listing(tuple(classes), files)


def entries(folder: Path) -> list[str]:
    """The names in a folder, sorted, without hidden ones."""
    names = (path.name for path in folder.iterdir())
    return sorted(name for name in names if not name.startswith(".") and name not in DROPPINGS)


def mode_of(root: Path, name: str) -> os.stat_result:
    """What a file is, where it lies within a folder; a link may lead to another place in it."""
    target = Path(os.path.realpath(root / name))
    if not target.is_relative_to(root):
        raise DataError(f"{name}: a link that leads out of the folder, which is not followed")
    try:
        return target.stat()
    except FileNotFoundError:
        raise DataError(f"{name}: a link to nothing") from None


def read_folder(listed: Listing, size: int) -> Labelled:
    """Read and prepare the images of a folder.

    Args:
        listed: its files.
        size: height and width of the prepared images.

    Returns:
        As `arrays.read_npz`: the classes are the names of the folders.

    Raises:
        DataError: a file is no image, is damaged or is too large; one line that names it.
    """
    classes, files = listed
    if (values := len(files) * 3 * size * size) > MAX_PIXELS:
        raise DataError(
            f"{len(files):,} images of {size}×{size} have {values:,} values, expected at most "
            f"{MAX_PIXELS:,}"
        )
    images = np.empty((len(files), size, size, 3), np.uint8)
    with warnings.catch_warnings():
        # what Pillow warns of, such as odd EXIF data, it has dealt with; sizes are refused here
        warnings.simplefilter("ignore")
        for place, file in enumerate(files):
            images[place] = prepared(file, size)
    if is_grey(images):
        images = images[..., :1]
    labels = np.array([file.label for file in files], np.int64)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels, 0, classes


def prepared(file: ImageFile, size: int) -> np.ndarray:
    """Bring one image to (size, size, 3), red, green and blue as bytes."""
    try:
        if not file.stamp[0]:
            raise DataError("an empty file, expected an image")
        with Image.open(file.path, formats=readable()) as image:
            width, height = image.size
            if width * height > MAX_IMAGE:
                raise DataError(f"{width}×{height} pixels, {TOO_MANY}")
            return square(image, size)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from None
    except UnidentifiedImageError:
        raise DataError(f"{file.name}: no image that Pillow reads, expected images alone") from None
    except Image.DecompressionBombError:
        raise DataError(f"{file.name}: too many pixels, {TOO_MANY}") from None
    except Exception as error:  # Pillow's plugins raise a dozen kinds at a damaged file
        raise DataError(f"{file.name}: a damaged image ({first_line(error)})") from error


def readable() -> list[str]:
    """The names of the formats to read: all of Pillow's that are images."""
    formats()
    return [name for name in Image.ID if name not in RUN_CODE]


def square(image: Image.Image, size: int) -> np.ndarray:
    """The middle square of an image at a size, as (size, size, 3) bytes.

    >>> square(Image.new("1", (1, 2), 1), 1).tolist()
    [[[255, 255, 255]]]
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = from_16_bits(image)
    elif image.mode == "F":
        raise DataError("pixels of 32-bit floats, expected 8 or 16 bits")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), colours)
    # the square is cut out first: to bring a strip of 1×20,000 to a width of 32 takes gigabytes
    return np.asarray(ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR))


def from_16_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits to 8: 65,535 to 255, and what lies between to the nearest."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise DataError("pixels of 32 bits, expected 8 or 16")
    return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))


def is_grey(images: np.ndarray) -> bool:
    """Whether red, green and blue are equal in every pixel of (N, H, W, 3)."""
    return all((images[..., 0] == images[..., channel]).all() for channel in (1, 2))
