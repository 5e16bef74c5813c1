"""Arrays in files of numpy's .npz format, read as data: nothing is unpickled, no claim believed."""

import math
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bnbench.config.checks import MAX_SIDE
from bnbench.data.files import DataError

MAX_PIXELS = 10**9  # values of all images of a data set: 4 GB as float32, in each worker
MAX_BYTES = 8 * MAX_PIXELS
NAMES = ("images", "labels", "test_images", "test_labels")
WORDS = "images and labels, and for a test set test_images and test_labels"
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# what the zip file of a stranger may make Python's zipfile and numpy raise
DAMAGE = (OSError, ValueError, EOFError, RuntimeError, NotImplementedError, zlib.error, LZMAError)

Labelled = tuple[np.ndarray, np.ndarray, int, tuple[str, ...]]


def read_members(stream: BinaryIO | BytesIO) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file; their headers are checked before memory is taken.

    Raises:
        DataError: it is no such file, it is damaged, or an array holds objects or is too large.
    """
    found: dict[str, np.ndarray] = {}
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(stream) as archive:
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name in found:
                    raise DataError(f"{name}: there are two of this name")
                with archive.open(info) as member:
                    version = np.lib.format.read_magic(member)
                    if version not in HEADERS:
                        raise DataError(f"{name}: expected an array of numbers")
                    shape, is_fortran, dtype = HEADERS[version](member)
                    if dtype.hasobject or dtype.names:
                        raise DataError(f"{name}: holds Python objects, expected numbers")
                    size = math.prod(shape) * dtype.itemsize
                    if size > left:
                        raise DataError(f"{name}: {size:,} bytes, expected at most {left:,}")
                    left -= size
                    # a byte more, so that the checksum at the end is compared
                    content = member.read(size + 1)
                if len(content) != size:
                    raise DataError(f"{name}: is not as long as its shape {shape} says")
                order = "F" if is_fortran else "C"
                found[name] = np.frombuffer(bytearray(content), dtype).reshape(shape, order=order)
    except DataError:
        raise
    except zipfile.BadZipFile as error:
        raise DataError(f"is no whole .npz file of numpy ({first_line(error)})") from error
    except (*DAMAGE, SyntaxError, TypeError) as error:
        raise DataError(f"cannot be read ({first_line(error)})") from error
    return found


def first_line(error: BaseException) -> str:
    """The first line of what an exception says, or the name of its kind."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def read_npz(file: Path) -> Labelled:
    """Read the images and labels of a file, those of its test set last.

    Returns:
        Images, (N, C, H, W), uint8 or float32 in [0, 1]; labels 0 … K - 1, int64 (N,), in the order
        of the numbers in the file; how many of them the test set has; the numbers as text.

    Raises:
        DataError: the file cannot be read, or is not what it should be; one line.
    """
    try:
        if not file.is_file():
            raise DataError("a folder, expected a file" if file.is_dir() else "no such file")
        with file.open("rb") as stream:
            members = read_members(stream)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})") from error
    if unknown := [name for name in members if name not in NAMES]:
        raise DataError(f"{unknown[0]}: expected {WORDS}")
    lacking = [name for name in NAMES[:2] if name not in members]
    if ("test_images" in members) != ("test_labels" in members):
        lacking += [name for name in NAMES[2:] if name not in members]
    if lacking:
        raise DataError(f"{lacking[0]}: missing, expected {WORDS}")
    parts = [pixels(name, members) for name in NAMES[::2] if name in members]
    named = [numbers(name, members) for name in NAMES[1::2] if name in members]
    for name, images, labels in zip(NAMES[::2], parts, named, strict=False):
        if len(images) != len(labels):
            raise DataError(f"{name}: {len(images):,} of them and {len(labels):,} labels")
    if len({(part.shape[1:], part.dtype) for part in parts}) > 1:
        kinds = [f"{part.dtype} {part.shape[1:]}" for part in parts]
        raise DataError(f"test_images: {kinds[1]}, expected {kinds[0]} as in images")
    values, labels = np.unique(np.concatenate(named), return_inverse=True)
    num_test = len(named[1]) if len(named) > 1 else 0
    classes = tuple(str(value) for value in values.tolist())
    return np.concatenate(parts), labels.astype(np.int64), num_test, classes


def pixels(name: str, members: Mapping[str, np.ndarray]) -> np.ndarray:
    """Check the images of a file; returns them as (N, C, H, W), uint8 or float32."""
    images = members[name]
    shape = images.shape
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[3] not in (1, 3)):
        is_first = images.ndim == 4 and shape[1] in (1, 3)
        hint = f" ({name}.transpose(0, 2, 3, 1))" if is_first else ""
        raise DataError(
            f"{name}: shape {shape}, expected (N, H, W), or (N, H, W, C) with C 1 or 3{hint}"
        )
    if not all(shape) or max(shape[1:3]) > MAX_SIDE:
        raise DataError(f"{name}: shape {shape}, expected N >= 1 and sides of 1 to {MAX_SIDE}")
    if images.size > MAX_PIXELS:
        raise DataError(f"{name}: {images.size:,} values, expected at most {MAX_PIXELS:,}")
    if images.dtype.kind == "f":
        if not np.isfinite(images).all():
            raise DataError(f"{name}: nan or inf among them, expected floats from 0 to 1")
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise DataError(
                f"{name}: floats from {low:g} to {high:g}, expected 0 to 1, or uint8 for 0 to 255"
            )
    elif images.dtype != np.uint8:
        raise DataError(f"{name}: {images.dtype}, expected uint8, or floats from 0 to 1")
    images = images if images.ndim == 4 else images[..., None]
    is_byte = images.dtype == np.uint8
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.uint8 if is_byte else np.float32)


def numbers(name: str, members: Mapping[str, np.ndarray]) -> np.ndarray:
    """Check the labels of a file; returns them as int64."""
    labels = members[name]
    if labels.ndim != 1:
        raise DataError(f"{name}: shape {labels.shape}, expected (N,)")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name}: {labels.dtype}, expected integers")
    if labels.size and int(labels.max()) >= 2**63:
        raise DataError(f"{name}: {labels.max()}, expected integers < 2^63")
    return labels.astype(np.int64)
