"""Numbers of runs that are read from their curves: one number per run, by seed.

Accuracies are in percentage points. A net that has diverged can but guess: its accuracy counts as
that of a guess from there on, and is never missing.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from bnbench.analysis.stats import ACCURACY
from bnbench.claims.study import CURVE, GUESS, Study, StudyArm, mean_over_run
from bnbench.config.points import crossing, last_mean

POINTS = 100.0  # percentage points in a share of 1

# (study, arm, runs of the arm) -> a number of every run, by seed
OfRuns = Callable[[Study, StudyArm, pd.DataFrame], pd.Series]


def last_accuracy(key: str = ACCURACY) -> OfRuns:
    """Read the accuracy of runs: the mean of the last five evaluations (`points.last_mean`)."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        curves = study.curve_by_seed(arm, runs, key)
        return POINTS * pd.Series({s: last_mean(curves[s][1], GUESS) for s in runs.index})

    return number


def area(key: str = CURVE) -> OfRuns:
    """Read the mean of an accuracy over each run, to its last step (`points.restricted_mean`)."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        curves, budgets = study.curve_by_seed(arm, runs, key), runs["train.steps"]
        means = {s: mean_over_run(*curves[s], float(budgets[s])) for s in runs.index}
        return POINTS * pd.Series(means)

    return number


def generalisation_gap(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
    """Measure training accuracy minus test accuracy, each the mean of the last five evaluations."""
    train, test = (last_accuracy(key)(study, arm, runs) for key in ("train/accuracy", ACCURACY))
    return train - test


def crossings(
    study: Study, arm: StudyArm, runs: pd.DataFrame, key: str, threshold: float
) -> list[float | None]:
    """Find the steps at which runs reach a threshold (`points.crossing`); None where one misses."""
    curves = study.curve_by_seed(arm, runs, key)
    return [crossing(*curves[seed], threshold) for seed in runs.index]


def at_first_step(key: str) -> OfRuns:
    """Read a probe before the first step."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        points = study.curves(arm, runs, key)
        return points[points["step"] == 0].set_index("seed")["value"].reindex(runs.index)

    return number


def phase_mean(
    keys: Sequence[str],
    phase: tuple[float, float],
    *,
    median: bool = False,
    scale: float = 1.0,
    until: pd.Series | None = None,
) -> OfRuns:
    """Average curves over a phase of the run, (from, to] and with step 0 if the phase is from 0.

    Args:
        keys: the metrics, averaged at each step.
        phase: shares of the run.
        median: the median over the points of the phase instead of their mean.
        scale: a factor.
        until: the last step that counts, by seed; a seed without a point has no number.
    """

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        points = pd.concat([study.curves(arm, runs, key) for key in keys])
        budget, steps = runs["train.steps"].iloc[0], points["step"]
        first, last = phase
        inside = ((steps > first * budget) | (first == 0)) & (steps <= last * budget)
        if until is not None:
            inside &= steps <= points["seed"].map(until)
        by_step = points[inside].groupby(["seed", "step"])["value"].mean(skipna=False)
        by_seed = by_step.groupby("seed")
        means = by_seed.median(skipna=False) if median else by_seed.mean(skipna=False)
        return scale * means.reindex(runs.index)

    return number


def forgetting(
    tasks: int, policy: str = "", end_policy: str | None = None, *, from_best: bool = False
) -> OfRuns:
    """Read how much accuracy runs on tasks in a row lose on those before the last.

    The mean over tasks k < T of a(k, k) - a(T, k), the test accuracy on task k after task k minus
    that after the last: -BWT of Lopez-Paz & Ranzato 2017 (arXiv 1706.08840). A run that broke off
    has no number.

    Args:
        tasks: T.
        policy: population statistics, such as `@precise`; empty for the running ones.
        end_policy: those after the last task, if they are others.
        from_best: the largest a(l, k) of l < T in the place of a(k, k), as Chaudhry et al. 2018
            (arXiv 1801.10112) have it.
    """

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        losses = []
        for task in range(1, tasks):
            after = _after_tasks(study, arm, runs, tasks, task, policy)
            at_end = _after_tasks(study, arm, runs, tasks, task, end_policy or policy)[tasks]
            first = (
                after.drop(columns=tasks).max(axis=1, skipna=False) if from_best else after[task]
            )
            losses.append(first - at_end)
        return POINTS * sum(losses, pd.Series(0.0, runs.index)) / len(losses)

    return number


def right_after(tasks: int, policy: str = "") -> OfRuns:
    """Read the mean of the test accuracies on each task right after it was trained.

    Args:
        tasks: how many there are in a row.
        policy: as in `forgetting`.
    """

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        each = [
            _after_tasks(study, arm, runs, tasks, task, policy)[task]
            for task in range(1, tasks + 1)
        ]
        return POINTS * sum(each, pd.Series(0.0, runs.index)) / tasks

    return number


def _after_tasks(
    study: Study, arm: StudyArm, runs: pd.DataFrame, tasks: int, task: int, policy: str
) -> pd.DataFrame:
    """Read the test accuracy on one task after each task 1 to T, a row for each seed."""
    curves = study.curve_by_seed(arm, runs, f"test_task_{task}{policy}/accuracy")
    rows = {}
    for seed in runs.index:
        at, steps = dict(zip(*curves[seed], strict=True)), int(runs["train.steps"][seed])
        rows[seed] = {k: at.get(steps * k // tasks, math.nan) for k in range(1, tasks + 1)}
    return pd.DataFrame.from_dict(rows, orient="index")


def climb(key: str) -> OfRuns:
    """Add up all that a loss rises from one point of a run to the next, in nats.

    A loss that never rises has 0. Infinite where a loss is not finite, or a run has no second
    point.

    Args:
        key: the metric, such as `train@batch/loss`.
    """

    def of_loss(loss: np.ndarray) -> float:
        is_whole = len(loss) > 1 and np.isfinite(loss).all()
        return float(np.diff(loss).clip(min=0).sum()) if is_whole else math.inf

    return _of_losses(key, of_loss)


def jumps(key: str, factor: float) -> OfRuns:
    """Count the points at which a loss is above `factor` times that of the point before, in %.

    Of all points of a run but the first. One that is not finite counts, as does the one after it.
    """

    def of_loss(loss: np.ndarray) -> float:
        is_calm = loss[1:] <= factor * loss[:-1]  # False where either is not a number
        return POINTS * (1 - is_calm.mean()) if len(is_calm) else math.inf

    return _of_losses(key, of_loss)


def _of_losses(key: str, of_loss: Callable[[np.ndarray], float]) -> OfRuns:
    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        curves = study.curve_by_seed(arm, runs, key)
        return pd.Series({seed: of_loss(np.array(curves[seed][1])) for seed in runs.index})

    return number


def last_step_above(
    study: Study, arm: StudyArm, runs: pd.DataFrame, key: str, value: float
) -> pd.Series:
    """Find the last step up to which the curve of each run has never been below a value.

    -1 where its first point is below already, so that no step counts, not even step 0.
    """
    curves = study.curve_by_seed(arm, runs, key)
    last = {}
    for seed in runs.index:
        steps, values = curves[seed]
        num_above = int((np.array(values) >= value).cumprod().sum())  # NaN is not above
        last[seed] = steps[num_above - 1] if num_above else -1
    return pd.Series(last)
