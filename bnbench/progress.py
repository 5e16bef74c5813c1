"""What a sweep shows while it runs: done of total, failures, time left, a line per finished arm.

It reads the run folders only, so that it is the same for every launcher.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bnbench.tracking.run_dir import is_done, read_summary

POLL_SECONDS = 0.5


class Watcher:
    """Shows the runs of some arms as they finish, while the `with` block trains them.

    Args:
        arms: arm id -> the folders of its runs, for the arms that are to be trained.
        settled: whether a run has all that was asked of it.
        failed: whether it has failed in this sweep.
        console: where to print; a bar is drawn on a terminal only.
    """

    def __init__(
        self,
        arms: Mapping[str, Sequence[Path]],
        settled: Callable[[Path], bool],
        failed: Callable[[Path], bool],
        console: Console,
    ):
        self.pending = {arm: list(paths) for arm, paths in arms.items()}
        self.open = {path for paths in arms.values() for path in paths}
        self.total, self.num_arms = len(self.open), len(arms)
        self.settled, self.failed, self.console = settled, failed, console
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.failures = 0
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("runs, {task.fields[failures]} failed, left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=self.total, failures=0)
        self.started = time.monotonic()

    def __enter__(self) -> "Watcher":
        self.bar.start()
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.thread.join()
        self.look()
        self.bar.stop()

    def watch(self) -> None:
        """Look at the folders until stopped."""
        while not self.stop.wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Count what has finished since the last look and print the arms that have."""
        for path in list(self.open):
            if self.failed(path):
                self.failures += 1
                self.open.discard(path)
            elif self.settled(path):
                self.open.discard(path)
        finished = [arm for arm, paths in self.pending.items() if not self.open & set(paths)]
        for arm in finished:
            self.console.print(self.line(arm), highlight=False, markup=False, soft_wrap=True)
        done = self.total - len(self.open)
        self.bar.update(self.task, completed=done, failures=self.failures)

    def line(self, arm: str) -> str:
        """One finished arm: its place in the sweep, what it reached, and how long is left."""
        paths = self.pending.pop(arm)
        done = self.total - len(self.open)
        left = (time.monotonic() - self.started) / max(1, done) * len(self.open)
        place = f"[{self.num_arms - len(self.pending)}/{self.num_arms}]"
        return f"{place} {arm}  {reached(paths)}  ({clock(left)} left)"


def reached(paths: Sequence[Path]) -> str:
    """What the runs of an arm came to, in a few words."""
    summaries = [read_summary(path) for path in paths if is_done(path)]
    words = [f"{len(summaries)} of {len(paths)} runs"]
    accuracies = [summary["metrics"].get("test/accuracy") for summary in summaries]
    if known := [accuracy for accuracy in accuracies if isinstance(accuracy, float | int)]:
        words.append(f"test accuracy {100 * mean(known):.1f} %")
    for word in ("diverged", "stuck"):
        count = sum(s["status"] == word or s.get(word) is True for s in summaries)
        words += [f"{count} {word}"] if count else []
    return ", ".join(words)


def clock(seconds: float) -> str:
    """A duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
