"""Files that are whole or absent, and JSON that is proved by its checksum."""

import errno
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bnbench.tracking.shapes import checked, parsed
from bnbench.tracking.stored import (
    DEPTH,
    SMALL,
    DamagedError,
    check_folder,
    check_replaceable,
    content,
    file_digest,
)

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow so large: ulimit -f",
}


def write_whole(path: Path, content: str | bytes, depth: int = DEPTH) -> None:
    """Write a file so that a reader sees the old one or the whole new one.

    Raises:
        DamagedError: a link leads to its folder, see `replacing`.
        OSError: it cannot be written; the text names the file.
    """
    with replacing(path, depth) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path, depth: int = DEPTH) -> Iterator[Path]:
    """A new file beside `path`, of this call alone, that takes its place once it is on the disk.

    Where `path` is a link, the link is replaced, not what it leads to.

    Args:
        path: the file.
        depth: how deep its folder lies below the results folder.

    Raises:
        MisplacedError: a link leads to its folder, or a folder is in its place.
    """
    check_folder(path.parent, depth)
    check_replaceable(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with naming(path):
            yield part
            with part.open("rb") as file:
                os.fsync(file)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an error of writing it, and say so in words where the disk is full.

    The system names no file where an open one cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in FULL:
            error.filename = str(path)
        if error.errno in FULL:
            error.strerror = f"{error.strerror} ({FULL[error.errno]})"
        raise


def read_object(file: Path, shape: Any, depth: int = DEPTH) -> dict[str, Any]:
    """A JSON object, proved by its checksum and without it; those of older versions have none.

    Args:
        file: a file of a results folder.
        shape: what it holds, see `shapes`.
        depth: how deep its folder lies below the results folder.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is not what was written.
    """
    try:
        value = parsed(content(file, SMALL, depth))
        if not isinstance(value, dict):
            raise ValueError("expected a JSON object")
        want = value.pop("checksum", None)
        if ("sha256" in value or want is not None) and want != checksum(value):
            raise ValueError("not what was written (its checksum differs)")
        return checked(value, shape)
    except DamagedError:
        raise
    except ValueError as error:
        raise DamagedError(f"{file}: {error}") from None


def matches(file: Path, sha256: str | None) -> bool:
    """Whether a file is what was written, as far as its hash can tell: None tells nothing."""
    try:
        return sha256 is None or file_digest(file) == sha256
    except (FileNotFoundError, DamagedError):
        return False


def checksum(content: Mapping[str, Any]) -> str:
    """The sha256 of nested values, the same before and after their way through JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def as_json(content: Mapping[str, Any]) -> str:
    """JSON text of nested values; numbers that JSON lacks (nan, inf) become null."""
    return json.dumps(finite(content), indent=2) + "\n"


def finite(value: Any) -> Any:
    """A nested value with null in the place of every non-finite number."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> Any:
    """A nested value whose enum members are plain strings."""
    return json.loads(json.dumps(value))
