"""What a sweep says while it runs: on a terminal a live picture, else a line per finished arm.

It reads the run folders only, so that it is the same for every launcher.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from bnbench.config.labels import duration_label
from bnbench.running.live import Row, failed_line, finished_line, picture
from bnbench.tracking.csv_log import latest
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError

POLL_SECONDS = 0.5
SHOWN = ("val", "", "accuracy")  # what is told of a run that is being trained


class Watcher:
    """Shows the runs of some arms as they finish, while the `with` block trains them.

    Args:
        arms: arm id -> the folders of its runs, for the arms that are to be trained.
        settled: whether a run has all that was asked of it.
        failed: whether it has failed in this sweep.
        console: where to print; a terminal that can move its cursor gets a live picture.
        labels: arm id -> what the picture calls it; the id where there is none.
        steps: arm id -> the steps of its runs, by which the time left is estimated.
        reason: why a run failed.
    """

    def __init__(
        self,
        arms: Mapping[str, Sequence[RunFolder]],
        settled: Callable[[RunFolder], bool],
        failed: Callable[[RunFolder], bool],
        console: Console,
        labels: Mapping[str, str] | None = None,
        steps: Mapping[str, int] | None = None,
        reason: Callable[[RunFolder], str] = RunFolder.last_error,
    ):
        self.arms = {arm: list(runs) for arm, runs in arms.items()}
        self.pending = dict.fromkeys(arms)  # in their order
        self.arm_of = {run: arm for arm, runs in arms.items() for run in runs}
        self.open = set(self.arm_of)
        self.total, self.num_arms = len(self.open), len(arms)
        self.settled, self.failed, self.console, self.reason = settled, failed, console, reason
        self.labels, self.steps = labels or {}, steps or {}
        self.sizes = {run: self.steps.get(arm, 1) for run, arm in self.arm_of.items()}
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.failures = self.diverged = 0
        self.rows: list[Row] = []
        # what lies in a folder that nobody holds was left there by an earlier attempt, at this time
        self.left_there: dict[RunFolder, int] = {}
        self.live = Live(
            console=console, get_renderable=self.picture, auto_refresh=False, transient=True
        )
        self.started = time.monotonic()

    def __enter__(self) -> "Watcher":
        if self.console.is_interactive:
            self.live.start(refresh=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.thread.join()
        self.look()
        self.live.transient = exception[0] is None  # what an interrupted sweep came to stays
        self.live.stop()

    def watch(self) -> None:
        """Look at the folders until stopped."""
        while not self.stop.wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Count what has finished since the last look, print the arms that have, draw the rest."""
        for run in list(self.open):
            if self.failed(run):
                self.failures += 1
                self.open.discard(run)
                self.tell_failure(run)
            elif self.settled(run):
                self.open.discard(run)
                self.diverged += is_diverged(run)
        finished = [arm for arm in self.pending if not self.open & set(self.arms[arm])]
        self.rows = self.running() if self.live.is_started else []
        for arm in finished:
            self.tell(arm)
        if self.live.is_started:
            self.live.refresh()

    def picture(self) -> Group:
        """What a terminal shows now."""
        done, left = self.total - len(self.open), self.time_left(self.rows)
        return picture(
            self.console, self.total, done, self.failures, self.diverged, left, self.rows
        )

    def tell(self, arm: str) -> None:
        """Print that an arm is finished."""
        del self.pending[arm]
        runs, place = self.arms[arm], self.num_arms - len(self.pending)
        if not self.live.is_started:
            left = duration_label(self.time_left([]) or 0)
            line = f"[{place}/{self.num_arms}] {arm}  {reached(runs)}  ({left} left)"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
            return
        place = f"{place:{len(str(self.num_arms))}}/{self.num_arms}"
        self.console.print(finished_line(self.console, place, self.label(arm), *outcome(runs)))

    def tell_failure(self, run: RunFolder) -> None:
        """Print on a terminal why a run failed; elsewhere it is told at the end."""
        if self.live.is_started:
            arm = self.arm_of[run]
            what = f"{self.label(arm)}, seed {run.seed}: {self.reason(run)}"
            self.console.print(failed_line(what))

    def label(self, arm: str) -> str:
        """What an arm is called."""
        return self.labels.get(arm, arm)

    def running(self) -> list[Row]:
        """The runs that somebody trains now, in the order of the arms."""
        rows = []
        for run, arm in self.arm_of.items():
            if run not in self.open or (written := modified(run.metrics)) is None:
                continue
            if not run.is_held():
                self.left_there[run] = written
                continue
            is_new = written != self.left_there.get(run)
            point = latest(run.metrics, SHOWN) if is_new else None
            runs, num = self.arms[arm], self.steps.get(arm)
            done = sum(other not in self.open for other in runs)
            step, accuracy = point or (0, None)
            rows.append(Row(self.label(arm), run.seed, done, len(runs), step, num, accuracy))
        return rows

    def time_left(self, rows: Sequence[Row]) -> float | None:
        """Seconds until all is done, if a step goes on taking as long; None before the first."""
        total = sum(self.sizes.values())
        done = total - sum(self.sizes[run] for run in self.open)
        done += sum(min(row.step, row.steps) for row in rows if row.steps)
        return (time.monotonic() - self.started) * (total - done) / done if done else None


def outcome(runs: Sequence[RunFolder]) -> tuple[int, int, float | None, dict[str, int]]:
    """Of an arm: runs with a result, runs, mean test accuracy, and how many of them are odd."""
    summaries = []
    for run in runs:
        with suppress(FileNotFoundError, DamagedError):
            summaries.append(run.read_result())
    accuracies = [summary["metrics"].get("test/accuracy") for summary in summaries]
    known = [accuracy for accuracy in accuracies if isinstance(accuracy, float | int)]
    odd = {word: sum(is_odd(summary, word) for summary in summaries) for word in ODD}
    return len(summaries), len(runs), mean(known) if known else None, odd


ODD = ("diverged", "stuck")


def is_odd(summary: Mapping[str, Any], word: str) -> bool:
    """Whether a run diverged, or got stuck."""
    return summary["status"] == word or summary.get(word) is True


def is_diverged(run: RunFolder) -> bool:
    """Whether a run with a result diverged."""
    with suppress(FileNotFoundError, DamagedError):
        return is_odd(run.read_summary(), "diverged")
    return False


def modified(file: Path) -> int | None:
    """A file's time of change in nanoseconds, None where there is no file."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


def reached(runs: Sequence[RunFolder]) -> str:
    """What the runs of an arm came to, in a few words."""
    num_done, num, accuracy, odd = outcome(runs)
    words = [f"{num_done} of {num} runs"]
    words += [f"test accuracy {100 * accuracy:.1f} %"] if accuracy is not None else []
    words += [f"{count} {word}" for word, count in odd.items() if count]
    return ", ".join(words)
