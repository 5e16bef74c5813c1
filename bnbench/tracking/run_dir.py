"""The folder of one run: its lock, its state and its files, each complete or absent."""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bnbench.config.points import split_key
from bnbench.tracking.shapes import SUMMARY, checked, parsed
from bnbench.tracking.stored import (
    DEPTH,
    SMALL,
    TABLE,
    DamagedError,
    MisplacedError,
    check_folder,
    check_replaceable,
    content,
    digest,
    kind,
    make_folder,
)

State = StrEnum("State", ["missing", "running", "interrupted", "failed", "done"])
LOOKS, LOOK_SECONDS = 5, 0.01  # what a trainer waits for those who only look
PENDING = ".summary.json"  # of a run that is trained and whole but for the end of its W&B run
LEFTOVERS = (PENDING, "error.txt", "metrics.csv", "meta.json", "shifts.csv", "weights.pt")
READ = ("metrics.csv", "shifts.csv")  # what a run measured, beside its summary
HASHED = (*READ, "weights.pt")
NUMBER = rb"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)"
WORD = rb"[ -+\--~]*"  # what can be printed of ASCII, but a comma
FORMS = {  # of the files of `READ`
    "metrics.csv": re.compile(
        rb"step,samples,split,layer,metric,value\n"
        rb"(?:\d{1,18},\d{1,18},%(w)s,%(w)s,%(w)s,%(n)s\n)*" % {b"w": WORD, b"n": NUMBER}
    ),
    "shifts.csv": re.compile(
        rb"shift,severity,policy,metric,value\n"
        rb"(?:%(w)s,\d{1,9},%(w)s,%(w)s,%(n)s\n)*" % {b"w": WORD, b"n": NUMBER}
    ),
}
AGAIN = "the same `make sweep` makes it again"
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file may not grow so large: ulimit -f",
}


class RunBusyError(Exception):
    """Another process is training this run."""


def run_path(results: Path, arm: str, seed: int) -> Path:
    """The folder of the run of an arm with a seed."""
    return results / "runs" / arm / f"seed-{seed}"


def seed_of(path: Path) -> int:
    """The seed of the run that a folder is for."""
    return int(path.name.removeprefix("seed-"))


def state(path: Path) -> State:
    """What became of a run, read from its folder alone."""
    if is_done(path):
        return State.done
    try:
        with locked(path, shared=True):
            pass
    except RunBusyError:
        return State.running
    except FileNotFoundError:
        return State.missing
    except DamagedError:  # nobody can hold it
        pass
    return State.failed if os.path.lexists(path / "error.txt") else State.interrupted


def is_held(path: Path) -> bool:
    """Whether a process trains or evaluates a run now."""
    try:
        with locked(path, shared=True):
            return False
    except RunBusyError:
        return True
    except (OSError, DamagedError):  # nobody ever has, or the disk is gone
        return False


def last_error(path: Path) -> str:
    """Why a run failed: the last line of its error.txt."""
    try:
        text = content(path / "error.txt").decode(errors="replace")
    except (FileNotFoundError, DamagedError) as error:
        return str(error)
    return next(reversed(text.strip().splitlines()), "error.txt is empty")


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold the run: the lock is the kernel's, so a process that dies lets go of it.

    Args:
        path: the run's folder; made where it is not there, unless shared.
        shared: hold it for a look only, which others may have at the same time.

    Raises:
        RunBusyError: another process trains it.
        FileNotFoundError: shared, and nobody has ever held it.
        DamagedError: its lock is no file, or a link leads to its folder.
    """
    if not shared:
        make_folder(path)
    handle = open_lock(path, os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT)
    way = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        for patience in range(LOOKS, -1, -1):
            try:
                fcntl.flock(handle, way | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if shared or not patience:
                    raise RunBusyError(f"{path} is being trained by another process") from error
                time.sleep(LOOK_SECONDS)  # it may be no more than somebody's look
        yield
    finally:
        os.close(handle)


def open_lock(path: Path, flags: int) -> int:
    """Open the file that is locked while a run is held.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it is no regular file, or a link leads to its folder.
    """
    file = path / ".lock"
    check_folder(path)
    try:
        handle = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if not os.path.lexists(file) or stat.S_ISREG(os.lstat(file).st_mode):
            raise
        raise DamagedError(f"{file}: cannot be locked ({error.strerror})") from None
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise DamagedError(f"{file}: {kind(mode)}, expected a file")
    return handle


def begin(path: Path, science: Mapping[str, Any]) -> None:
    """Make the folder that of a new attempt: no file of an earlier one is left.

    Raises:
        MisplacedError: a folder is in the place of one.
    """
    parts = path.glob(".*.part")  # of a process that was killed while it wrote
    # first the summary: without it nothing counts as done
    for file in (path / "summary.json", *(path / name for name in LEFTOVERS), *parts):
        check_replaceable(file)
        file.unlink(missing_ok=True)
    write_whole(path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain(science))))


def write_summary(path: Path, summary: Mapping[str, Any], name: str = "summary.json") -> None:
    """Write a run's summary with the hashes of its files and of itself.

    They tell what a run measured from what another program or a failing disk made of it.
    """
    files = {file: digest(path / file) for file in HASHED if os.path.lexists(path / file)}
    content = finite({**summary, "sha256": files})
    write_whole(path / name, as_json({**content, "checksum": checksum(content)}))


def finish(path: Path) -> None:
    """Make the pending summary the run's: its presence is what makes a run done."""
    (path / PENDING).replace(path / "summary.json")


def is_done(path: Path) -> bool:
    """Whether a run has its result: a summary, and all that it measured as it wrote it."""
    try:
        return bool(read_result(path))
    except (FileNotFoundError, DamagedError):
        return False


def is_pending(path: Path) -> bool:
    """Whether a run lacks nothing but the end of its W&B run."""
    try:
        summary = read_summary(path, PENDING)
    except (FileNotFoundError, DamagedError):
        return False
    return all(is_intact(path, summary, file) for file in HASHED)


def read_result(path: Path, restore: bool = False) -> dict[str, Any]:
    """The summary of a run that is whole: the one answer for reports, sweeps and `make status`.

    Weights are no result: where they are needed and not what the run wrote, it is trained again.

    Args:
        path: the run's folder.
        restore: write a file anew whose torn end is known from the summary.

    Raises:
        FileNotFoundError: the run has no summary.
        DamagedError: the summary, metrics.csv or shifts.csv is not what the run wrote.
    """
    summary = read_summary(path)
    for name in READ:
        text = proved(path, summary, name)
        if restore and text and not is_intact(path, summary, name):
            with suppress(RunBusyError), locked(path), replacing(path / name) as part:
                part.write_bytes(text)
    return summary


def read_summary(path: Path, name: str = "summary.json") -> dict[str, Any]:
    """The summary of a run.

    Raises:
        FileNotFoundError: the run has none.
        DamagedError: it is not what the run wrote.
    """
    return read_object(path / name, SUMMARY)


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


def proved(path: Path, summary: Mapping[str, Any], name: str) -> bytes:
    """A CSV file as its run wrote it, without a torn last line; nothing where there is none.

    The last line of a metrics.csv stands in the summary too, and is restored where it is torn.

    Raises:
        DamagedError: it is not what the run wrote, as far as its summary can tell.
    """
    file, want = path / name, summary.get("sha256", {}).get(name)
    try:
        text = content(file, TABLE)
    except FileNotFoundError:
        if want is None:
            return b""
        raise DamagedError(f"{file}: missing; {AGAIN}") from None
    except MisplacedError:
        raise
    except DamagedError as error:
        raise DamagedError(f"{error}; {AGAIN}") from None
    lines = text[: text.rfind(b"\n") + 1]
    whole = lines
    if want is not None and hashlib.sha256(text).hexdigest() != want:
        torn = (lines, lines + last_line(summary))
        whole = next((t for t in torn if hashlib.sha256(t).hexdigest() == want), None)
    # a stranger's hash may fit anything, and older summaries have none: the form counts too
    if whole is None or (whole and not FORMS[name].fullmatch(whole)):
        raise DamagedError(f"{file}: not what the run wrote; {AGAIN}")
    return whole


def last_line(summary: Mapping[str, Any]) -> bytes:
    """The last line of a metrics.csv, which its run's summary says too: it may be torn off."""
    key, value = next(reversed(summary["metrics"].items()), ("", None))
    split, metric, layer = split_key(key)
    return f"{summary['steps']},{summary['samples']},{split},{layer},{metric},{value!r}\n".encode()


def is_intact(path: Path, summary: Mapping[str, Any], name: str) -> bool:
    """Whether a file is what was written, as far as a summary can tell."""
    want = summary.get("sha256", {}).get(name)
    try:
        return want is None or digest(path / name) == want
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
