"""The answer of each experiment as a terminal shows it."""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bnbench.analysis.answer_words import Told
from bnbench.analysis.best import Best
from bnbench.analysis.stats import Interval
from bnbench.analysis.summary import ExperimentSummary
from bnbench.config.labels import count_label

WIDTH = 100  # where no terminal says how wide it is, and no wider where one does
NUMBER = len("+10.21 pp [+10.84, +11.58]")
UNANSWERED = "No statistic answers it yet (report.answer of its YAML). The best arm:"
GLUED = re.compile(r"(?<=\d) (?=%)|(?<=n) (?==)|(?<==) (?=\d)")  # spaces where no line ends
INTERVALS = "Intervals are 95 % t intervals over n seeds; differences are paired by seed."
BEST = "Best is by mean validation accuracy, so that no test accuracy is chosen for being high."


def show_answers(found: Sequence[ExperimentSummary], console: Console) -> None:
    """Print what answers each experiment; of a single arm a line.

    Without a terminal there is no colour, and a width of 100 columns.
    """
    if len(found) == 1 and found[0].num_arms == 1 and not found[0].answers:
        console.print(_line(found[0]), soft_wrap=True)
        return
    width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    for number, summary in enumerate(found):
        if number:
            console.print()
        title = f"{summary.name} on {summary.data}"
        heading = Text.assemble((title, "bold"), "  ", _counts(summary))
        console.print(heading, soft_wrap=True)
        for line in textwrap.wrap(summary.question, width):
            console.print(Text(line), soft_wrap=True)
        for told in summary.answers:
            _show_told(told, width, console)
        if not summary.answers:
            if summary.question:
                for line in textwrap.wrap(UNANSWERED, width):
                    console.print(Text(line, "dim"), soft_wrap=True)
            console.print(_table(_best_rows(summary.best), width), crop=False)
    console.print()
    caption = INTERVALS if all(s.answers for s in found) else f"{BEST} {INTERVALS}"
    for line in textwrap.wrap(caption, width):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _show_told(told: Told, width: int, console: Console) -> None:
    """Print a sentence, each of its comparisons on lines of its own."""
    end = ":" if told.items else "."
    for line in textwrap.wrap(f"{told.lead}{end}", width - 2):
        console.print(Text(f"  {line}"), soft_wrap=True)
    for parts in told.findings:
        # what a line ends with is in bold or not, as what follows it
        bold = [letter for n, part in enumerate(parts) for letter in [n % 2 == 0] * len(part)]
        place = 0
        for line in textwrap.wrap(GLUED.sub("\xa0", "".join(parts)), width - 6):
            text = Text("      " if place else "    ")
            for letter, is_bold in zip(line, bold[place:], strict=False):
                text.append(letter.replace("\xa0", " "), "bold" if is_bold else "")
            console.print(text, soft_wrap=True)
            place += len(line) + 1


def _best_rows(best: Best) -> list[tuple[str, Text, Text, Text]]:
    accuracy = Text(percent(best.accuracy), "bold"), Text(str(best.accuracy.n))
    rows = [("best", Text(best.arm, "bold green"), *accuracy)]
    if best.against and best.difference:
        difference = Text(points(best.difference)), Text(str(best.difference.n))
        rows.append(("against", Text(best.against), *difference))
    return [("", Text(), Text("test accuracy", "dim"), Text("n", "dim")), *rows]


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


def _line(summary: ExperimentSummary) -> Text:
    """What a single arm came to."""
    best = summary.best
    text = Text.assemble(
        (f"{best.arm}: ", ""),
        (f"test accuracy {percent(best.accuracy)}", "bold"),
        f" over {count_label(summary.num_runs, 'seed')}",
        f", validation {100 * best.validation:.2f} %",
    )
    return _with_odd(text, summary)


def _counts(summary: ExperimentSummary) -> Text:
    counts = f"{count_label(summary.num_arms, 'arm')}, {count_label(summary.num_runs, 'run')}"
    return _with_odd(Text(counts, style="dim"), summary)


def _with_odd(text: Text, summary: ExperimentSummary) -> Text:
    """A text with the numbers of runs that failed, diverged or got stuck."""
    for word, style in (("failed", "red"), ("diverged", "magenta"), ("stuck", "magenta")):
        if count := getattr(summary, word):
            text.append(", ").append(f"{count} {word}", f"not dim {style}")
    return text


def best_line(best: Best) -> str:
    """Say which arm is best: `Best by validation accuracy: …, test accuracy 97.21 % […], n = 5.`"""
    accuracy = f"test accuracy {percent(best.accuracy)}, n = {best.accuracy.n}"
    return f"Best by validation accuracy: {best.arm}, {accuracy}."


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
