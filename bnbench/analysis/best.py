"""The best arm of an experiment: chosen by validation accuracy, reported by test accuracy.

Choosing by test accuracy would pick the arm that is luckiest on the test images. The numbers come
from `stats.arm_table` and `stats.comparisons`, as in the report.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.load import ExperimentData, final, finished, settings_of
from bnbench.analysis.stats import Interval, arm_table, comparisons
from bnbench.config.labels import arm_words, telling

VALIDATION = "val/accuracy"


@dataclass(frozen=True)
class Best:
    """The best arm of an experiment.

    Attributes:
        arm: in words.
        id: of the arm.
        validation: mean final validation accuracy, the highest of all arms.
        accuracy: final test accuracy.
        against: the baseline that the experiment compares the arm with, in words; None without one.
        difference: the arm minus its baseline, paired by seed, in percentage points.
    """

    arm: str
    id: str
    validation: float
    accuracy: Interval
    against: str | None = None
    difference: Interval | None = None


def best_arm(experiment: ExperimentData) -> Best:
    """Find the best arm among those with a result, of which there must be one.

    Of equal arms the first counts. A run whose validation accuracy is not a number counts as 0, so
    that an arm does not gain by losing runs.
    """
    runs = experiment.reporting().runs
    ended = finished(runs)
    means = mean_validation(ended)
    arm = str(means.idxmax())
    settings = settings_of(ended)
    columns = telling(settings)
    other, difference = _compared(experiment, runs, arm)
    differs = [c for c in columns if other and str(settings[other][c]) != str(settings[arm][c])]
    return Best(
        arm_words(settings[arm], columns),
        arm,
        float(means[arm]),
        arm_table(runs).set_index("arm")["accuracy"][arm],
        arm_words(settings[other], differs) if other else None,
        difference,
    )


def mean_validation(ended: pd.DataFrame) -> pd.Series:
    """Compute the mean final validation accuracy of each arm over its finished runs.

    A run without such a number counts as 0.
    """
    validation = final(ended, VALIDATION)
    validation = validation.where(validation.abs() < np.inf, 0.0)
    return validation.groupby(ended["arm"], sort=False).mean()


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
