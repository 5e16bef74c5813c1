"""The best arm of each experiment as a terminal shows it."""

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bnbench.analysis.best import Best
from bnbench.analysis.stats import Interval

WIDTH = 100  # where no terminal says how wide it is, and no wider where one does
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
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, width=width)
    table.add_column("question", ratio=5)
    table.add_column("best arm", ratio=6)
    table.add_column("test accuracy", no_wrap=True, justify="right")
    table.add_column("n", no_wrap=True, justify="right")
    for number, best in enumerate(found):
        if number:
            table.add_row()
        table.add_row(
            Text(f"{best.name} on {best.data}", style="bold"),
            Text(best.arm, style="green"),
            Text(percent(best.accuracy)),
            Text(str(best.accuracy.n)),
        )
        against = difference = n = ""
        if best.against and best.difference:
            against, difference = f"against {best.against}", points(best.difference)
            n = str(best.difference.n)
        told = Text(against)
        told.append("\n" * bool(against)).append_text(_counts(best))
        table.add_row(Text(best.question, style="dim"), told, Text(difference), Text(n))
    console.print(table, width=width, crop=False)
    console.print(Text(CAPTION, style="dim"), width=width)


def _line(best: Best) -> Text:
    """What a single arm came to."""
    text = Text.assemble(
        (f"{best.arm}: ", ""),
        (f"test accuracy {percent(best.accuracy)}", "bold"),
        f" over {best.num_runs} {'seed' if best.num_runs == 1 else 'seeds'}",
        f", validation {100 * best.validation:.2f} %",
    )
    for word, count in (("diverged", best.diverged), ("stuck", best.stuck)):
        text.append(f", {count} {word}", "magenta") if count else None
    return text


def _counts(best: Best) -> Text:
    text = Text(f"{best.num_arms} arms, {best.num_runs} runs", style="dim")
    for word, count in (("diverged", best.diverged), ("stuck", best.stuck)):
        text.append(f", {count} {word}", "not dim magenta") if count else None
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
