"""The one door to the files of a results folder, which may be a stranger's: data, and no more.

Only a regular file of a sane size, reached without a link, is opened. The results folder itself may
be a link, such as to a large disk; below the results folder no link is followed, so that nothing
outside is read or written. Most files lie three folders below it, as in runs/<arm>/seed-<k>.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

DEPTH = 3  # number of folders between the results folder and most files
# upper limits in bytes: several times the largest file that the suite writes
SMALL = 2**23  # JSON, YAML, error.txt: the summary of a run with histograms of every layer, 1 MB
TABLE = 2**28  # CSV: the runs.csv of 10,000 runs with probes, 100 MB; a metrics.csv has 20 MB
TABLES = 2**32  # all metrics.csv of an experiment: 10,000 runs have 300 MB
PICTURE = 2**25  # figures/*.png: 1 MB
WANDB = 2**29  # run-*.wandb: as metrics.csv, wrapped
WEIGHTS = 2**32  # weights.pt: VGG-16, 540 MB
KINDS = {
    stat.S_IFLNK: "a link, which is not followed",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class DamagedError(ValueError):
    """A file is not what the suite wrote; the text is one line that names the file."""


class MisplacedError(DamagedError):
    """A folder stands where a file should, or the reverse: no training takes that away."""


def check_folder(folder: Path, depth: int = DEPTH) -> None:
    """Refuse a path below the results folder that is no folder, or that a link leads to.

    Args:
        folder: the path, `depth` folders below the results folder.
        depth: 0 for the results folder itself, which may be a link and is not checked.

    Raises:
        FileNotFoundError: the folder is missing.
        MisplacedError: the path, or a folder above it, is a link or a file.
        DamagedError: one of these cannot be examined.
    """
    for place in reversed([folder, *folder.parents][:depth]):
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DamagedError(f"{place}: cannot be read ({error.strerror})") from None
        if not stat.S_ISDIR(mode):
            raise MisplacedError(
                f"{place}: {kind(mode)}, expected a folder of these results; move it away"
            )


def make_folder(folder: Path, depth: int = DEPTH) -> None:
    """Make a missing folder below the results folder, with the folders above it.

    Raises:
        DamagedError: the path, or a folder above it, is a link or a file.
    """
    chain = [folder, *folder.parents][: depth + 1]
    chain.pop().mkdir(parents=True, exist_ok=True)
    for place in reversed(chain):
        try:
            place.mkdir()
        except FileExistsError:
            check_folder(place, 1)


@contextmanager
def opened(
    file: Path, most: int = SMALL, depth: int = DEPTH, flags: int = os.O_RDONLY
) -> Iterator[BinaryIO]:
    """Open a file of a results folder for reading; neither a pipe nor a device is waited for.

    Args:
        file: a path whose folder lies `depth` folders below the results folder.
        most: the upper limit of its size in bytes.
        depth: see `check_folder`.
        flags: for `os.open`.

    Raises:
        FileNotFoundError: the file is missing.
        DamagedError: the file cannot be read, is not regular or too large, or is behind a link.
    """
    try:
        check_folder(file.parent, depth)
        check_file(file, os.lstat(file), most)
        handle = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "r+b" if flags & os.O_RDWR else "rb", buffering=0) as stream:
            check_file(file, os.fstat(handle), most)  # it may be another than a moment ago
            yield stream  # pyright: ignore[reportReturnType]
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{file}: there is no such file") from None
    except OSError as error:
        raise DamagedError(f"{file}: cannot be read ({error.strerror})") from None


def check_file(file: Path, facts: os.stat_result, most: int) -> None:
    """Refuse anything but a regular file, and a file that is larger than `most`.

    Raises:
        MisplacedError: a folder stands there.
        DamagedError: something else that is no file, or too large a file.
    """
    if stat.S_ISDIR(facts.st_mode):
        raise MisplacedError(f"{file}: a folder, expected a file; move it away")
    if not stat.S_ISREG(facts.st_mode):
        raise DamagedError(f"{file}: {kind(facts.st_mode)}, expected a file")
    if facts.st_size > most:
        raise DamagedError(f"{file}: {facts.st_size:,} bytes, expected at most {most:,}")


def kind(mode: int) -> str:
    """Name the kind of a file from its mode."""
    return KINDS.get(stat.S_IFMT(mode), "something else")


def content(file: Path, most: int = SMALL, depth: int = DEPTH) -> bytes:
    """Read the bytes of a file of a results folder; raises as `opened` does."""
    with opened(file, most, depth) as stream:
        return stream.read()


def file_digest(file: Path, most: int = WEIGHTS, depth: int = DEPTH) -> str:
    """Compute the sha256 of a file's content; raises as `opened` does."""
    with opened(file, most, depth) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore


def check_replaceable(file: Path) -> None:
    """Refuse a folder in the place of a file that is to be written or removed.

    Raises:
        MisplacedError: a folder stands there.
    """
    if file.is_dir() and not file.is_symlink():
        check_file(file, os.lstat(file), 0)


def is_file(file: Path) -> bool:
    """Whether a file is there, and no link."""
    try:
        return stat.S_ISREG(os.lstat(file).st_mode)
    except OSError:
        return False
