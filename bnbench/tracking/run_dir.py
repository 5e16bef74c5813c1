"""The folder of one run: its lock, its state and its files, each complete or absent."""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from omegaconf import OmegaConf

from bnbench import CALL
from bnbench.config.points import split_key
from bnbench.tracking.shapes import SUMMARY
from bnbench.tracking.stored import (
    TABLE,
    DamagedError,
    check_replaceable,
    content,
    file_digest,
    make_folder,
    opened,
)
from bnbench.tracking.whole_files import (
    as_json,
    checksum,
    finite,
    matches,
    plain,
    read_object,
    replacing,
    write_whole,
)

State = StrEnum("State", ["missing", "running", "interrupted", "failed", "done"])
LOOKS, LOOK_SECONDS = 5, 0.01  # what a trainer waits for those who only look
NUMBER = rb"-?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf|nan)"
WORD = rb"[ -+\--~]*"  # what can be printed of ASCII, but a comma
FORMS = {  # of what a run measured, beside its summary
    "metrics.csv": re.compile(
        rb"step,samples,split,layer,metric,value\n"
        rb"(?:\d{1,18},\d{1,18},%(w)s,%(w)s,%(w)s,%(n)s\n)*" % {b"w": WORD, b"n": NUMBER}
    ),
    "shifts.csv": re.compile(
        rb"shift,severity,policy,metric,value\n"
        rb"(?:%(w)s,\d{1,9},%(w)s,%(w)s,%(n)s\n)*" % {b"w": WORD, b"n": NUMBER}
    ),
}
AGAIN = f"the same `{CALL} sweep` makes it again"


class RunBusyError(Exception):
    """Another process is training this run."""


@dataclass(frozen=True, order=True)
class RunFolder:
    """The folder of one run, known by its path; nothing of it is kept in memory.

    >>> RunFolder.of(Path("results"), "mlp-none-none-00000000", 3).path.as_posix()
    'results/runs/mlp-none-none-00000000/seed-3'
    """

    path: Path

    @classmethod
    def of(cls, results: Path, arm: str, seed: int) -> Self:
        """Name the folder of the run of an arm with a seed."""
        return cls(results / "runs" / arm / f"seed-{seed}")

    @property
    def arm(self) -> str:
        """The arm that the run is of."""
        return self.path.parent.name

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.path.name.removeprefix("seed-"))

    @property
    def config(self) -> Path:
        """The canonical configuration; written once, at the start of an attempt."""
        return self.path / "config.yaml"

    @property
    def meta(self) -> Path:
        """The circumstances of the run and the id of its W&B run."""
        return self.path / "meta.json"

    @property
    def metrics(self) -> Path:
        """The evaluation points."""
        return self.path / "metrics.csv"

    @property
    def shifts(self) -> Path:
        """The accuracies under shifts."""
        return self.path / "shifts.csv"

    @property
    def weights(self) -> Path:
        """The trained weights, where they are kept."""
        return self.path / "weights.pt"

    @property
    def error(self) -> Path:
        """Why the last attempt failed."""
        return self.path / "error.txt"

    @property
    def summary(self) -> Path:
        """The summary, whose presence is what makes a run done."""
        return self.path / "summary.json"

    @property
    def pending(self) -> Path:
        """The summary of a run that is trained and whole but for the end of its W&B run."""
        return self.path / ".summary.json"

    @property
    def hashed(self) -> tuple[Path, Path, Path]:
        """The files whose hashes the summary holds."""
        return self.metrics, self.shifts, self.weights

    def state(self) -> State:
        """Read what became of the run from its folder alone."""
        with suppress(FileNotFoundError, DamagedError):
            self.read_result()
            return State.done
        if self.is_held():
            return State.running
        if not os.path.lexists(self.path / ".lock"):  # no attempt has begun
            return State.missing
        return State.failed if os.path.lexists(self.error) else State.interrupted

    def is_held(self) -> bool:
        """Whether a process trains or evaluates the run now."""
        try:
            with self.locked(shared=True):
                return False
        except RunBusyError:
            return True
        except (OSError, DamagedError):  # nobody ever has, or the disk is gone
            return False

    def is_pending(self) -> bool:
        """Whether the run lacks nothing but the end of its W&B run."""
        try:
            summary = self.read_summary(pending=True)
        except (FileNotFoundError, DamagedError):
            return False
        return all(self.is_intact(summary, file) for file in self.hashed)

    def is_intact(self, summary: Mapping[str, Any], file: Path) -> bool:
        """Whether a file of the run is what was written, as far as a summary can tell."""
        return matches(file, summary.get("sha256", {}).get(file.name))

    def last_error(self) -> str:
        """Read why the run failed: the last line of its error.txt."""
        try:
            text = content(self.error).decode(errors="replace")
        except (FileNotFoundError, DamagedError) as error:
            return str(error)
        return next(reversed(text.strip().splitlines()), "error.txt is empty")

    @contextmanager
    def locked(self, shared: bool = False) -> Iterator[None]:
        """Hold the run: the lock is the kernel's, so a process that dies lets go of it.

        Args:
            shared: hold it for a look only, which others may have at the same time; otherwise the
                folder is made where it is not there.

        Raises:
            RunBusyError: another process trains it.
            FileNotFoundError: shared, and nobody has ever held it.
            DamagedError: its lock is no file, or a link leads to its folder.
        """
        lock = self.path / ".lock"
        if not shared:
            make_folder(self.path)
            with suppress(FileExistsError):
                lock.touch(exist_ok=False)
        # a handle of its own: what is raised while it is held says nothing of the lock
        with opened(lock, flags=os.O_RDONLY if shared else os.O_RDWR) as file:
            handle = os.dup(file.fileno())
        way = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            for patience in range(LOOKS, -1, -1):
                try:
                    fcntl.flock(handle, way | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if shared or not patience:
                        raise RunBusyError(
                            f"{self.path} is being trained by another process"
                        ) from error
                    time.sleep(LOOK_SECONDS)  # it may be no more than somebody's look
            yield
        finally:
            os.close(handle)

    def begin(self, science: Mapping[str, Any]) -> None:
        """Make the folder that of a new attempt: no file of an earlier one is left.

        Raises:
            MisplacedError: a folder is in the place of one.
        """
        parts = self.path.glob(".*.part")  # of a process that was killed while it wrote
        # first the summary: without it nothing counts as done
        names = (self.summary, self.pending, self.error, self.metrics, self.meta)
        for file in (*names, self.shifts, self.weights, *parts):
            check_replaceable(file)
            file.unlink(missing_ok=True)
        write_whole(self.config, OmegaConf.to_yaml(OmegaConf.create(plain(science))))

    def write_summary(self, summary: Mapping[str, Any], pending: bool = False) -> None:
        """Write the run's summary with the hashes of its files and of itself.

        They tell what a run measured from what another program or a failing disk made of it.
        """
        files = {file.name: file_digest(file) for file in self.hashed if os.path.lexists(file)}
        facts = finite({**summary, "sha256": files})
        file = self.pending if pending else self.summary
        write_whole(file, as_json({**facts, "checksum": checksum(facts)}))

    def finish(self) -> None:
        """Make the pending summary the run's: its presence is what makes a run done."""
        self.pending.replace(self.summary)

    def read_summary(self, pending: bool = False) -> dict[str, Any]:
        """Read the summary of the run.

        Raises:
            FileNotFoundError: the run has none.
            DamagedError: it is not what the run wrote.
        """
        return read_object(self.pending if pending else self.summary, SUMMARY)

    def read_result(self, restore: bool = False) -> dict[str, Any]:
        """Read the summary of a run that is whole: the one answer for reports and sweeps.

        Weights are no result: where they are needed and not what the run wrote, it is trained
        again.

        Args:
            restore: write a file anew whose torn end is known from the summary.

        Raises:
            FileNotFoundError: the run has no summary.
            DamagedError: the summary, metrics.csv or shifts.csv is not what the run wrote.
        """
        summary = self.read_summary()
        for file in (self.metrics, self.shifts):
            text = self.proved(summary, file)
            if restore and text and not self.is_intact(summary, file):
                with suppress(RunBusyError), self.locked(), replacing(file) as part:
                    part.write_bytes(text)
        return summary

    def proved(self, summary: Mapping[str, Any], file: Path) -> bytes:
        """Read a CSV file as its run wrote it, without a torn last line.

        The last line of a metrics.csv stands in the summary too, and is restored where it is torn.

        Returns:
            The text; nothing where there is no file and the summary knows of none.

        Raises:
            DamagedError: it is not what the run wrote, as far as its summary can tell.
        """
        want = summary.get("sha256", {}).get(file.name)
        try:
            text = content(file, TABLE)
        except FileNotFoundError:
            if want is None:
                return b""
            raise DamagedError(f"{file}: missing; {AGAIN}") from None
        lines = text[: text.rfind(b"\n") + 1]
        whole = lines
        if want is not None and hashlib.sha256(text).hexdigest() != want:
            torn = (lines, lines + last_line(summary))
            whole = next((t for t in torn if hashlib.sha256(t).hexdigest() == want), None)
        # a stranger's hash may fit anything, and older summaries have none: the form counts too
        if whole is None or (whole and not FORMS[file.name].fullmatch(whole)):
            raise DamagedError(f"{file}: not what the run wrote; {AGAIN}")
        return whole


def last_line(summary: Mapping[str, Any]) -> bytes:
    """The last line of a metrics.csv, which its run's summary says too: it may be torn off."""
    key, value = next(reversed(summary["metrics"].items()), ("", None))
    split, metric, layer = split_key(key)
    return f"{summary['steps']},{summary['samples']},{split},{layer},{metric},{value!r}\n".encode()
