"""The folder of one run: its lock, its state and its files, each complete or absent."""

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

State = StrEnum("State", ["missing", "running", "interrupted", "failed", "done"])
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
        with locked(path, create=False):
            pass
    except RunBusyError:
        return State.running
    except FileNotFoundError:
        return State.missing
    return State.failed if (path / "error.txt").exists() else State.interrupted


@contextmanager
def locked(path: Path, create: bool = True) -> Iterator[None]:
    """Hold the run: the lock is the kernel's, so a process that dies lets go of it.

    Raises:
        RunBusyError: another process holds it.
    """
    if create:
        path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path / ".lock", os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunBusyError(f"{path} is being trained by another process") from error
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
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
