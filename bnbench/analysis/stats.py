"""Intervals over seeds and comparisons of arms that share seeds (DESIGN.md, section 6).

Every interval is a two-sided Student t interval with n-1 degrees of freedom, unadjusted for the
number of comparisons. Fewer than three seeds give no interval.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from bnbench.analysis.load import config_columns, final, finished

MIN_SEEDS = 3
ACCURACY, PRECISE = "test/accuracy", "test@precise/accuracy"
COMPARED = [
    *("treatment", "baseline", "estimate", "low", "high", "n"),
    *("pairs", "treatment_diverged", "baseline_diverged"),
]


class Interval(NamedTuple):
    """An estimate with its bounds (NaN where n is below `MIN_SEEDS`) and number of values."""

    estimate: float
    low: float
    high: float
    n: int


def half_width(std: Any, n: Any, level: float = 0.95) -> Any:
    """`t(n-1, (1+level)/2) · s/√n`, elementwise; NaN below `MIN_SEEDS` values."""
    width = student_t.ppf((1 + level) / 2, np.asarray(n) - 1) * std / np.sqrt(n)
    return np.where(np.asarray(n) >= MIN_SEEDS, width, np.nan)


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """The mean of the finite values with its t interval, s with ddof=1.

    >>> mean_interval([1.0, 2.0, 3.0]).n
    3
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    n = len(finite)
    mean = float(finite.mean()) if n else np.nan
    half = float(half_width(finite.std(ddof=1), n, level)) if n >= MIN_SEEDS else np.nan
    return Interval(mean, mean - half, mean + half, n)


def interval_table(frame: pd.DataFrame, by: str, value: str, level: float = 0.95) -> pd.DataFrame:
    """`mean_interval` of the column `value` for each value of `by`, which is the index, sorted."""
    finite = frame[np.isfinite(frame[value])]
    table = finite.groupby(by)[value].agg(["mean", "std", "count"])
    half = half_width(table["std"], table["count"], level)
    return pd.DataFrame(
        {
            "estimate": table["mean"],
            "low": table["mean"] - half,
            "high": table["mean"] + half,
            "n": table["count"],
        }
    )


def paired_difference(treatment: pd.Series, baseline: pd.Series, level: float = 0.95) -> Interval:
    """The mean of treatment - baseline over the seeds (the index) that both have.

    A seed whose difference is not finite is left out; `n` counts the pairs that are left.
    """
    return mean_interval(treatment - baseline, level)  # pandas aligns them by seed


def arm_table(runs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """One row per arm that has finished runs, in their order: outcomes over its seeds.

    A diverged run counts in `runs` and `diverged`, and its accuracy enters as measured; where
    that is not finite it is left out of the interval, whose own `n` tells. A threshold that was
    not reached is censored: the median counts it as infinite, never drops it; one that the arm
    does not watch is NaN.
    """
    rows = []
    for arm, group in finished(runs).groupby("arm", sort=False):
        row = {"arm": arm, "runs": len(group), "seconds": group["seconds"].median()}
        row["diverged"] = int((group["status"] == "diverged").sum())
        row["stuck"] = int(group["stuck"].sum())
        row["accuracy"] = mean_interval(final(group, ACCURACY), level)
        if PRECISE in group:
            row["precise"] = mean_interval(group[PRECISE], level)
        asked = json.loads(group["train.thresholds"].iloc[0])
        for column in thresholds(runs):
            watched = float(column.split("/")[1]) in asked
            row[column] = group[column].fillna(np.inf).median() if watched else np.nan
            row[f"{column} missed"] = int(group[column].isna().sum())
        rows.append(row)
    return pd.DataFrame(rows)


def thresholds(runs: pd.DataFrame) -> list[str]:
    """The columns `steps_to/<threshold>`."""
    return [column for column in map(str, runs) if column.startswith("steps_to/")]


def comparisons(
    runs: pd.DataFrame, baseline: Mapping[str, Any], level: float = 0.95
) -> pd.DataFrame:
    """Final test accuracy of each arm minus that of the baseline arm, in percentage points.

    The baseline arm has the given values and equals the treatment in every science column that
    the baseline does not free (`_free`). An arm without one is a row with n = 0 and no baseline.

    Returns:
        treatment, baseline (arm ids), estimate, low, high, n (pairs of finite accuracies), pairs
        (seeds that both finished), treatment_diverged, baseline_diverged (runs).

    Raises:
        ValueError: the baseline names a column that there is not.
    """
    config = config_columns(runs)
    if unknown := sorted(set(baseline) - set(config)):
        allowed = ", ".join(config)
        raise ValueError(f"no column {unknown[0]!r} to compare by: expected one of {allowed}")
    ended = finished(runs)
    if ended.empty:
        return pd.DataFrame(columns=COMPARED)
    arms = ended.drop_duplicates("arm").set_index("arm")
    chosen = np.logical_and.reduce([_equals(arms[key], want) for key, want in baseline.items()])
    fixed = [column for column in config if not _free(column, baseline)]
    settings = arms.groupby(fixed, dropna=False).ngroup()
    accuracy = ended.set_index("seed").groupby("arm", sort=False)[ACCURACY]
    accuracies = {arm: 100 * values for arm, values in accuracy}
    diverged = (ended["status"] == "diverged").groupby(ended["arm"]).sum()
    rows = []
    for treatment, setting in settings[~chosen].items():
        mine = accuracies[treatment]
        same = settings.index[chosen & (settings == setting)]
        for other in same:
            pairs = len(mine.index.intersection(accuracies[other].index))
            difference = paired_difference(mine, accuracies[other], level)
            rows.append(
                (treatment, other, *difference, pairs, diverged[treatment], diverged[other])
            )
        if same.empty:
            rows.append((treatment, None, np.nan, np.nan, np.nan, 0, 0, diverged[treatment], 0))
    return pd.DataFrame(rows, columns=COMPARED)


def _free(column: str, baseline: Mapping[str, Any]) -> bool:
    """Whether arms may differ in `column`: a name frees its group, a norm also what hangs on it."""
    freed = {key.removesuffix("name") if key.endswith(".name") else key for key in baseline}
    if "norm.name" in baseline:
        freed |= {"placement", "train.policies"}
    return any(column == key or (key.endswith(".") and column.startswith(key)) for key in freed)


def _equals(column: pd.Series, want: Any) -> pd.Series:
    if isinstance(want, list):
        return column.str.replace(" ", "") == json.dumps(want, separators=(",", ":"))
    return column == want
