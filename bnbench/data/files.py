"""The files of the data sets that are not embedded: places, contents and formats.

Every file is known by its length and its SHA-256, so one that is missing, cut or altered is a
`DataError` of one line and never a wrong number. Formats: idx (LeCun, Cortes & Burges, 1998; Xiao
et al., 2017) and the Python pickles of CIFAR-10 (Krizhevsky, 2009). Nothing here needs torch.
"""

import gzip
import hashlib
import pickle
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bnbench import CALL, IS_CHECKOUT


class DataError(ValueError):
    """A file of a data set is missing or is not what it should be."""


class DataFile(NamedTuple):
    """One file of a data set, as it is when unpacked."""

    data: str
    name: str
    num_bytes: int
    sha256: str

    def error(self, where: Path | str, problem: str) -> DataError:
        """Make the error of a file: its path, the problem, and the command that gets the file."""
        return DataError(
            f"{where}: {problem}; get it with: {CALL} data {'DATA=' * IS_CHECKOUT}{self.data}"
        )


# Training files first, images before labels: `read_arrays` relies on the order.
IDX_BYTES = {
    "train-images-idx3-ubyte": 47_040_016,
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}
CIFAR_BYTES = {
    "data_batch_1": 31_035_704,
    "data_batch_2": 31_035_320,
    "data_batch_3": 31_035_999,
    "data_batch_4": 31_035_696,
    "data_batch_5": 31_035_623,
    "test_batch": 31_035_526,
}
BYTES = {"mnist": IDX_BYTES, "fashion_mnist": IDX_BYTES, "cifar10": CIFAR_BYTES}
# Of the unpacked files, in the order above. Published widely for MNIST and CIFAR-10, there beside
# the MD5 sums that torchvision carries; computed from Debian's dataset package for Fashion-MNIST.
SHA256 = {
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
    "fashion_mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "cifar10": (
        "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
        "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
        "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
        "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
        "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
        "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    ),
}
FILES = {
    data: tuple(
        DataFile(data, name, num_bytes, sha256)
        for (name, num_bytes), sha256 in zip(BYTES[data].items(), SHA256[data], strict=True)
    )
    for data in BYTES
}
# Under the root, as torchvision lays them out; an absolute folder stands for itself.
FOLDERS = {
    "mnist": ("MNIST/raw",),
    "fashion_mnist": ("FashionMNIST/raw", "/usr/share/datasets/fashion-mnist"),
    "cifar10": ("cifar-10-batches-py",),
}


def locate(file: DataFile, root: Path) -> Path:
    """Find a file, plain or as .gz, in the first of its folders; `DataError` if it is in none."""
    folders = [root / folder for folder in FOLDERS[file.data]]
    for folder in folders:
        for path in (folder / file.name, folder / f"{file.name}.gz"):
            try:
                if path.is_file():
                    return path
            except OSError as error:
                raise file.error(path, f"cannot be read ({error.strerror})") from error
    raise file.error(file.name, f"not found in {' or '.join(map(str, folders))}")


def check_length(path: Path, file: DataFile, num_bytes: int) -> None:
    """Raise a `DataError` unless the unpacked file has the length that it should have."""
    if num_bytes != file.num_bytes:
        raise file.error(path, f"length {num_bytes:,} bytes, expected {file.num_bytes:,}")


def missing_files(data: str, root: Path) -> str | None:
    """Explain why a data set cannot be loaded, by names and lengths of files; None if it can.

    This takes a millisecond: loading checks the contents. Embedded data sets have no files, so none
    can be missing.
    """
    try:
        for file in FILES.get(data, ()):
            path = locate(file, root)
            check_length(path, file, unpacked_length(path, file))
    except DataError as error:
        return str(error)
    return None


def unpacked_length(path: Path, file: DataFile) -> int:
    """Read the length of a file when unpacked, without unpacking the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        num_bytes = path.stat().st_size
        if path.suffix == ".gz":
            with path.open("rb") as packed:  # gzip ends with the unpacked length (RFC 1952)
                packed.seek(max(0, num_bytes - 4))
                num_bytes = int.from_bytes(packed.read(), "little")
    except OSError as error:
        raise file.error(path, f"cannot be read ({error.strerror})") from error
    return num_bytes


def read_file(path: Path, file: DataFile) -> bytes:
    """Read and unpack a file, and check its length and SHA-256.

    Raises:
        DataError: the file cannot be read, or its length or its SHA-256 is not the expected one.
    """
    check_length(path, file, unpacked_length(path, file))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(
                file.num_bytes + 1
            )  # never more, even of a file that unpacks to gigabytes
    except (OSError, EOFError, zlib.error) as error:
        raise file.error(path, f"cannot be read ({error})") from error
    check_length(path, file, len(content))
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != file.sha256:
        raise file.error(path, f"SHA-256 {sha256}, expected {file.sha256}")
    return content


def read_arrays(data: str, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of a data set, the official test set last.

    Args:
        data: a key of `FILES`.
        root: the folder that holds the data sets.

    Returns:
        Images, uint8 (N, C, H, W), and labels, int64 (N,).

    Raises:
        DataError: a file is missing or is not what it should be.
    """
    contents = [read_file(locate(file, root), file) for file in FILES[data]]
    if data == "cifar10":
        # Unpickling runs what the pickle says: only bytes whose SHA-256 is known get this far.
        batches = [pickle.loads(content, encoding="latin1") for content in contents]
        images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        labels = np.concatenate([batch["labels"] for batch in batches])
    else:
        parts = [parse_idx(content) for content in contents]
        images, labels = np.concatenate(parts[::2])[:, None], np.concatenate(parts[1::2])
    return images, labels.astype(np.int64)


def parse_idx(content: bytes) -> np.ndarray:
    """An idx file of unsigned bytes: magic 0, 0, 8, ndim; ndim big-endian sizes; the values."""
    ndim = content[3]
    assert content[:3] == b"\0\0\x08", content[:4]
    sizes = np.frombuffer(content, ">u4", count=ndim, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(sizes)
