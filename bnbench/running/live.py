"""How a terminal shows a sweep: a bar over all runs, a row per run that is being trained.

Sizes are asked for at each drawing, so that a terminal may change its own. Colours are those of its
palette that can be read on dark and on light. All is `Text`: nothing in a label or an error can be
taken for markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bnbench.config.labels import count_label, duration_label

MARGIN = 2  # columns on the right that stay free: there ^C is echoed, and must not begin a line
SPARE = 3  # lines of the terminal that stay free, so that what was printed last can be seen
NARROW, WIDE = 60, 100  # columns from which rows have their seeds, and from which a bar each
WIDEST = 120  # columns beyond which the eye would lose the row
ROW_BAR = 16


@dataclass(frozen=True)
class Row:
    """A run that is being trained: what its arm is called and has done, and how far it is."""

    label: str
    seed: int
    done: int
    runs: int
    step: int = 0
    steps: int | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class Picture:
    """What is drawn: the sweep as a whole, and the runs that are being trained.

    Attributes:
        total: the runs of the sweep.
        done: those that have a result or have failed.
        failures: those that have failed.
        diverged: those that have diverged.
        left: seconds until all is done, where that can be told.
        rows: the runs that are being trained.
    """

    total: int
    done: int = 0
    failures: int = 0
    diverged: int = 0
    left: float | None = None
    rows: Sequence[Row] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(1, min(options.max_width - MARGIN, WIDEST))
        yield self._overall(width)
        room = max(0, console.height - 1 - SPARE)
        shown = self.rows if len(self.rows) <= room else self.rows[: max(0, room - 1)]
        if shown:
            yield _rows(shown, width)
        if room and len(shown) < len(self.rows):
            word = f"and {len(self.rows) - len(shown)} more"
            yield Text(f"  {word}", style="dim", no_wrap=True, overflow="ellipsis")

    def _overall(self, width: int) -> Table:
        told = Text(f"{self.done:,}/{self.total:,} runs")
        for count, word, style in (
            (self.failures, "failed", "bold red"),
            (self.diverged, "diverged", "magenta"),
        ):
            told.append(" · ", "dim").append(f"{count} {word}", style) if count else None
        if self.left is not None:
            told.append(" · ", "dim").append(f"{duration_label(self.left)} left")
        grid = _grid(width)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        grid.add_row(Text("training", style="bold"), _bar(self.done, self.total), told)
        return grid


def _rows(rows: Sequence[Row], width: int) -> Table:
    grid = _grid(width)
    grid.add_column(width=1)
    grid.add_column(ratio=1, no_wrap=True)
    for _ in range(2 + (width >= NARROW) + (width >= WIDE)):
        grid.add_column(no_wrap=True, justify="right")
    for row in rows:
        step = f"{row.step:,}/{row.steps:,}" if row.steps else f"{row.step:,}"
        value = f" val {100 * row.accuracy:4.1f} %" if row.accuracy is not None else "starting"
        cells: list[RenderableType] = ["", Elided(row.label)]
        if width >= NARROW:
            place = f"seed {row.seed} ({row.done + 1} of {row.runs})"
            cells.append(Text(place, style="dim"))
        if width >= WIDE:
            cells.append(_bar(row.step, row.steps or 1, ROW_BAR))
        value = Text(value, "" if row.accuracy is not None else "dim")
        grid.add_row(*cells, Text(f"step {step}"), value)
    return grid


@dataclass(frozen=True)
class Elided:
    """A label in one line: where it is too long its middle goes, since its ends tell arms apart."""

    label: str

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, len(self.label))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        label, width = self.label, options.max_width
        if len(label) > width:
            head = (width - 1) // 2
            label = f"{label[:head]}…{label[len(label) - (width - 1 - head) :]}"
        yield Text(label, no_wrap=True)


def _grid(width: int) -> Table:
    grid = Table.grid(padding=(0, 1), pad_edge=False)
    grid.width = width
    return grid


def _bar(done: int, total: int, width: int | None = None) -> ProgressBar:
    return ProgressBar(
        total,
        min(done, total),
        width=width,
        style="bright_black",
        complete_style="green",
        finished_style="green",
    )


def finished_line(
    place: str,
    label: str,
    done: int,
    runs: int,
    accuracy: float | None,
    odd: Mapping[str, int],
    width: int,
) -> Table:
    """An arm that is finished: what it is called and what it came to."""
    whole = done == runs
    mark = ("✓", "green") if whole else ("✗", "bold red")
    count = count_label(runs, "run") if whole else f"{done} of {runs} runs"
    told = Text("" if accuracy is None else f" test {100 * accuracy:4.1f} %")
    words = ", ".join(f"{count} {word}" for word, count in odd.items() if count)
    grid = _grid(max(1, min(width - MARGIN, WIDEST)))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for _ in range(3):
        grid.add_column(no_wrap=True, justify="right")
    grid.add_row(
        Text(*mark),
        Text(place, "dim"),
        Text(label),
        Text(words, "magenta"),
        Text(count, "dim" if whole else "red"),
        told,
    )
    return grid


def failed_line(what: str) -> Text:
    """A run that failed, and why."""
    return Text.assemble(("✗ failed ", "bold red"), what)
