"""Two arms, experiments or results folders side by side: `bn.compare`."""

import os
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.load import settings_of
from bnbench.analysis.replication import board_table
from bnbench.analysis.stats import Interval, mean_interval
from bnbench.analysis.verdicts import read_numbers
from bnbench.api.results import escaped, interval_cell, latex_table
from bnbench.api.sides import ComparedSide, Given, side
from bnbench.config.labels import arm_labels
from bnbench.config.quoting import typed_folder

COLUMNS = ("metric", "one", "other", "difference", "ci_low", "ci_high", "n", "verdict")
TWO = ("one", "other")
NO_PAIRS = pd.DataFrame({"arm": [], "other_arm": [], "seed": [], "equal": []})
BESIDE = {"steps", "samples", "parameters"}  # what a run has beside metrics and takes no time


class ComparisonTable(pd.DataFrame):
    """The table that `compare` makes, and what else is to be known of the two sides.

    Attributes:
        settings: the settings that differ between two arms: `key`, `one`, `other`.
        facts: how the runs came about: `fact` (`runs`, `commit`, `device`, versions), `one`,
            `other`; what is not known is empty.
        pairs: the shared runs: `arm`, `other_arm`, `seed`, and whether every metric is `equal`.
        alone: the arms that one side alone has: `side`, `arm`, `label`.
        claims: where both sides are results folders with scoreboards, the verdicts on both: `data`,
            and the columns of `bnbench.analysis.replication.board_table`.
    """

    settings: pd.DataFrame
    facts: pd.DataFrame
    pairs: pd.DataFrame
    alone: pd.DataFrame
    claims: pd.DataFrame
    _metadata = ["settings", "facts", "pairs", "alone", "claims"]  # noqa: RUF012 (pandas has a list)

    @property
    def _constructor(self) -> type["ComparisonTable"]:
        return ComparisonTable

    def to_latex(self, *args: Any, **options: Any) -> Any:
        """Write the table for a paper: both means, and the difference with its interval.

        With arguments it is that of `pandas.DataFrame`.
        """
        if args or options:
            return super().to_latex(*args, **options)
        rows = []
        for arm, row in zip(self.index, self.to_dict("records"), strict=True):
            bounds = (row["difference"], row["ci_low"], row["ci_high"], row["n"])
            names = (escaped(str(arm)), escaped(row["metric"]))
            means = (f"${row['one']:.4g}$", f"${row['other']:.4g}$")
            cells = (*names, *means, interval_cell(Interval(*bounds)), str(row["n"]))
            rows.append(" & ".join((*cells, row["verdict"])))
        return latex_table("llrrrrl", r"arm & metric & one & other & difference & $n$ &", rows)


def compare(
    one: Given,
    other: Given,
    results: str | os.PathLike[str] = "results",
    experiment: str | None = None,
    data: str | None = None,
) -> ComparisonTable:
    """Compare two arms, experiments or results folders over the seeds that they share.

    Two arms are compared with each other; experiments and folders arm by arm, where both have it.

    Args:
        one: the id of an arm or how it begins, the name of an experiment, the path of an
            experiment's folder (`results/experiments/placement/digits`) or of a results folder, or
            what `load`, `run` or `sweep` gave.
        other: likewise.
        results: the folder that ids and names are looked up in.
        experiment: compare only this one of two results folders.
        data: compare only what is on this data set.

    Returns:
        One row per arm (the index, in words) and metric that both sides have. `one` and `other` are
        means over the shared seeds, `difference` is one minus other, `ci_low` and `ci_high` its
        95 % t interval (NaN below three seeds), `n` the pairs of finite numbers, in the metric's
        unit: accuracies are shares of 1. `verdict` says of side one: `higher` or `lower` where
        the interval is beyond zero, `equal` where all pairs are, `no difference shown`, or `too few
        seeds`. Intervals are not adjusted for their number. `.settings`, `.facts`, `.pairs`,
        `.alone` and `.claims` tell more of the sides (see `ComparisonTable`). Two folders that
        share claims alone give no row.

    Raises:
        ValueError: a side is not there, or they share no arm, no seed or no metric; one line.
    """
    folder = typed_folder(os.fspath(results))
    left, right = (side(given, folder, experiment, data) for given in (one, other))
    claims = _claims(left, right, data) if experiment is None else pd.DataFrame()
    arms = [list(dict.fromkeys(map(str, own.runs["arm"]))) for own in (left, right)]
    pairs = [(arm, arm) for arm in arms[0] if arm in arms[1]]
    if len(arms[0]) == len(arms[1]) == 1:
        pairs = [(arms[0][0], arms[1][0])]
    first, second = (settings_of(own.runs) if len(own.runs) else {} for own in (left, right))
    labels = arm_labels(first | second)
    metrics = [k for k in map(str, left.runs) if ("/" in k or k in BESIDE) and k in right.runs]
    rows, index, shared = [], [], [NO_PAIRS]
    for arm, beside in pairs:
        paired = _paired(left.runs, right.runs, arm, beside)
        numbers = tuple(own[metrics].to_numpy(float) for own in paired)
        shared.append(_shared(*paired, *numbers).assign(arm=arm, other_arm=beside))
        for row in _rows(metrics, *numbers):
            rows.append(row)
            index.append(" − ".join(dict.fromkeys((labels[arm], labels[beside]))))
    seeds = pd.concat(shared[bool(pairs) :], ignore_index=True)
    if not rows and claims.empty:
        raise ValueError(_nothing(arms, bool(pairs), len(seeds)))
    table = ComparisonTable(rows, columns=list(COLUMNS), index=pd.Index(index, name="arm"))
    table.settings = _settings(*((first[a], second[b]) for a, b in pairs[:1]))
    table.facts = _facts(left, right, seeds)
    paired = {arm for pair in pairs for arm in pair}
    alone = [
        (word, arm, labels[arm])
        for word, own in zip(TWO, arms, strict=True)
        for arm in own
        if arm not in paired
    ]
    table.alone = pd.DataFrame(alone, columns=["side", "arm", "label"])
    table.pairs, table.claims = seeds[list(NO_PAIRS)], claims
    return table


def _nothing(arms: list[list[str]], has_pairs: bool, shared: int) -> str:
    if not has_pairs:
        numbers = " and ".join(f"{len(own)} finished arms" for own in arms)
        return f"no arm in common ({numbers}): expected two arms, or sides that share some"
    what = "metric" if shared else "seed"
    return f"no {what} in common: expected sides that share some"


def _paired(
    one: pd.DataFrame, other: pd.DataFrame, arm: str, beside: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select the runs of two arms with their common seeds, by seed."""
    left = one[one["arm"] == arm].set_index("seed")
    right = other[other["arm"] == beside].set_index("seed")
    seeds = left.index.intersection(right.index)
    return left.loc[seeds], right.loc[seeds]


def _shared(
    left: pd.DataFrame, right: pd.DataFrame, one: np.ndarray, other: np.ndarray
) -> pd.DataFrame:
    """List the seeds of two arms, and whether status and metrics of both runs are equal."""
    same = ((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)
    equal = same & (left["status"] == right["status"]).to_numpy()
    return pd.DataFrame({"seed": left.index, "equal": equal})


def _rows(metrics: list[str], one: np.ndarray, other: np.ndarray) -> list[tuple[Any, ...]]:
    """Compare the paired runs of two arms, a row of numbers each, metric by metric."""
    rows = []
    for metric, left, right in zip(metrics, one.T, other.T, strict=True):
        both = ~(np.isnan(left) | np.isnan(right))
        if not both.any():
            continue
        a, b = left[both], right[both]
        with np.errstate(invalid="ignore", over="ignore"):  # infinite losses of diverged runs
            difference = mean_interval(a - b)
            means = (float(a.mean()), float(b.mean()))
        rows.append((metric, *means, *difference, _verdict(difference, bool((a == b).all()))))
    return rows


def _verdict(difference: Interval, are_equal: bool) -> str:
    if are_equal:
        return "equal"
    if difference.low != difference.low:
        return "too few seeds"
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "no difference shown"


def _settings(*pair: tuple[dict[str, Any], dict[str, Any]]) -> pd.DataFrame:
    """List the settings that differ between the arms of a pair; those with one id have the same."""
    rows = [
        (key, one.get(key), other.get(key))
        for one, other in pair
        for key in dict.fromkeys([*one, *other])
    ]
    told = [row for row in rows if str(row[1]) != str(row[2])]
    return pd.DataFrame(told, columns=["key", *TWO])


def _facts(one: ComparedSide, other: ComparedSide, shared: pd.DataFrame) -> pd.DataFrame:
    """Tell how the shared runs of both sides came about; all runs of each are counted."""
    told = []
    for own, column in ((one, "arm"), (other, "other_arm")):
        runs = zip(shared[column], shared["seed"], strict=True)
        told.append({"runs": f"{len(own.runs):,}"} | own.facts(runs))
    rows = [
        (fact, *(own.get(fact, "") for own in told)) for fact in dict.fromkeys([*told[0], *told[1]])
    ]
    return pd.DataFrame(rows, columns=["fact", *TWO])


def _claims(one: ComparedSide, other: ComparedSide, data: str | None) -> pd.DataFrame:
    """Put the verdicts of both sides beside each other, on each data set that both have judged."""
    boards, there = one.boards(), other.boards()
    tables = [
        board_table(read_numbers(boards[name]), read_numbers(there[name])).assign(data=name)
        for name in boards
        if name in there and data in (None, name)
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
