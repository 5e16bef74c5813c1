"""Two arms, experiments or results folders side by side: `bn.compare`."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis.load import finished, settings_of
from bnbench.analysis.load import load as load_experiment
from bnbench.analysis.stats import Interval, paired_difference
from bnbench.api.results import (
    Results,
    escaped,
    experiment_folders,
    interval_cell,
    joined,
    latex_table,
    load,
)
from bnbench.api.running import TrainedRun
from bnbench.config.labels import arm_labels
from bnbench.config.quoting import typed_folder
from bnbench.tracking.experiment_dir import survey
from bnbench.tracking.shapes import ARM

COLUMNS = ("metric", "one", "other", "difference", "ci_low", "ci_high", "n", "verdict")
Side = str | os.PathLike[str] | Results | TrainedRun
BESIDE = {"steps", "samples", "parameters"}  # what a run has beside metrics and takes no time


class ComparisonTable(pd.DataFrame):
    """The table that `compare` makes, with `settings` that differ between the two sides."""

    settings: pd.DataFrame
    _metadata = ("settings",)

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


def compare(one: Side, other: Side, results: str | os.PathLike[str] = "results") -> ComparisonTable:
    """Compare two arms, experiments or results folders over the seeds that they share.

    Two arms are compared with each other; experiments and folders arm by arm, where both have it.

    Args:
        one: the id of an arm, the name of an experiment, the path of an experiment's folder
            (`results/experiments/placement/digits`) or of a results folder, or what `load`, `run`
            or `sweep` gave.
        other: likewise.
        results: the folder that ids and names are looked up in.

    Returns:
        One row per arm (the index, in words) and metric that both sides have. `one` and `other` are
        means over the shared seeds, `difference` is one minus other, `ci_low` and `ci_high` its
        95 % t interval (NaN below three seeds), `n` the pairs of finite numbers, in the metric's
        unit: accuracies are shares of 1. `verdict` says of side one: `higher` or `lower` where
        the interval is beyond zero, `equal` where all pairs are, `no difference shown`, or `too few
        seeds`. Intervals are not adjusted for their number. `.settings` has the settings that
        differ: `key`, `one`, `other`.

    Raises:
        ValueError: a side is not there, or they share no arm or no seed; one line.
    """
    sides = [_side(given, typed_folder(os.fspath(results))) for given in (one, other)]
    runs = [finished(side.runs) for side in sides]
    arms = [list(dict.fromkeys(own["arm"])) for own in runs]
    if len(arms[0]) == len(arms[1]) == 1:
        pairs = [(arms[0][0], arms[1][0])]
    else:
        pairs = [(arm, arm) for arm in arms[0] if arm in arms[1]]
    settings = [settings_of(own) for own in runs]
    if not pairs:
        numbers = " and ".join(f"{len(own)} finished arms" for own in arms)
        raise ValueError(
            f"no arm in common ({numbers}): expected two arms, or sides that share some"
        )
    first, second = settings
    labels = arm_labels({a: first[a] for a, _ in pairs} | {b: second[b] for _, b in pairs})
    rows, index = [], []
    for arm, beside in pairs:
        for row in _rows(runs[0][runs[0]["arm"] == arm], runs[1][runs[1]["arm"] == beside]):
            rows.append(row)
            index.append(" − ".join(dict.fromkeys((labels[arm], labels[beside]))))
    if not rows:
        raise ValueError("no seed in common: expected sides that share some")
    table = ComparisonTable(rows, columns=list(COLUMNS), index=pd.Index(index, name="arm"))
    table.settings = _settings(first[pairs[0][0]], second[pairs[0][1]])
    return table


def _side(given: Side, results: Path) -> Results:
    """Load one side of a comparison."""
    if isinstance(given, Results):
        return given
    if isinstance(given, TrainedRun):
        return _arm(given.path.parents[2], given.arm, given.seed)
    text = os.fspath(given)
    path = Path(text)
    if (path / "arms.csv").is_file() or (path / "runs.csv").is_file():
        return joined([load_experiment(path)])
    if (path / "runs").is_dir() or (path / "experiments").is_dir():
        return load(path)
    if ARM.fullmatch(text) and (results / "runs" / text).is_dir():
        return _arm(results, text)
    names = sorted({folder.parent.name for folder in survey(results)[0]})
    if text in names:
        return joined(map(load_experiment, experiment_folders(results, text)))
    known = f"an experiment there ({', '.join(names)})" if names else "an experiment there"
    raise ValueError(
        f"{text}: expected a results folder, an experiment's folder, an arm of {results} or {known}"
    )


def _arm(results: Path, arm: str, seed: int | None = None) -> Results:
    found = load(results)
    runs = found.runs[found.runs["arm"] == arm]
    if runs.empty:
        raise ValueError(f"{arm}: no finished run in {results}")
    return found.where(runs if seed is None else runs[runs["seed"] == seed])


def _rows(one: pd.DataFrame, other: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Compare two arms metric by metric over their common seeds."""
    left, right = one.set_index("seed"), other.set_index("seed")
    seeds = left.index.intersection(right.index)
    metrics = [key for key in map(str, left) if ("/" in key or key in BESIDE) and key in right]
    rows = []
    for metric in metrics if len(seeds) else ():
        a, b = (side.loc[seeds, metric].astype(float) for side in (left, right))
        shared = a.notna() & b.notna()
        if not shared.any():
            continue
        a, b = a[shared], b[shared]
        difference = paired_difference(a, b)
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


def _settings(one: dict[str, Any], other: dict[str, Any]) -> pd.DataFrame:
    """List the settings that differ between two arms."""
    keys = [*one, *(key for key in other if key not in one)]
    rows = [(key, one.get(key), other.get(key)) for key in keys]
    told = [row for row in rows if str(row[1]) != str(row[2])]
    return pd.DataFrame(told, columns=["key", "one", "other"])
