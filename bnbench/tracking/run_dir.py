"""The folder of one run: its lock, its state and its files, each complete or absent."""

import fcntl
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

State = StrEnum("State", ["missing", "running", "interrupted", "failed", "done"])
LOOKS, LOOK_SECONDS = 5, 0.01  # what a trainer waits for those who only look
LEFTOVERS = ("error.txt", "metrics.csv", "meta.json", "shifts.csv", "weights.pt")


class RunBusyError(Exception):
    """Another process is training this run."""


def run_path(results: Path, arm: str, seed: int) -> Path:
    """The folder of the run of an arm with a seed."""
    return results / "runs" / arm / f"seed-{seed}"


def state(path: Path) -> State:
    """What became of a run, read from its folder alone."""
    if (path / "summary.json").exists():
        return State.done
    if not path.exists():
        return State.missing
    try:
        with locked(path, shared=True):
            pass
    except RunBusyError:
        return State.running
    except FileNotFoundError:
        return State.missing
    return State.failed if (path / "error.txt").exists() else State.interrupted


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the run: the lock is the kernel's, so a process that dies lets go of it.

    Args:
        path: the run's folder; made where it is not there, unless shared.
        shared: hold it for a look only, which others may have at the same time.

    Raises:
        RunBusyError: another process trains it.
        FileNotFoundError: shared, and nobody has ever held it.
    """
    if not shared:
        path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path / ".lock", os.O_RDWR | (0 if shared else os.O_CREAT), 0o666)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        for patience in range(LOOKS, -1, -1):
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if shared or not patience:
                    raise RunBusyError(f"{path} is being trained by another process") from error
                time.sleep(LOOK_SECONDS)  # it may be no more than somebody's look
        yield
    finally:
        os.close(handle)


def begin(path: Path, science: Mapping[str, Any]) -> None:
    """Make the folder that of a new attempt: no file of an earlier one is left."""
    (path / "summary.json").unlink(missing_ok=True)  # first: without it nothing counts as done
    for name in LEFTOVERS:
        (path / name).unlink(missing_ok=True)
    write_whole(path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain(science))))


def finish(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary, last of all files: its presence is what makes a run done."""
    write_whole(path / "summary.json", as_json(summary))


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


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the whole new one."""
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, of this call alone, that takes its place at the end."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
