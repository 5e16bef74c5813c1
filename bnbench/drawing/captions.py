"""The words of a figure: the note inside, the caption, the alternative text."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bnbench.analysis.stats import MIN_SEEDS
from bnbench.config.labels import axis_label, column_label, count_label, metric_label, name_label
from bnbench.config.points import split_key
from bnbench.config.schema import TRANSDUCTIVE, Figure, Policy
from bnbench.drawing.frames import Panels


def note_text(spec: Figure, counts: Sequence[int], is_geometric: bool = False) -> str:
    """Write the note inside the figure: n, and the mean and interval that are drawn."""
    if not counts:
        return "every run diverged"
    few, most = min(counts), max(counts)
    number = count_label(most, "seed") if few == most else f"{few} to {most} seeds"
    unit, shown = ("point", "bar") if spec.kind == "versus" else ("line", "band")
    note = f"n = {number} per {unit}"
    if most >= MIN_SEEDS:
        mean, of = ("geometric mean", " of the logarithms") if is_geometric else ("mean", "")
        note += f"; {mean} over seeds, {shown}: 95 % t interval{of}, unadjusted"
    if few < MIN_SEEDS:
        note += f"; n < {MIN_SEEDS}: each seed, no {shown}"
    return note


def caption_text(spec: Figure, note: str, differ: Sequence[str], frame: pd.DataFrame) -> str:
    """Write the caption for the page."""
    words = [f"{_what(spec)}. {note}."]
    if spec.tuning:
        words.append("The runs that learning rates were tuned on.")
    if differ:
        named = {column.split(".")[0] for column in differ if column.endswith(".name")}
        own = [c for c in differ if c.endswith(".name") or c.split(".")[0] not in named]
        words.append(f"Lines of one look differ in {', '.join(map(column_label, own))}.")
    if (frame["status"] == "diverged").any():
        took = "enters as measured" if spec.kind == "versus" else "is not in a mean"
        words.append(f"A diverged run {took}; × marks where it ended.")
    split, _, _ = split_key(spec.y)
    policy = "" if split == "train@batch" else split.partition("@")[2]  # of training itself
    if policy == Policy.recalibrated:
        words.append("Nets with population statistics are not recalibrated.")
    elif policy:
        words.append("Nets without population statistics are shown as they are.")
    if adapted := sorted(TRANSDUCTIVE.intersection([policy, *frame.get("policy", [])])):
        words.append(f"Transductive, statistics of the evaluated images: {', '.join(adapted)}.")
    return " ".join(words)


def alt_text(spec: Figure, hues: Sequence[Any], panels: Panels) -> str:
    """Describe the figure for readers who do not see it; the numbers are in the tables."""
    lines = f"{column_label(spec.hue)}: {', '.join(name_label(spec.hue, hue) for hue in hues)}"
    titles = "; ".join(title for title, _ in panels if title)
    return f"{spec.title}. {_what(spec)}; {lines}{f'; panels: {titles}' if titles else ''}."


def _what(spec: Figure) -> str:
    what = metric_label(spec.y)
    scale = " (log scale)" if spec.logx else ""
    return f"{what[0].upper()}{what[1:]} against {axis_label(spec.x)}{scale}"
