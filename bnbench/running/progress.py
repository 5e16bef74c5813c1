"""What a sweep says while it runs: a live picture, and a line per finished arm.

The picture is for a terminal or the cell of a notebook; elsewhere there are the lines alone.
It reads the run folders only, so that it is the same for every launcher. Colours are those of the
terminal's palette that can be read on dark and on light. All is `Text`: nothing in a label or an
error can be taken for markup.
"""

import io
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from statistics import mean
from typing import Any

from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from bnbench.config.labels import duration_label
from bnbench.running.estimate import TimeLeft
from bnbench.running.launch import Work, modified
from bnbench.tracking.csv_log import latest
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError

POLL_SECONDS = 0.5
SHOWN = ("val", "", "accuracy")  # what is told of a run that is being trained
ODD = {"diverged": "diverged", "stuck": "stuck at chance"}
MARGIN = 2  # columns on the right that stay free: there ^C is echoed, and must not begin a line
WIDEST = 120  # columns, beyond which the picture does not grow


@dataclass(frozen=True)
class Row:
    """A run that is being trained: what its arm is called, and how far it is."""

    run: RunFolder
    label: str
    step: int
    steps: int
    accuracy: float | None

    def line(self, width: int) -> Text:
        """Write the row in one line: the middle of its label goes where it is too long.

        Both ends of a label tell arms apart.
        """
        value = "starting" if self.accuracy is None else f"val {100 * self.accuracy:4.1f} %"
        steps = f"{self.steps:,}"
        told = f" step {self.step:>{len(steps)},}/{steps} {value:>11}"
        seed = f" seed {self.run.seed}"
        label, room = self.label, max(1, width - len(seed + told) - 2)
        if len(label) > room:
            head = (room - 1) // 2
            label = f"{label[:head]}…{label[len(label) - (room - 1 - head) :]}"
        whole = Text.assemble(f"  {label:{room}}", (seed, "dim"), told)
        whole.truncate(width, overflow="ellipsis")
        return whole


class Watcher:
    """Shows the runs of some arms as they finish, while the `with` block trains them.

    Args:
        work: what becomes of the runs.
        arms: arm id -> the folders of its runs, for the arms that are to be trained.
        console: where to print; a terminal that can move its cursor gets a live picture, and so
            does the cell of a notebook.
        labels: arm id -> what the picture calls it.
        left: what estimates the time left, of the same runs.
    """

    def __init__(
        self,
        work: Work,
        arms: Mapping[str, Sequence[RunFolder]],
        console: Console,
        labels: Mapping[str, str],
        left: TimeLeft,
    ):
        self.work, self.console, self.labels, self.left = work, console, labels, left
        self.arms = dict(arms)
        self.pending = dict.fromkeys(arms)  # in their order
        self.arm_of = {run: arm for arm, runs in arms.items() for run in runs}
        self.open = set(self.arm_of)
        self.begun = {run: modified(run.config) for run in self.open}  # by an earlier attempt
        # of runs that have a result: its test accuracy, and what is odd about it
        self.results: dict[RunFolder, tuple[float | None, list[str]]] = {}
        self.rows: list[Row] = []
        self.stop = threading.Event()
        # a notebook tells by the context which cell an output is for
        watch = copy_context().run
        self.thread = threading.Thread(target=watch, args=(self.watch,), daemon=True)
        self.cell: Any = None  # of a notebook: the output that is drawn anew
        self.live = Live(
            console=console, get_renderable=self.picture, auto_refresh=False, transient=True
        )

    def __enter__(self) -> "Watcher":
        if self.console.is_interactive:
            self.live.start(refresh=True)
        else:
            self.cell = notebook_output()
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        self.thread.join()
        self.look()
        self.live.transient = exception[0] is None  # what an interrupted sweep came to stays
        self.live.stop()
        if self.live.transient:
            self.draw("")

    def watch(self) -> None:
        """Look at the folders until stopped."""
        while not self.stop.wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Count what has finished since the last look, print the arms that have, draw the rest."""
        for run in list(self.open):
            if self.work.failed(run):
                self.open.discard(run)
                self.left.close(run)
                self.tell_failure(run)
            elif self.work.settled(run):
                self.open.discard(run)
                self.results[run] = self.result(run)
        self.left.count(time.monotonic(), self.is_begun())
        self.rows = self.running() if self.live.is_started or self.cell else []
        for arm in [arm for arm in self.pending if not self.open & set(self.arms[arm])]:
            self.tell(arm)
        if self.live.is_started:
            self.live.refresh()
        elif self.cell:
            self.draw(plain_text(self.picture()))

    def draw(self, text: str) -> None:
        """Replace the picture in the cell of a notebook, where there is one."""
        if self.cell:
            self.cell.update({"text/plain": text}, raw=True)

    def running(self) -> list[Row]:
        """The runs that somebody trains now, in the order of the arms."""
        rows = []
        for run, arm in self.arm_of.items():
            if run in self.open and run.is_held():
                step, accuracy = latest(run.metrics, SHOWN) or (0, None)
                steps = self.left.loads[run].steps
                rows.append(Row(run, self.labels[arm], step, steps, accuracy))
        return rows

    def is_begun(self) -> bool:
        """Whether any run is trained yet, or has been."""
        return self.left.begun or any(run not in self.open or run.is_held() for run in self.arm_of)

    def time_left(self, rows: Sequence[Row]) -> float:
        """Estimate the seconds until all is done, from runs that are being trained."""
        return self.left.seconds({row.run: row.step for row in rows})

    def result(self, run: RunFolder) -> tuple[float | None, list[str]]:
        """Read the test accuracy of a run and what is odd about it, and note what it took."""
        with suppress(FileNotFoundError, DamagedError):
            summary = run.read_summary()
            begun, ended = modified(run.config), modified(run.summary)
            if begun and ended and begun != self.begun[run]:  # not only evaluated under shifts
                whole = max(summary["seconds"], (ended - begun) / 1e9)
                self.left.end(run, summary["seconds"], whole, summary["steps"])
            odd = [word for word in ODD if summary["status"] == word or summary.get(word) is True]
            self.left.close(run)
            return summary["metrics"].get("test/accuracy"), odd
        self.left.close(run)
        return None, []

    def picture(self) -> Constrain:
        """Draw what a terminal shows now: the bar over all runs, a line per run in training."""
        total, done = len(self.arm_of), len(self.arm_of) - len(self.open)
        told = Text(f"{done:,}/{total:,} runs")
        diverged = Counter(word for _, odd in self.results.values() for word in odd)["diverged"]
        for count, word, style in (
            (done - len(self.results), "failed", "bold red"),
            (diverged, "diverged", "magenta"),
        ):
            if count:
                told.append(" · ", "dim").append(f"{count} {word}", style)
        told.append(" · ", "dim").append(f"{duration_label(self.time_left(self.rows))} left")
        bar = ProgressBar(
            *(total, done), style="bright_black", complete_style="green", finished_style="green"
        )
        overall = Table.grid("", Column(ratio=1), Column(no_wrap=True), padding=(0, 1), expand=True)
        overall.add_row(Text("training", style="bold"), bar, told)
        width = max(1, min(self.console.width - MARGIN, WIDEST))
        return Constrain(Group(overall, *(row.line(width) for row in self.rows)), width)

    def tell(self, arm: str) -> None:
        """Print that an arm is finished, and what its runs came to."""
        del self.pending[arm]
        runs, num = self.arms[arm], len(self.arms)
        place = f"{num - len(self.pending):{len(str(num))}}/{num}"
        results = [self.results[run] for run in runs if run in self.results]
        known = [accuracy for accuracy, _ in results if accuracy is not None]
        counts = Counter(word for _, odd in results for word in odd)
        reached = f"{len(results)} of {len(runs)} runs"
        odd = [f"{counts[word]} {words}" for word, words in ODD.items() if counts[word]]
        if self.live.is_started:
            whole = len(results) == len(runs)
            mark = ("✓", "green") if whole else ("✗", "bold red")
            test = f"test {100 * mean(known):5.1f} %  " if known else ""
            line = Text.assemble(mark, (f" {place} ", "dim"), test, self.labels[arm])
            line.append("" if whole else f" · {reached}", "red")
            line.append("".join(f" · {count}" for count in odd), "magenta")
            self.console.print(line)
        else:
            test = [f"test accuracy {100 * mean(known):.1f} %"] if known else []
            left = duration_label(self.time_left(self.running()))
            told = ", ".join([reached, *test, *odd])
            line = f"[{place.strip()}] {self.labels[arm]}: {told} ({left} left)"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def tell_failure(self, run: RunFolder) -> None:
        """Print why a run failed."""
        what = f"{self.labels[self.arm_of[run]]}, seed {run.seed}: {self.work.reason(run)}"
        if self.live.is_started:
            self.console.print(Text.assemble(("✗ failed ", "bold red"), what))
        else:
            self.console.print(f"failed: {what}", soft_wrap=True)


def notebook_output() -> Any:
    """Open an output in the cell of a notebook that can be drawn anew; None elsewhere.

    A notebook has imported IPython itself, and its shell has a kernel.
    """
    ipython = sys.modules.get("IPython")
    if ipython is None or not hasattr(ipython.get_ipython(), "kernel"):
        return None
    return ipython.display.display({"text/plain": ""}, raw=True, display_id=True)


def plain_text(picture: Constrain) -> str:
    """Render a picture without colours, which notebooks would show as codes."""
    paper = Console(file=io.StringIO(), width=WIDEST, color_system=None, force_jupyter=False)
    with paper.capture() as captured:
        paper.print(picture)
    return captured.get().rstrip()
