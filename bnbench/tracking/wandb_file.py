"""The files in which W&B keeps a run on disk: LevelDB logs of protocol buffers.

W&B returns from `finish` before its file is written and documents no reader; what a crash left of
one is told here. The format: seven bytes, then blocks of 32 KiB with chunks, each a header (CRC-32
of what follows its first six bytes, length, kind) and a part of a record.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from bnbench.tracking.stored import WANDB, DamagedError, content, opened

DEPTH = 2  # below the results folder: wandb/<W&B's folder of a run>/run-<id>.wandb
BLOCK, HEADER, CHUNK = 32768, 7, struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The readable records of a W&B file: where each ends, and what it holds."""
    place, parts = HEADER, list[bytes]()
    while place + CHUNK.size <= len(content):
        if BLOCK - place % BLOCK < CHUNK.size:  # too short for a chunk: padding
            place += BLOCK - place % BLOCK
            continue
        crc, length, kind = CHUNK.unpack_from(content, place)
        chunk = content[place + CHUNK.size - 1 : place + CHUNK.size + length]
        expected = (MIDDLE, LAST) if parts else (FULL, FIRST)
        if len(chunk) != length + 1 or kind not in expected or zlib.crc32(chunk) != crc:
            return
        place += CHUNK.size + length
        parts.append(chunk[1:])
        if kind in (FULL, LAST):
            yield place, b"".join(parts)
            parts = []


def last_end(content: bytes) -> int:
    """Where the last readable record of a W&B file ends; 0 where there is none."""
    return max((end for end, _ in records(content)), default=0)


def is_readable(file: Path) -> bool:
    """Whether a W&B file can be read to its end."""
    try:
        text = content(file, WANDB, DEPTH)
    except (FileNotFoundError, DamagedError):
        return False
    return last_end(text) == len(text)


def cut_torn_end(file: Path) -> bool:
    """Cut off the end of a W&B file that a crash tore; whether there is a record before it.

    What follows a torn record cannot be read by anything, and with it `wandb sync` would upload the
    file at every call.

    Raises:
        DamagedError: it is no file that may be written, such as a link.
    """
    try:
        with opened(file, WANDB, DEPTH, os.O_RDWR) as stream:
            text = stream.read()
            end = last_end(text)
            if 0 < end < len(text):
                stream.truncate(end)
    except FileNotFoundError:
        return False
    return end > 0
