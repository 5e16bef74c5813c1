"""The best arm of an experiment: chosen by validation accuracy, reported by test accuracy.

Choosing by test accuracy would pick the arm that is luckiest on the test images. The numbers come
from `stats.arm_table` and `stats.comparisons`, as in the report.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.load import ExperimentData, config_columns, final, finished, load_runs
from bnbench.analysis.stats import Interval, arm_table, comparisons
from bnbench.config.labels import arm_words, telling

VALIDATION = "val/accuracy"


@dataclass(frozen=True)
class Best:
    """The outcome of an experiment.

    Attributes:
        name: of the experiment.
        data: the data set.
        question: of the experiment; may be empty.
        num_arms: number of arms with a result.
        num_runs: number of runs of these arms.
        failed: number of runs that ended in an error.
        diverged: number of runs that diverged.
        stuck: number of runs that got stuck.
        arm: the best arm, in words.
        id: of the best arm.
        validation: mean final validation accuracy of the best arm, the highest of all arms.
        accuracy: final test accuracy of the best arm.
        against: the baseline that the experiment compares the best arm with, in words; None
            without a baseline.
        difference: best arm minus baseline, paired by seed, in percentage points.
    """

    name: str
    data: str
    question: str
    num_arms: int
    num_runs: int
    failed: int
    diverged: int
    stuck: int
    arm: str
    id: str
    validation: float
    accuracy: Interval
    against: str | None = None
    difference: Interval | None = None


def best_arm(folder: Path) -> Best | None:
    """Find the best arm of `results/experiments/<name>/<data>`; None where no arm has a result.

    Of equal arms the first counts. A run whose validation accuracy is not a number counts as 0, so
    that an arm does not gain by losing runs.

    Raises:
        ValueError: the experiment cannot be read; one line that names the file.
    """
    experiment = load_runs(folder)
    runs = experiment.reporting().runs
    ended = finished(runs)
    if ended.empty:
        return None
    table = arm_table(runs).set_index("arm")
    validation = final(ended, VALIDATION)
    validation = validation.where(validation.abs() < np.inf, 0.0)
    means = validation.groupby(ended["arm"], sort=False).mean()
    arm = str(means.idxmax())
    config = ended.drop_duplicates("arm").set_index("arm")[config_columns(runs)]
    settings: dict[str, Any] = {str(key): own.to_dict() for key, own in config.iterrows()}
    columns = telling(settings)
    other, difference = _compared(experiment, runs, arm)
    differs = [c for c in columns if other and str(settings[other][c]) != str(settings[arm][c])]
    return Best(
        experiment.name,
        experiment.data,
        experiment.info.get("question") or "",
        len(table),
        int(table["runs"].sum()),
        int((runs["status"] == "failed").sum()),
        *(int(table[column].sum()) for column in ("diverged", "stuck")),
        arm=arm_words(settings[arm], columns),
        id=arm,
        validation=float(means[arm]),
        accuracy=table["accuracy"][arm],
        against=arm_words(settings[other], differs) if other else None,
        difference=difference,
    )


def _compared(
    experiment: ExperimentData, runs: pd.DataFrame, arm: str
) -> tuple[str | None, Interval | None]:
    """Find the baseline of the first comparison whose treatment is `arm`, and the difference."""
    declared: list[dict[str, Any]] = (experiment.info.get("report") or {}).get("compare") or []
    for spec in declared:
        table = comparisons(runs, spec["baseline"], experiment.found)
        rows = table[(table["treatment"] == arm) & (table["n"] > 0)]
        for row in rows.to_dict("records"):
            numbers = (row[key] for key in ("estimate", "low", "high", "n"))
            return str(row["baseline"]), Interval(*numbers)
    return None, None
