"""Prepared images of the user's own data, kept in `<results>/data/` lest they be prepared again."""

from contextlib import suppress
from pathlib import Path

from bnbench.tracking.stored import DamagedError, content, make_folder
from bnbench.tracking.whole_files import write_whole

FOLDER = "data"
MOST = 2**33  # bytes of a file


def kept(results: Path, key: str) -> bytes | None:
    """Read the content that is kept under a key; None where there is none that can be read."""
    with suppress(FileNotFoundError, DamagedError):
        return content(_file(results, key), MOST, depth=1)
    return None


def keep(results: Path, key: str, content: bytes) -> None:
    """Keep a content under a key.

    Raises:
        DamagedError: a link or a file is in the place of the folder.
        OSError: the file cannot be written.
    """
    make_folder(results / FOLDER, depth=1)
    write_whole(_file(results, key), content, depth=1)


def _file(results: Path, key: str) -> Path:
    return results / FOLDER / f"{key}.npz"
