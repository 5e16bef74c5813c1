"""The best arm of each experiment as a terminal shows it."""

import math
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bnbench.analysis.best import Best
from bnbench.analysis.stats import Interval
from bnbench.config.labels import count_label

WIDTH = 100  # where no terminal says how wide it is, and no wider where one does
NUMBER = len("+10.21 pp [+10.84, +11.58]")
CAPTION = (
    "Best by mean validation accuracy, so that test accuracies are not chosen for being high. "
    "95 % t intervals over n seeds, none below 3; differences are paired by seed."
)


def show_best(found: Sequence[Best], console: Console) -> None:
    """Print what each experiment came to; of a single arm a line.

    Without a terminal there is no colour, and a width of 100 columns.
    """
    if len(found) == 1 and found[0].num_arms == 1:
        console.print(_line(found[0]), soft_wrap=True)
        return
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    header = Text("test accuracy", "dim"), Text("n", "dim")
    console.print(_table([("", Text(), *header)], width), crop=False)
    for number, best in enumerate(found):
        if number:
            console.print()
        heading = Text.assemble((f"{best.name} on {best.data}", "bold"), "  ", _counts(best))
        console.print(heading, soft_wrap=True)
        for line in textwrap.wrap(best.question, width):
            console.print(Text(line), soft_wrap=True)
        arm = Text(best.arm, "bold green")
        rows = [("best", arm, Text(percent(best.accuracy), "bold"), Text(str(best.accuracy.n)))]
        if best.against and best.difference:
            difference = Text(points(best.difference)), Text(str(best.difference.n))
            rows.append(("against", Text(best.against), *difference))
        console.print(_table(rows, width), crop=False)
    console.print()
    for line in textwrap.wrap(CAPTION, width):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _table(rows: Iterable[tuple[str, Text, Text, Text]], width: int) -> Table:
    """Rows of a word, an arm, a number with its interval, and n; the same columns at each call."""
    grid = Table.grid(padding=(0, 2), pad_edge=False)
    grid.width = width
    grid.add_column(width=len("against"), style="dim")
    grid.add_column(ratio=1)
    grid.add_column(width=NUMBER, justify="right", no_wrap=True)
    grid.add_column(width=3, justify="right", no_wrap=True)
    for row in rows:
        grid.add_row(*row)
    return grid


def _line(best: Best) -> Text:
    """What a single arm came to."""
    text = Text.assemble(
        (f"{best.arm}: ", ""),
        (f"test accuracy {percent(best.accuracy)}", "bold"),
        f" over {count_label(best.num_runs, 'seed')}",
        f", validation {100 * best.validation:.2f} %",
    )
    return _with_odd(text, best)


def _counts(best: Best) -> Text:
    text = Text(f"{best.num_arms} arms, {best.num_runs} runs", style="dim")
    return _with_odd(text, best)


def _with_odd(text: Text, best: Best) -> Text:
    """A text with the numbers of runs that failed, diverged or got stuck."""
    for word, style in (("failed", "red"), ("diverged", "magenta"), ("stuck", "magenta")):
        if count := getattr(best, word):
            text.append(", ").append(f"{count} {word}", f"not dim {style}")
    return text


def percent(value: Interval) -> str:
    """`97.21 % [96.86, 97.56]`: a share with its interval, where it has one."""
    if not value.n:
        return "–"
    text = f"{100 * value.estimate:.2f} %"
    if math.isfinite(value.low):
        text += f" [{100 * value.low:.2f}, {100 * value.high:.2f}]"
    return text


def points(value: Interval) -> str:
    """`+1.21 pp [+0.84, +1.58]`: a difference in percentage points, likewise."""
    text = f"{value.estimate:+.2f} pp"
    if math.isfinite(value.low):
        text += f" [{value.low:+.2f}, {value.high:+.2f}]"
    return text
