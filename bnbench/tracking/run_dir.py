"""The folder of one run: its lock, its state and its files, each complete or absent."""

import fcntl
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any

from omegaconf import OmegaConf

State = StrEnum("State", ["missing", "running", "interrupted", "failed", "done"])
LOOKS, LOOK_SECONDS = 5, 0.01  # what a trainer waits for those who only look
PENDING = ".summary.json"  # of a run that is trained and whole but for the end of its W&B run
LEFTOVERS = (PENDING, "error.txt", "metrics.csv", "meta.json", "shifts.csv", "weights.pt")
OUTCOMES = ("done", "diverged")
HASHED = ("metrics.csv", "shifts.csv", "weights.pt")
NEEDED = {
    "status": str,
    "stuck": bool,
    "metrics": dict,
    "steps_to": dict,
    "samples_to": dict,
    "steps": int,
    "samples": int,
    "seconds": float | int,
    "parameters": int,
}
OPTIONAL = {"sha256": dict, "fingerprint": dict}


class RunBusyError(Exception):
    """Another process is training this run."""


class DamagedError(ValueError):
    """A file is not what a run wrote; the text is one line that names the file."""


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
    if not path.exists():
        return State.missing
    try:
        with locked(path, shared=True):
            pass
    except RunBusyError:
        return State.running
    except (FileNotFoundError, NotADirectoryError):
        return State.missing
    return State.failed if (path / "error.txt").exists() else State.interrupted


def is_held(path: Path) -> bool:
    """Whether a process trains or evaluates a run now."""
    try:
        with locked(path, shared=True):
            return False
    except RunBusyError:
        return True
    except OSError:  # nobody ever has, or the disk is gone
        return False


def last_error(path: Path) -> str:
    """Why a run failed: the last line of its error.txt."""
    try:
        text = (path / "error.txt").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"error.txt cannot be read ({error.strerror})"
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
    """
    if not shared:
        path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path / ".lock", os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT, 0o666)
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
    for part in path.glob(".*.part"):  # of a process that was killed while it wrote
        part.unlink()
    write_whole(path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain(science))))


def write_summary(path: Path, summary: Mapping[str, Any], name: str = "summary.json") -> None:
    """Write a run's summary with the hashes of its files and of itself.

    They tell what a run measured from what another program or a failing disk made of it.
    """
    files = {file: digest(path / file) for file in HASHED if (path / file).exists()}
    content = finite({**summary, "sha256": files})
    write_whole(path / name, as_json({**content, "checksum": checksum(content)}))


def finish(path: Path) -> None:
    """Make the pending summary the run's: its presence is what makes a run done."""
    (path / PENDING).replace(path / "summary.json")


def is_done(path: Path) -> bool:
    """Whether a run has a summary that is whole."""
    try:
        return bool(read_summary(path))
    except (FileNotFoundError, DamagedError):
        return False


def is_pending(path: Path) -> bool:
    """Whether a run lacks nothing but the end of its W&B run."""
    try:
        summary = read_summary(path, PENDING)
    except (FileNotFoundError, DamagedError):
        return False
    return all(is_intact(path, summary, file) for file in HASHED)


def read_summary(path: Path, name: str = "summary.json") -> dict[str, Any]:
    """The summary of a run.

    Raises:
        FileNotFoundError: the run has none.
        DamagedError: it is not what the run wrote.
    """
    file = path / name
    summary = read_object(file)
    kinds = {**NEEDED, **{key: kind for key, kind in OPTIONAL.items() if key in summary}}
    for key, kind in kinds.items():
        if not isinstance(summary.get(key), kind):
            raise DamagedError(f"{file}: {key} is missing or of the wrong type")
    if summary["status"] not in OUTCOMES:
        raise DamagedError(f"{file}: status: expected one of {', '.join(OUTCOMES)}")
    numbers = [n for key in ("metrics", "steps_to", "samples_to") for n in summary[key].values()]
    if not {type(number) for number in numbers} <= {int, float, NoneType}:
        raise DamagedError(f"{file}: a measured value is not a number")
    return summary


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object, proved by its checksum and without it; those of older versions have none.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is not what was written.
    """
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{file}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise DamagedError(f"{file}: not JSON") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{file}: expected a JSON object")
    want = content.pop("checksum", None)
    if ("sha256" in content or want is not None) and want != checksum(content):
        raise DamagedError(f"{file}: not what was written (its checksum differs)")
    return content


def is_intact(path: Path, summary: Mapping[str, Any], name: str) -> bool:
    """Whether a file is what the run wrote, as far as its summary can tell."""
    want = summary.get("sha256", {}).get(name)
    return want is None or ((path / name).is_file() and digest(path / name) == want)


def digest(file: Path) -> str:
    """The sha256 of a file's content."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


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


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old one or the whole new one."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, of this call alone, that takes its place once it is on the disk."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
