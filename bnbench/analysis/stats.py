"""Intervals over seeds and comparisons of arms that share seeds (docs/statistics.md).

Every interval is a two-sided Student t interval with n-1 degrees of freedom, unadjusted for the
number of comparisons. Fewer than three seeds give no interval.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats, which asks it, takes a second to import

from bnbench.analysis.load import config_columns, final, finished

MIN_SEEDS = 3
RATE = "optim.base_lr"
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
    """Compute `t(n-1, (1+level)/2) · s/√n` elementwise; NaN below `MIN_SEEDS` values."""
    numbers = np.asarray(n)
    quantiles = _quantiles(level, int(numbers.max(initial=0)) + 1)
    return quantiles[numbers] * std / np.sqrt(np.maximum(numbers, 1))


@cache
def _quantiles(level: float, size: int) -> np.ndarray:
    """Tabulate `t(n-1, (1+level)/2)` for n = 0 … size-1; NaN below `MIN_SEEDS`."""
    n = np.arange(size)
    return np.where(n < MIN_SEEDS, np.nan, stdtrit(np.maximum(n, 2) - 1, (1 + level) / 2))


def mean_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Compute the mean of the finite values with its t interval, s with ddof=1.

    >>> mean_interval([1.0, 2.0, 3.0]).n
    3
    """
    given = np.fromiter(values, float)
    finite = given[np.isfinite(given)]
    n = len(finite)
    with np.errstate(over="ignore"):  # losses of diverging nets may be near the largest float
        mean = float(finite.mean()) if n else np.nan
        half = float(half_width(finite.std(ddof=1), n, level)) if n >= MIN_SEEDS else np.nan
    return Interval(mean, mean - half, mean + half, n)


def interval_table(
    frame: pd.DataFrame, by: str, value: str, level: float = 0.95, is_geometric: bool = False
) -> pd.DataFrame:
    """Compute `mean_interval` of the column `value` in each group of `by`, the index of the result.

    With `is_geometric` the interval is computed on logarithms and transformed back: a geometric
    mean with positive bounds. Every value must then be positive.
    """
    finite = np.isfinite(frame[value].to_numpy())
    values = frame[value].to_numpy()[finite]
    values = np.log(values) if is_geometric else values
    keys, group = np.unique(frame[by].to_numpy()[finite], return_inverse=True)
    n = np.bincount(group)
    mean = np.bincount(group, values) / n
    with np.errstate(over="ignore"):
        squares = np.bincount(group, (values - mean[group]) ** 2)
    half = half_width(np.sqrt(squares / np.maximum(n - 1, 1)), n, level)
    columns = {"estimate": mean, "low": mean - half, "high": mean + half}
    columns = {key: np.exp(v) for key, v in columns.items()} if is_geometric else columns
    return pd.DataFrame(columns | {"n": n}, index=pd.Index(keys, name=by))


def paired_difference(treatment: pd.Series, baseline: pd.Series, level: float = 0.95) -> Interval:
    """Compute the mean of treatment - baseline over their common seeds (the index).

    A seed whose difference is not finite is left out; `n` counts the remaining pairs.
    """
    return mean_interval(treatment - baseline, level)  # pandas aligns them by seed


def arm_table(runs: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Summarise each arm with finished runs over its seeds: one row per arm, in order.

    A diverged run counts in `runs` and `diverged`, and its accuracy enters as measured; an accuracy
    that is not finite is left out of the interval, whose `n` is then smaller. A threshold that a
    run did not reach is censored: the median counts it as infinite and never drops it. A threshold
    that the arm does not watch is NaN.
    """
    ended = finished(runs)
    ended = ended.assign(accuracy=final(ended, ACCURACY))
    limits = {column: float(column.split("/")[1]) for column in thresholds(runs)}
    rows = []
    for arm, group in ended.groupby("arm", sort=False):
        row = {"arm": arm, "runs": len(group), "seconds": group["seconds"].median()}
        row["diverged"] = int((group["status"] == "diverged").sum())
        row["stuck"] = int(group["stuck"].sum())
        row["accuracy"] = mean_interval(group["accuracy"], level)
        if PRECISE in group:
            row["precise"] = mean_interval(group[PRECISE], level)
        asked = json.loads(group["train.thresholds"].iloc[0])
        for column, limit in limits.items():
            reached = group[column]
            row[column] = reached.fillna(np.inf).median() if limit in asked else np.nan
            row[f"{column} missed"] = int(reached.isna().sum())
        rows.append(row)
    return pd.DataFrame(rows)


def thresholds(runs: pd.DataFrame) -> list[str]:
    """List the columns `steps_to/<threshold>`."""
    return [column for column in map(str, runs) if column.startswith("steps_to/")]


def comparisons(
    runs: pd.DataFrame,
    baseline: Mapping[str, Any],
    found: Collection[str] = (),
    level: float = 0.95,
) -> pd.DataFrame:
    """Compare the final test accuracy of each arm with its baseline arm, in percentage points.

    The baseline arm has the given values and equals the treatment in every science column that
    the baseline does not free (`_free`). An arm without a baseline arm gets a row with n = 0.

    Args:
        runs: the runs to compare.
        baseline: column -> value.
        found: arms whose learning rate was found by tuning. When both arms have tuned rates, the
            rates may differ.
        level: of the intervals.

    Returns:
        treatment, baseline (arm ids), estimate, low, high, n (pairs of finite accuracies), pairs
        (seeds that both finished), treatment_diverged, baseline_diverged (runs).

    Raises:
        ValueError: the baseline names a column that there is not.
    """
    ended = finished(runs)
    pairs = pair_arms(ended, baseline, found=found)
    if ended.empty:
        return pd.DataFrame(columns=COMPARED)
    accuracy = ended.set_index("seed").groupby("arm", sort=False)[ACCURACY]
    accuracies = {arm: 100 * values for arm, values in accuracy}
    diverged = (ended["status"] == "diverged").groupby(ended["arm"]).sum()
    rows = []
    for treatment, other in pairs:
        if other is None:
            rows.append((treatment, None, np.nan, np.nan, np.nan, 0, 0, diverged[treatment], 0))
            continue
        mine, others = accuracies[treatment], accuracies[other]
        both = len(mine.index.intersection(others.index))
        difference = paired_difference(mine, others, level)
        rows.append((treatment, other, *difference, both, diverged[treatment], diverged[other]))
    return pd.DataFrame(rows, columns=COMPARED)


def pair_arms(
    runs: pd.DataFrame,
    baseline: Mapping[str, Any],
    treatment: Mapping[str, Any] | None = None,
    found: Collection[str] = (),
) -> list[tuple[str, str | None]]:
    """Pair each arm with the arms that have the settings of the baseline and are equal elsewhere.

    Args:
        runs: the runs of the arms, finished or not.
        baseline: column -> value; what it names may differ, and what depends on that (`_free`).
        treatment: column -> value, which the other arms have; None for all that are no baseline.
        found: as in `comparisons`.

    Returns:
        (treatment, baseline) by arm id; None for the baseline of an arm that has none.

    Raises:
        ValueError: a column that is named is not there.
    """
    config = config_columns(runs)
    named = {**baseline, **(treatment or {})}
    if unknown := sorted(set(named) - set(config)):
        allowed = ", ".join(config)
        raise ValueError(f"no column {unknown[0]!r} to compare by: expected one of {allowed}")
    arms = runs.drop_duplicates("arm").set_index("arm")
    if arms.empty:
        return []
    chosen = having(arms, baseline)
    others = ~chosen & having(arms, treatment or {})
    fixed = [column for column in config if not _free(column, named)]
    settings = arms.groupby(fixed, dropna=False).ngroup()
    but_rate = arms.groupby([c for c in fixed if c != RATE], dropna=False).ngroup()
    tuned = arms.index.isin(found)
    pairs: list[tuple[str, str | None]] = []
    for arm in map(str, settings.index[others]):
        equal = settings == settings[arm]
        if arm in found:
            equal |= tuned & (but_rate == but_rate[arm])
        same = settings.index[chosen & equal]
        pairs += [(arm, str(other)) for other in same] or [(arm, None)]
    return pairs


def having(arms: pd.DataFrame, settings: Mapping[str, Any]) -> pd.Series:
    """Find the rows that have the given values, column -> value."""
    rows = pd.Series(True, arms.index)
    for key, want in settings.items():
        rows &= _equals(arms[key], want)
    return rows


def _free(column: str, baseline: Mapping[str, Any]) -> bool:
    """Whether treatment and baseline may differ in `column`.

    A baseline that fixes `norm.name` or another name frees all keys of that group. A norm frees
    placement and policies too, which depend on it.
    """
    freed = {key.removesuffix("name") if key.endswith(".name") else key for key in baseline}
    if "norm.name" in baseline:
        freed |= {"placement", "train.policies", "train.test_batch", "train.prior"}
    return any(column == key or (key.endswith(".") and column.startswith(key)) for key in freed)


def _equals(column: pd.Series, want: Any) -> pd.Series:
    if isinstance(want, list):
        return column.astype(str).str.replace(" ", "") == json.dumps(want, separators=(",", ":"))
    return column == want
