"""The statistics that claims are made of: each gives one number per seed, with its evidence.

A statistic is declared by the arms that it compares (`study.StudyArm`) and measures them in a
`Study`.
Accuracies are in percentage points; logarithms are natural.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.inference import log_steps
from bnbench.analysis.stats import ACCURACY
from bnbench.claims.records import Measure
from bnbench.claims.study import Study, StudyArm, arm_name
from bnbench.config.points import crossing
from bnbench.request.tuning import SCORE

CURVE = SCORE
POINTS = 100.0  # percentage points in a share of 1


# (study, arm, runs of the arm) -> a number of every run, by seed
OfRuns = Callable[[Study, StudyArm, pd.DataFrame], pd.Series]


def of_runs(arm: StudyArm, number: OfRuns) -> Measure:
    """Measure a number of one arm's runs."""

    def measure(study: Study) -> pd.DataFrame:
        (runs,) = study.paired([arm])
        value = number(study, arm, runs)
        return rows_of(value, treatment=value, treatment_arm=runs["arm"])

    return measure


def compared(
    treatment: StudyArm,
    baseline: StudyArm,
    number: OfRuns,
    baseline_number: OfRuns | None = None,
    *,
    at: StudyArm | None = None,
    compare: Callable[[pd.Series, pd.Series], pd.Series] = operator.sub,
) -> Measure:
    """Measure a number of the treatment's runs and one of the baseline's, compared seed by seed.

    Args:
        treatment: one arm.
        baseline: the other.
        number: of runs.
        baseline_number: that of the baseline, if it is another.
        at: the arm whose tuned rate both arms take, for a reading at a matched rate on the tuning
            seeds; None for each arm's own rate.
        compare: makes the value of both numbers; by default treatment minus baseline.
    """

    def measure(study: Study) -> pd.DataFrame:
        rate = study.rate(at) if at else None
        one, other = study.paired([treatment, baseline], rate)
        a, b = number(study, treatment, one), (baseline_number or number)(study, baseline, other)
        return rows_of(compare(a, b), a, b, one["arm"], other["arm"])

    return measure


def final_metric(key: str) -> OfRuns:
    """Read a final metric of runs, in pp."""
    return lambda study, arm, runs: POINTS * study.final(runs, key)


def level(arm: StudyArm, key: str = ACCURACY) -> Measure:
    """Measure a final metric of one arm."""
    return of_runs(arm, final_metric(key))


def gap(
    treatment: StudyArm,
    baseline: StudyArm,
    key: str = ACCURACY,
    *,
    baseline_key: str | None = None,
    at: StudyArm | None = None,
) -> Measure:
    """Measure the difference of a final metric, or of two, treatment minus baseline."""
    numbers = final_metric(key), final_metric(baseline_key or key)
    return compared(treatment, baseline, *numbers, at=at)


def contrast(terms: Sequence[tuple[float, StudyArm]], key: str = ACCURACY) -> Measure:
    """Measure Σ weight · final metric over several arms, such as a difference of differences.

    `treatment` is the sum over positive weights, `baseline` minus the sum over negative weights.
    """

    def measure(study: Study) -> pd.DataFrame:
        frames = study.paired([arm for _, arm in terms])
        sides = {sign: pd.Series(0.0, frames[0].index) for sign in (True, False)}
        arms: dict[bool, list[str]] = {True: [], False: []}
        for (weight, _), frame in zip(terms, frames, strict=True):
            sides[weight > 0] += abs(weight) * POINTS * study.final(frame, key)
            arms[weight > 0].append(arm_name(frame))
        a, b = sides[True], sides[False]
        return rows_of(a - b, a, b, "+".join(arms[True]), "+".join(arms[False]))

    return measure


def speedup(
    treatment: StudyArm,
    baseline: StudyArm,
    key: str = CURVE,
    *,
    share: float = 1.0,
    reference: StudyArm | None = None,
    at: StudyArm | None = None,
) -> Measure:
    """Measure ln(steps of the baseline / steps of the treatment) to a common accuracy.

    The accuracy is the final one of `reference`, by default the baseline; see `steps_contrast`.
    """
    terms = [(1.0, baseline), (-1.0, treatment)]
    return steps_contrast(terms, reference or baseline, key, share=share, at=at)


def steps_contrast(
    terms: Sequence[tuple[float, StudyArm]],
    reference: StudyArm,
    key: str = CURVE,
    *,
    share: float = 1.0,
    at: StudyArm | None = None,
) -> Measure:
    """Measure Σ weight · ln(steps to an accuracy) over several arms.

    The accuracy is the mean final validation accuracy of `reference`, at its rate on the tuning
    seeds, times `share`; these seeds report nothing. Steps are interpolated on the running median
    of three (`config.points.crossing`). An arm that does not reach the accuracy counts as reaching
    it at the end of the budget, and the value is a bound (`inference.log_steps`). `treatment` holds
    the steps of the last arm, `baseline` the steps of the first.

    Args:
        terms: weights and arms.
        reference: the arm whose accuracy is to be reached.
        key: the curve.
        share: of the accuracy.
        at: the arm whose tuned rate all arms take, for a reading at a matched rate on the tuning
            seeds; None for each arm's own rate.
    """

    def measure(study: Study) -> pd.DataFrame:
        tuning = study.runs(reference, study.rate(reference), tuning=True)
        threshold = share * tuning[CURVE].mean()
        rate = study.rate(at) if at else None
        frames = study.paired([arm for _, arm in terms], rate)
        budget = float(max(frame["train.steps"].max() for frame in frames))
        steps = [
            _crossings(study, arm, frame, key, threshold)
            for (_, arm), frame in zip(terms, frames, strict=True)
        ]
        result = log_steps([weight for weight, _ in terms], steps, budget)
        index = frames[0].index
        value, last, first = (
            pd.Series(side, index, dtype=float) for side in (result.values, steps[-1], steps[0])
        )
        return rows_of(value, last, first, frames[-1]["arm"], frames[0]["arm"], result.bounds)

    return measure


def _crossings(
    study: Study, arm: StudyArm, frame: pd.DataFrame, key: str, threshold: float
) -> list[float | None]:
    curves = dict(list(study.curves(arm, frame, key).groupby("seed")))
    return [
        crossing(list(curves[seed]["step"]), list(curves[seed]["value"]), threshold)
        for seed in frame.index
    ]


def fails(frame: pd.DataFrame) -> pd.Series:
    """Select the runs that did not train: diverged, or stuck at chance."""
    return (frame["status"] == "diverged") | frame["stuck"]


def rescued(treatment: StudyArm, baseline: StudyArm) -> Measure:
    """Measure 1 where the treatment trains and the baseline diverges or gets stuck, else 0."""

    def trains(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        return 1.0 - fails(runs)

    return compared(treatment, baseline, trains, compare=lambda a, b: a * (1 - b))


def largest_stable_rate(treatment: StudyArm, baseline: StudyArm, rates: Sequence[float]) -> Measure:
    """Measure the distance in decades between the largest stable rates of two arms.

    The largest stable rate is the last one of the grid below which every rate trains; a place in
    the grid is half a decade. An arm that trains at every rate gives a lower bound, one that
    trains at none an upper bound.
    """

    def measure(study: Study) -> pd.DataFrame:
        one, other = zip(
            *(study.paired([treatment.but(rate=r), baseline.but(rate=r)]) for r in rates),
            strict=True,
        )
        index = one[0].index
        a, b = (
            pd.Series(
                np.array([~fails(frame).to_numpy(bool) for frame in side])
                .cumprod(axis=0)
                .sum(axis=0),
                index,
            )
            for side in (one, other)
        )
        low = (a == len(rates)) | (b == 0)  # the value is a lower bound
        high = (b == len(rates)) | (a == 0)
        bound = np.select([low & high, low, high], ["none", "at least", "at most"], "")
        value = (0.5 * (a.clip(lower=1) - b.clip(lower=1))).where(~(low & high))
        largest, largest_of_other = (
            pd.Series([rates[max(k, 1) - 1] for k in side], index, dtype=float) for side in (a, b)
        )
        return rows_of(value, largest, largest_of_other, one[0]["arm"], other[0]["arm"], bound)

    return measure


def good_range(treatment: StudyArm, baseline: StudyArm) -> Measure:
    """Measure the width of the good learning rates in decades, treatment minus baseline.

    On the tuning seeds: half a decade for each rate of an arm's grid whose final validation
    accuracy is within one percentage point of the best of that seed.
    """

    def width(study: Study, arm: StudyArm) -> tuple[pd.Series, str]:
        grid = study.grid(arm)
        scores = grid.pivot(index="seed", columns="optim.lr", values=CURVE).fillna(0.0)
        good = scores.ge(scores.max(axis=1) - 1 / POINTS, axis=0)
        return 0.5 * good.sum(axis=1), f"{grid['arm'].nunique()} rates"

    def measure(study: Study) -> pd.DataFrame:
        (a, of_a), (b, of_b) = width(study, treatment), width(study, baseline)
        return rows_of(a - b, a, b, of_a, of_b)

    return measure


def slope(points: Sequence[tuple[float, StudyArm]], number: OfRuns) -> Measure:
    """Measure the least-squares slope of a number of each run over x, seed by seed."""

    def measure(study: Study) -> pd.DataFrame:
        frames = study.paired([arm for _, arm in points])
        pairs = zip(points, frames, strict=True)
        y = pd.DataFrame({x: number(study, arm, frame) for (x, arm), frame in pairs})
        x = np.array([x for x, _ in points])
        centred = x - x.mean()
        value = (y * centred).sum(axis=1, skipna=False) / (centred**2).sum()
        last, first = y.iloc[:, -1], y.iloc[:, 0]
        return rows_of(value, last, first, frames[-1]["arm"], frames[0]["arm"])

    return measure


def generalisation_gap(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
    """Measure training accuracy minus test accuracy, in pp."""
    return POINTS * (study.final(runs, "train/accuracy") - study.final(runs, ACCURACY))


def over_phase(
    treatment: StudyArm,
    baseline: StudyArm,
    keys: str | Sequence[str],
    phase: tuple[float, float] = (0.0, 1.0),
    *,
    log: bool = True,
    median: bool = False,
) -> Measure:
    """Compare a probe over a phase of the run: the log ratio of treatment to baseline, or the gap.

    Args:
        treatment: one arm.
        baseline: the other.
        keys: the metric, or several metrics to average, such as one per layer.
        phase: shares of the run, (from, to]; a phase from 0 includes step 0.
        log: the ratio's logarithm instead of the difference.
        median: the median over the points of the phase instead of their mean.
    """
    names = [keys] if isinstance(keys, str) else list(keys)

    def log_ratio(a: pd.Series, b: pd.Series) -> pd.Series:
        with np.errstate(divide="ignore", invalid="ignore"):
            return pd.Series(np.log(a / b), a.index)

    number, compare = phase_mean(names, phase, median), log_ratio if log else operator.sub
    return compared(treatment, baseline, number, compare=compare)


def phase_mean(
    keys: Sequence[str], phase: tuple[float, float], median: bool = False, scale: float = 1.0
) -> OfRuns:
    """Average curves over a phase of the run, (from, to] and with step 0 if the phase is from 0."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        points = pd.concat([study.curves(arm, runs, key) for key in keys])
        budget, steps = runs["train.steps"].iloc[0], points["step"]
        first, last = phase
        inside = ((steps > first * budget) | (first == 0)) & (steps <= last * budget)
        by_step = points[inside].groupby(["seed", "step"])["value"].mean(skipna=False)
        by_seed = by_step.groupby("seed")
        means = by_seed.median(skipna=False) if median else by_seed.mean(skipna=False)
        return scale * means.reindex(runs.index)

    return number


def curve_gap(arm: StudyArm, key: str, minus: str, phase: tuple[float, float]) -> Measure:
    """Measure the mean difference of two curves of the same runs over a phase, in pp."""
    numbers = (phase_mean([name], phase, scale=POINTS) for name in (key, minus))
    return compared(arm, arm, *numbers)


def at_start(arm: StudyArm, key: str) -> Measure:
    """Measure a probe before the first step."""

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        points = study.curves(arm, runs, key)
        return points[points["step"] == 0].set_index("seed")["value"].reindex(runs.index)

    return of_runs(arm, number)


def of_problem(name: str, value: Callable[[Mapping[str, float]], float]) -> Measure:
    """Measure a number of a problem without runs, from its quantities for each seed."""

    def measure(study: Study) -> pd.DataFrame:
        table = study.measured(name).pivot(index="seed", columns="quantity", values="value")
        records = ({str(q): v for q, v in row.items()} for row in table.to_dict("records"))
        values = pd.Series([value(record) for record in records], table.index, dtype=float)
        return rows_of(values, treatment=values, treatment_arm=name)

    return measure


def rows_of(
    value: pd.Series,
    treatment: pd.Series | float = math.nan,
    baseline: pd.Series | float = math.nan,
    treatment_arm: Any = "",
    baseline_arm: Any = "",
    bound: Any = "",
) -> pd.DataFrame:
    """Make the rows of a measure; the index of `value` holds the seeds, series share its order."""
    columns = {
        "seed": value.index,
        "value": value,
        "treatment": treatment,
        "baseline": baseline,
        "treatment_arm": treatment_arm,
        "baseline_arm": baseline_arm,
        "bound": bound,
    }
    plain = {k: v.to_numpy() if isinstance(v, pd.Series) else v for k, v in columns.items()}
    return pd.DataFrame(plain)
