"""The numbers of a report as text: how many runs there are, the arms, the comparisons."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.load import STATUSES, config_columns, finished
from bnbench.analysis.stats import Interval, arm_table, comparisons, thresholds
from bnbench.config.labels import (
    ABSENT,
    FIRST,
    UNTOLD,
    arm_words,
    column_label,
    setting_label,
    value_label,
)
from bnbench.drawing.style import NORM_COLOURS, OTHER_NORM, ordered


class Table(NamedTuple):
    """A table of text: the first `num_words` columns are words, the others are numbers.

    `colours` are those of the rows' norms in the figures, `arms` the arms that each is about:
    one, or a treatment and its baseline.
    """

    header: list[str]
    rows: list[list[str]]
    colours: list[str]
    num_words: int
    arms: Sequence[Sequence[str]] = ()


def counts(runs: pd.DataFrame) -> dict[str, int]:
    """How many runs ended how; a stuck run is a done run, and is counted in both."""
    number = {status: int((runs["status"] == status).sum()) for status in STATUSES}
    kept = {k: n for k, n in number.items() if n or k not in ("interrupted", "running")}
    return {"done": kept.pop("done"), "stuck": int(runs["stuck"].sum()), **kept}


def arms(runs: pd.DataFrame) -> Table:
    """One row per arm that has a result."""
    settings = _settings(runs)
    shown = [*FIRST, *_varying(settings)]
    table = arm_table(runs).set_index("arm").reindex(settings.index)
    words = ["arm", *map(column_label, shown)]
    header = [*words, "runs", "test accuracy (%)"]
    precise = "precise" in table and any(cell.n for cell in table["precise"])
    header += ["with precise statistics (%)"] if precise else []
    header += ["diverged", "stuck"]
    limits = thresholds(runs)
    header += [f"steps to {float(limit.split('/')[1]):.4g}" for limit in limits] + ["seconds"]
    rows = []
    for arm, row in table.iterrows():
        cells = [str(arm), *map(value_label, settings.loc[str(arm), shown])]
        cells += [str(row["runs"]), _percent(row["accuracy"], row["runs"])]
        cells += [_percent(row["precise"], row["runs"])] if precise else []
        cells += [str(row["diverged"]), str(row["stuck"])]
        cells += [_steps(row[limit], row[f"{limit} missed"], row["runs"]) for limit in limits]
        rows.append([*cells, _seconds(row["seconds"])])
    about = [[str(arm)] for arm in table.index]
    return Table(header, rows, _colours(settings), len(words), about)


def compared(runs: pd.DataFrame, baseline: Mapping[str, Any], found: Collection[str] = ()) -> Table:
    """One row per arm and baseline arm: the paired difference of final test accuracies."""
    settings = _settings(runs)
    telling = settings[[*FIRST, *_varying(settings)]]
    table = comparisons(runs, baseline, found)
    place = {arm: number for number, arm in enumerate(settings.index)}
    table = table.sort_values("treatment", key=lambda arm: arm.map(place), kind="stable")
    rows = [
        [
            _name(telling.loc[row["treatment"]]),
            _difference(telling, row["treatment"], row["baseline"]),
            _signed(row["estimate"]),
            f"[{row['low']:+.2f}, {row['high']:+.2f}]" if np.isfinite(row["low"]) else ABSENT,
            str(row["n"]) if row["n"] == row["pairs"] else f"{row['n']} of {row['pairs']}",
            f"{row['treatment_diverged']} / {row['baseline_diverged']}",
        ]
        for row in table.to_dict("records")
    ]
    header = ["treatment", "baseline", "difference (pp)", "95 % interval", "pairs", "diverged"]
    pairs = table[["treatment", "baseline"]].to_numpy()
    about = [[str(arm) for arm in pair if pd.notna(arm)] for pair in pairs]
    return Table(header, rows, _colours(settings.loc[table["treatment"]]), 2, about)


def baseline_name(baseline: Mapping[str, Any]) -> str:
    """A baseline in words: `no norm`."""
    return ", ".join(setting_label(key, value) for key, value in baseline.items())


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


def _colours(settings: pd.DataFrame) -> list[str]:
    return [NORM_COLOURS.get(norm, OTHER_NORM) for norm in settings["norm.name"]]


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
    return f"{text} ({missed} of {num_runs} not)" if missed else text


def _signed(value: float) -> str:
    return f"{value:+.2f}" if np.isfinite(value) else ABSENT


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if np.isfinite(value) else ABSENT
