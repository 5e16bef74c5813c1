"""The numbers of a report as text: how many runs there are, the arms, the comparisons."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.answers import UNDER_SHIFT, greatest_severities
from bnbench.analysis.load import STATUSES, config_columns, final, finished
from bnbench.analysis.stats import Interval, arm_table, comparisons, mean_interval, thresholds
from bnbench.config.labels import (
    ABSENT,
    FIRST,
    UNTOLD,
    arm_words,
    column_label,
    is_had,
    level_label,
    name_label,
    telling,
    value_label,
)
from bnbench.config.schema import BATCH_NORMS
from bnbench.drawing.style import norm_colour, ordered


class Table(NamedTuple):
    """A table of text: the first `num_words` columns are words, the others are numbers.

    `colours` are those of the rows' norms in the figures, `arms` the arms that each is about: one,
    or a treatment and its baseline. `settings` are what rows are filtered by beside their cells,
    `same` says what was the same in all rows and is no column.
    """

    header: list[str]
    rows: list[list[str]]
    colours: list[str]
    num_words: int
    arms: Sequence[Sequence[str]] = ()
    settings: Sequence[Mapping[str, str]] = ()
    same: str = ""


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs ended how; a stuck run is a done run, and is counted in both."""
    number = {status: int((runs["status"] == status).sum()) for status in STATUSES}
    kept = {k: n for k, n in number.items() if n or k not in ("interrupted", "running")}
    return {"done": kept.pop("done"), "stuck": int(runs["stuck"].sum()), **kept}


def arms(runs: pd.DataFrame) -> Table:
    """One row per arm that has a result; of shifts the accuracy at the greatest severity."""
    settings = _settings(runs)
    table = arm_table(runs).set_index("arm").reindex(settings.index)
    count = table["runs"]
    cells = {"test accuracy (%)": list(map(_percent, table["accuracy"], count))}
    if "precise" in table and any(cell.n for cell in table["precise"]):
        cells["with precise statistics (%)"] = list(map(_percent, table["precise"], count))
    cells |= _under_shift(runs, settings.index, count)
    for limit in thresholds(runs):
        columns = (table[limit], table[f"{limit} missed"], count)
        cells[f"steps to {float(limit.split('/')[1]):.4g}"] = list(map(_steps, *columns))
    cells |= {name: list(map(str, table[name])) for name in ("runs", "diverged", "stuck")}
    cells["seconds"] = list(map(_seconds, table["seconds"]))
    words = {"arm": [_name(row) for _, row in _told(settings).iterrows()]}
    about = [[str(arm)] for arm in table.index]
    return _table(words, cells, settings, about)


def _under_shift(runs: pd.DataFrame, arms: pd.Index, count: pd.Series) -> dict[str, list[str]]:
    """The columns of accuracies under each shift at its greatest severity."""
    ended, found = finished(runs), {}
    for name, severity in greatest_severities(runs).items():
        values = final(ended, f"{UNDER_SHIFT}{name}-{severity}")
        means = values.groupby(ended["arm"]).apply(mean_interval).reindex(arms)
        label = f"{name_label('shift', name)}, severity {severity} (%)"
        found[label] = list(map(_percent, means, count))
    return found


def compared(runs: pd.DataFrame, baseline: Mapping[str, Any], found: Collection[str] = ()) -> Table:
    """One row per arm and baseline arm: the paired difference of final test accuracies."""
    settings = _settings(runs)
    told = _told(settings)
    table = comparisons(runs, baseline, found)
    place = {arm: number for number, arm in enumerate(settings.index)}
    table = table.sort_values("treatment", key=lambda arm: arm.map(place), kind="stable")
    rows = table.to_dict("records")
    words = {
        "treatment": [_name(told.loc[row["treatment"]]) for row in rows],
        "baseline": [_difference(told, row["treatment"], row["baseline"]) for row in rows],
    }
    cells = {
        "difference (points)": [_signed(row["estimate"]) for row in rows],
        "95 % interval": [
            f"[{row['low']:+.2f}, {row['high']:+.2f}]" if np.isfinite(row["low"]) else ABSENT
            for row in rows
        ],
        "pairs": [
            str(row["n"]) if row["n"] == row["pairs"] else f"{row['n']} of {row['pairs']}"
            for row in rows
        ],
        "diverged": [f"{row['treatment_diverged']} / {row['baseline_diverged']}" for row in rows],
    }
    pairs = table[["treatment", "baseline"]].to_numpy()
    about = [[str(arm) for arm in pair if pd.notna(arm)] for pair in pairs]
    return _table(words, cells, settings.loc[table["treatment"]], about)


def _table(
    words: Mapping[str, list[str]],
    numbers: Mapping[str, list[str]],
    settings: pd.DataFrame,
    about: list[list[str]],
) -> Table:
    """Make a table; columns that say the same in all rows are told beneath it.

    The first of words and the first of numbers stay: they say what the table is of.
    """
    columns = {**words, **numbers}
    others = [*list(words)[1:], *list(numbers)[1:]]
    same = {n: columns[n][0] for n in others if len(set(columns[n])) == 1 < len(columns[n])}
    shown = [name for name in columns if name not in same]
    return Table(
        shown,
        [list(row) for row in zip(*(columns[name] for name in shown), strict=True)],
        [norm_colour(norm) for norm in settings["norm.name"]],
        sum(name in shown for name in words),
        about,
        [_filtered(row) for _, row in settings[[*FIRST, *_varying(settings)]].iterrows()],
        ", ".join(f"{name} {value}" for name, value in same.items()),
    )


def _filtered(settings: pd.Series) -> dict[str, str]:
    """What a row is filtered by: settings by their names, each as configured and in words."""
    return {
        column_label(str(column)): f"{value_label(value)} {name_label(str(column), value)}"
        + (" BN" if value in BATCH_NORMS else "")
        for column, value in settings.items()
        if is_had(str(column), value)
    }


def baseline_name(baseline: Mapping[str, Any]) -> str:
    """A baseline in words: `no norm`."""
    return ", ".join(level_label(key, value) for key, value in baseline.items())


def _settings(runs: pd.DataFrame) -> pd.DataFrame:
    """The science config of each arm that has a result, in the order of figures and legends."""
    config = finished(runs).drop_duplicates("arm").set_index("arm")[config_columns(runs)]
    return config.sort_values(
        [*FIRST, *_varying(config)],
        key=lambda values: values.map(_ranks(values)) if values.name in FIRST else values,
    )


def _ranks(values: pd.Series) -> dict[Any, int]:
    return {value: rank for rank, value in enumerate(ordered(str(values.name), values))}


def _varying(settings: pd.DataFrame) -> list[str]:
    """The settings that tell arms apart, beyond the names and what comes with the model."""
    number = settings.groupby("model.name").nunique().max()
    skipped = (*FIRST, *UNTOLD)
    return [c for c in map(str, settings) if c not in skipped and number[c] > 1]


def _told(settings: pd.DataFrame) -> pd.DataFrame:
    """The settings that tell arms apart."""
    arms = {str(arm): {str(key): own[key] for key in own.index} for arm, own in settings.iterrows()}
    return settings[telling(arms)]


def _name(settings: pd.Series) -> str:
    """An arm in words, by what tells it from the others."""
    told = {str(column): value for column, value in settings.items()}
    return arm_words(told, told)


def _difference(settings: pd.DataFrame, treatment: str, baseline: Any) -> str:
    """A baseline in words, by what tells it from the treatment."""
    if pd.isna(baseline):
        return "none that is equal elsewhere"
    differs = settings.loc[treatment].astype(str) != settings.loc[baseline].astype(str)
    return _name(settings.loc[baseline][differs])


def _percent(value: Interval, num_runs: int) -> str:
    """`97.21 ± 0.35`; without enough seeds no half-width, and where values lack, how many."""
    if not value.n:
        return ABSENT
    text = f"{100 * value.estimate:.2f}"
    if np.isfinite(value.high):
        text += f" ± {100 * (value.high - value.estimate):.2f}"
    return text if value.n == num_runs else f"{text} (n = {value.n})"


def _steps(median: float, missed: int, num_runs: int) -> str:
    """The median of steps to a threshold, and how many runs never reached it."""
    if np.isnan(median):
        return ABSENT
    text = f"{median:,.0f}" if np.isfinite(median) else "not reached"
    if missed == num_runs:
        return text
    return f"{text} ({missed} of {num_runs} not)" if missed else text


def _signed(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else ABSENT


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else ABSENT
