"""Small data sets in the true formats, and a root folder that holds them."""

import hashlib
import io
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from bnbench.config.schema import DATA_SIZES
from bnbench.data import files
from bnbench.data.files import DataFile

SMALL_SIZES = (40, 12, 8)  # images to train, to validate, to test


@dataclass
class Small:
    """What the small files hold: bytes by data set and file name, and the arrays in them."""

    contents: dict[str, dict[str, bytes]]
    images: dict[str, np.ndarray]
    labels: np.ndarray

    def table(self, data: str) -> tuple[DataFile, ...]:
        return tuple(
            DataFile(data, name, len(content), hashlib.sha256(content).hexdigest())
            for name, content in self.contents[data].items()
        )


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its `str`, the way the files of CIFAR-10 are."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_python2_str(self, text):
        content = text if isinstance(text, bytes) else text.encode("latin1")
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_python2_str


class Python2Array:
    """A byte array that pickles as numpy 1 under Python 2 pickled it."""

    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        rebuild = self.array.__reduce__()[0]
        state = (1, self.array.shape, self.array.dtype, False, self.array.tobytes())
        return rebuild, (np.ndarray, (0,), b"b"), state


def cifar_bytes(images: np.ndarray, labels: np.ndarray) -> bytes:
    batch = {
        "batch_label": "a small batch",
        "labels": labels.tolist(),
        "data": Python2Array(images.reshape(len(images), -1)),
        "filenames": [f"{i}.png" for i in range(len(images))],
    }
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(batch)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope="session")
def small() -> Small:
    rng = np.random.default_rng(0)
    num_images, num_test = sum(SMALL_SIZES), SMALL_SIZES[-1]
    labels = rng.permutation(np.arange(num_images) % 10).astype(np.uint8)
    contents, images = {}, {}
    for data in ("mnist", "fashion_mnist"):
        # Unequal sides show a transposition; both data sets differ, as in life.
        pixels = images[data] = rng.integers(0, 256, (num_images, 1, 5, 4), np.uint8)
        arrays = (
            *(pixels[:-num_test, 0], labels[:-num_test]),
            *(pixels[-num_test:, 0], labels[-num_test:]),
        )
        contents[data] = dict(zip(files.IDX_BYTES, map(idx_bytes, arrays), strict=True))
    pixels = images["cifar10"] = rng.integers(0, 256, (num_images, 3, 32, 32), np.uint8)
    parts = [*np.array_split(np.arange(num_images - num_test), 5), np.arange(-num_test, 0)]
    batches = (cifar_bytes(pixels[part], labels[part]) for part in parts)
    contents["cifar10"] = dict(zip(files.CIFAR_BYTES, batches, strict=True))
    return Small(contents, images, labels.astype(np.int64))


@pytest.fixture
def small_tables(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package expects the small data sets, none of which is there yet; the empty root."""
    for data in small.contents:
        monkeypatch.setitem(files.FILES, data, small.table(data))
        monkeypatch.setitem(DATA_SIZES, data, SMALL_SIZES)
    system = str(tmp_path / "system")
    monkeypatch.setitem(files.FOLDERS, "fashion_mnist", ("FashionMNIST/raw", system))
    return tmp_path / "root"


@pytest.fixture
def small_root(small: Small, small_tables: Path) -> Path:
    """A root folder that holds the small data sets, where the package expects them."""
    for data, contents in small.contents.items():
        folder = small_tables / files.FOLDERS[data][0]
        folder.mkdir(parents=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    return small_tables
