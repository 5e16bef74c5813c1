"""What a sweep shows while it runs: done of total, failures, time left, a line per finished arm.

It reads the run folders only, so that it is the same for every launcher.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

POLL_SECONDS = 0.5


class Watcher:
    """Shows the runs of some arms as they finish, while the `with` block trains them.

    Args:
        arms: arm id -> the folders of its runs, for the arms that are to be trained.
        stale: error files of earlier sweeps, which say nothing about this one.
        console: where to print; a bar is drawn on a terminal only.
    """

    def __init__(
        self, arms: Mapping[str, Sequence[Path]], stale: Mapping[Path, int], console: Console
    ):
        self.pending = {arm: list(paths) for arm, paths in arms.items()}
        self.open = {path for paths in arms.values() for path in paths}
        self.total, self.num_arms = len(self.open), len(arms)
        self.stale, self.console = stale, console
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
            if failed(path, self.stale):
                self.failures += 1
                self.open.discard(path)
            elif (path / "summary.json").exists():
                self.open.discard(path)
        finished = [arm for arm, paths in self.pending.items() if not self.open & set(paths)]
        for arm in finished:
            self.console.print(self.line(arm), highlight=False, soft_wrap=True)
        done = self.total - len(self.open)
        self.bar.update(self.task, completed=done, failures=self.failures)

    def line(self, arm: str) -> str:
        """One finished arm: its place in the sweep, what it reached, and how long is left."""
        paths = self.pending.pop(arm)
        done = self.total - len(self.open)
        left = (time.monotonic() - self.started) / max(1, done) * len(self.open)
        place = f"[{self.num_arms - len(self.pending)}/{self.num_arms}]"
        return f"{place} {arm}  {reached(paths)}  ({clock(left)} left)".replace("[", "\\[", 1)


def reached(paths: Sequence[Path]) -> str:
    """What the runs of an arm came to, in a few words."""
    summaries = [
        json.loads((path / "summary.json").read_text(encoding="utf-8"))
        for path in paths
        if (path / "summary.json").exists()
    ]
    words = [f"{len(summaries)} of {len(paths)} runs"]
    if summaries:
        accuracy = mean(summary["metrics"]["test/accuracy"] for summary in summaries)
        words.append(f"test accuracy {100 * accuracy:.1f} %")
    for word in ("diverged", "stuck"):
        count = sum(s["status"] == word or s.get(word) is True for s in summaries)
        words += [f"{count} {word}"] if count else []
    return ", ".join(words)


def failed(path: Path, stale: Mapping[Path, int]) -> bool:
    """Whether a run has failed in this sweep: an error file that was not there at its start."""
    error = path / "error.txt"
    try:
        return error.stat().st_mtime_ns != stale.get(error)
    except FileNotFoundError:
        return False


def clock(seconds: float) -> str:
    """A duration as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
