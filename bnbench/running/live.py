"""How a terminal shows a sweep: a bar over all runs, a line per run that is being trained.

Colours are those of the terminal's palette that can be read on dark and on light. All is `Text`:
nothing in a label or an error can be taken for markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bnbench.config.labels import count_label, duration_label

MARGIN = 2  # columns on the right that stay free: there ^C is echoed, and must not begin a line
SPARE = 3  # lines of the terminal that stay free, so that what was printed last can be seen
NARROW, WIDEST = 60, 120  # columns from which lines have their seeds, and beyond which they end


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


def picture(
    console: Console,
    total: int,
    done: int = 0,
    failures: int = 0,
    diverged: int = 0,
    left: float | None = None,
    rows: Sequence[Row] = (),
) -> Group:
    """Draw a sweep: the bar over its runs, and as many of those in training as there is room for.

    Args:
        console: the terminal; its size is asked for at each drawing, since it may change.
        total: the runs of the sweep.
        done: those that have a result or have failed.
        failures: those that have failed.
        diverged: those that have diverged.
        left: seconds until all is done, where that can be told.
        rows: the runs that are being trained.
    """
    width = columns(console)
    told = Text(f"{done:,}/{total:,} runs")
    for count, word, style in ((failures, "failed", "bold red"), (diverged, "diverged", "magenta")):
        told.append(" · ", "dim").append(f"{count} {word}", style) if count else None
    if left is not None:
        told.append(" · ", "dim").append(f"{duration_label(left)} left")
    bar = ProgressBar(
        *(total, done), style="bright_black", complete_style="green", finished_style="green"
    )
    overall = Table.grid(padding=(0, 1), pad_edge=False)
    overall.width = width
    for ratio in (None, 1, None):
        overall.add_column(ratio=ratio, no_wrap=True)
    overall.add_row(Text("training", style="bold"), bar, told)
    room = max(0, console.height - 1 - SPARE)
    shown = rows if len(rows) <= room else rows[: max(0, room - 1)]
    lines = [row_line(row, width) for row in shown]
    if room and len(shown) < len(rows):
        lines.append(Text(f"  and {len(rows) - len(shown)} more", "dim", no_wrap=True))
    return Group(overall, *lines)


def columns(console: Console) -> int:
    """How wide a line may be."""
    return max(1, min(console.width - MARGIN, WIDEST))


def row_line(row: Row, width: int) -> Text:
    """A run that is being trained, in one line: the middle of its label goes where it is too long.

    Both ends of a label tell arms apart.
    """
    steps = f"{row.steps:,}" if row.steps else ""
    step = f"{row.step:>{len(steps)},}/{steps}" if steps else f"{row.step:,}"
    value = "starting" if row.accuracy is None else f"val {100 * row.accuracy:4.1f} %"
    place = f"seed {row.seed} ({row.done + 1} of {row.runs}) " if width >= NARROW else ""
    told = Text.assemble((place, "dim"), f"step {step} {value:>11}")
    label, room = row.label, max(1, width - len(told) - 3)
    if len(label) > room:
        head = (room - 1) // 2
        label = f"{label[:head]}…{label[len(label) - (room - 1 - head) :]}"
    line = Text(f"  {label:{room}} ") + told
    line.truncate(width, overflow="ellipsis")
    return line


def spread(left: Text, right: Text, width: int) -> Text:
    """Two texts, the second at the right: of this line where there is room, else of the next."""
    gap = width - len(left) - len(right)
    return left + Text(" " * gap if gap > 0 else "\n" + " " * (width - len(right))) + right


def finished_line(
    console: Console,
    place: str,
    label: str,
    done: int,
    runs: int,
    accuracy: float | None,
    odd: Mapping[str, int],
) -> Text:
    """An arm that is finished: what it is called and what it came to."""
    whole = done == runs
    told = Text(", ".join(f"{count} {word}" for word, count in odd.items() if count), "magenta")
    told += Text(" ") if told else Text()
    count = count_label(runs, "run") if whole else f"{done} of {runs} runs"
    told += Text(count, "dim" if whole else "red")
    told += Text("" if accuracy is None else f"  test {100 * accuracy:4.1f} %")
    mark = Text.assemble(("✓", "green") if whole else ("✗", "bold red"), (f" {place} ", "dim"))
    return spread(mark + Text(label), told, columns(console))


def failed_line(what: str) -> Text:
    """A run that failed, and why."""
    return Text.assemble(("✗ failed ", "bold red"), what)
