"""The statistics that claims are made of: each gives one number per seed, with its evidence.

A statistic is declared by the arms that it compares (`study.StudyArm`) and measures them in a
`Study`. An accuracy is the mean of a run's last five evaluations.
Accuracies are in percentage points; logarithms are natural.
"""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from statistics import linear_regression
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.analysis.inference import log_steps
from bnbench.analysis.stats import ACCURACY
from bnbench.claims.curves import (
    POINTS,
    OfRuns,
    area,
    at_first_step,
    crossings,
    last_accuracy,
    last_step_above,
    phase_mean,
)
from bnbench.claims.records import Measure
from bnbench.claims.study import CURVE, Study, StudyArm, arm_name


class SideValues(NamedTuple):
    """One side of a comparison, or all that is measured of one arm.

    Attributes:
        value: its numbers, by seed.
        arm: its id, or those of several arms.
        rate: its learning rates, by seed; NaN where there are none, or arms have different ones.
    """

    value: pd.Series | float = math.nan
    arm: pd.Series | str = ""
    rate: pd.Series | float = math.nan


def side(value: pd.Series, *frames: pd.DataFrame) -> SideValues:
    """Make the side whose numbers come from the runs of some arms with the same seeds."""
    rates = pd.concat([frame["optim.lr"] for frame in frames], axis=1)
    first = rates.iloc[:, 0]
    common = first.where(rates.eq(first, axis=0).all(axis=1))
    return SideValues(value, "+".join(map(arm_name, frames)), common)


NO_SIDE = SideValues()


def rows_of(
    value: pd.Series,
    treatment: SideValues,
    baseline: SideValues = NO_SIDE,
    bound: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Make the rows of a measure; the index of `value` holds the seeds, series share its order.

    A seed without a value, such as one whose net diverged before it could be probed, says nothing:
    its bound is `none`.
    """
    bounds = pd.Series(bound or [""] * len(value), value.index)
    columns = {
        "seed": value.index,
        "value": value,
        "treatment": treatment.value,
        "baseline": baseline.value,
        "treatment_arm": treatment.arm,
        "baseline_arm": baseline.arm,
        "treatment_rate": treatment.rate,
        "baseline_rate": baseline.rate,
        "bound": bounds.where(value.notna(), "none"),
    }
    plain = {k: v.to_numpy() if isinstance(v, pd.Series) else v for k, v in columns.items()}
    return pd.DataFrame(plain)


def of_runs(arm: StudyArm, number: OfRuns) -> Measure:
    """Measure a number of one arm's runs."""

    def measure(study: Study) -> pd.DataFrame:
        (runs,) = study.paired([arm])
        value = number(study, arm, runs)
        return rows_of(value, side(value, runs))

    return measure


def compared(
    treatment: StudyArm,
    baseline: StudyArm,
    number: OfRuns,
    baseline_number: OfRuns | None = None,
    *,
    at: StudyArm | None = None,
    tuning: bool = False,
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
        tuning: read the tuning runs, each arm's at its own rate.
        compare: makes the value of both numbers; by default treatment minus baseline.
    """

    def measure(study: Study) -> pd.DataFrame:
        rate = study.rate(at) if at else None
        one, other = study.paired([treatment, baseline], rate, tuning)
        a, b = number(study, treatment, one), (baseline_number or number)(study, baseline, other)
        return rows_of(compare(a, b), side(a, one), side(b, other))

    return measure


def combined(terms: Sequence[tuple[float, StudyArm]], number: OfRuns) -> Measure:
    """Measure Σ weight · number over several arms, such as a difference of differences.

    `treatment` is the sum over positive weights, `baseline` minus the sum over negative weights.
    """

    def measure(study: Study) -> pd.DataFrame:
        frames = study.paired([arm for _, arm in terms])
        sums = {sign: pd.Series(0.0, frames[0].index) for sign in (True, False)}
        of_side: dict[bool, list[pd.DataFrame]] = {True: [], False: []}
        for (weight, arm), frame in zip(terms, frames, strict=True):
            sums[weight > 0] += abs(weight) * number(study, arm, frame)
            of_side[weight > 0].append(frame)
        a, b = (side(sums[sign], *of_side[sign]) for sign in (True, False))
        return rows_of(sums[True] - sums[False], a, b)

    return measure


def spread_gap(
    treatment: StudyArm, baseline: StudyArm, number: OfRuns, share: float = 1.0
) -> Measure:
    """Measure how much less the seeds of the treatment differ than those of the baseline.

    The value of a seed is |a - median a| - share · |b - median b|, with the medians of all seeds of
    each arm: below 0 on average where the treatment's mean distance from its median is less than
    `share` of the baseline's. With it a t test is the test of Brown & Forsythe 1974 for pairs: it
    keeps its level where tails are heavy and values lie on a grid, unlike tests of the variances
    themselves (tests/claims/test_claims_spread.py).

    Args:
        treatment: one arm.
        baseline: the other.
        number: of runs.
        share: of the baseline's distances that counts.
    """

    def distance(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        values = number(study, arm, runs)
        return (values - values.median()).abs()

    return compared(treatment, baseline, distance, compare=lambda a, b: a - share * b)


def gain_by_loss(pairs: Sequence[tuple[StudyArm, StudyArm]], key: str = ACCURACY) -> Measure:
    """Measure how many points a treatment gains for each point that its baseline falls behind.

    It is, seed by seed, the least-squares slope of the gain, treatment minus baseline, over the
    loss: how far the baseline is behind the best one of all pairs, in the mean over the tuning
    seeds, at its rate. Were both taken from the same runs, the noise of the baseline would be in
    both and pull the slope towards 1 (Oldham 1962); these seeds share nothing. Where all lose alike
    there is no number. `treatment` is the gain of the pair with the greatest loss, `baseline` that
    of the pair with none.

    Args:
        pairs: (treatment, baseline) of each setting; at least two, that lose differently.
        key: the accuracy.
    """
    number = last_accuracy(key)

    def measure(study: Study) -> pd.DataFrame:
        tuned = [number(study, b, study.runs(b, tuning=True)).mean() for _, b in pairs]
        lost = [max(tuned) - mean for mean in tuned]
        frames = study.paired([arm for pair in pairs for arm in pair])
        gains = [
            number(study, one, own) - number(study, other, its)
            for (one, other), own, its in zip(pairs, frames[::2], frames[1::2], strict=True)
        ]
        slopes = {
            seed: linear_regression(lost, [float(gain[seed]) for gain in gains]).slope
            if max(lost) > 0
            else math.nan
            for seed in gains[0].index
        }
        worst, best = (lost.index(bound) for bound in (max(lost), min(lost)))
        at_worst, at_best = (
            side(gains[k], frames[2 * k], frames[2 * k + 1]) for k in (worst, best)
        )
        return rows_of(pd.Series(slopes, dtype=float), at_worst, at_best)

    return measure


def slope(points: Sequence[tuple[float, StudyArm]], number: OfRuns) -> Measure:
    """Measure the least-squares slope of a number of each run over x, seed by seed."""
    return _line(points, number, lambda x, y: linear_regression(x, y).slope)


def intercept(points: Sequence[tuple[float, StudyArm]], number: OfRuns) -> Measure:
    """Measure where the least-squares line of a number of each run over x meets x = 0."""
    return _line(points, number, lambda x, y: linear_regression(x, y).intercept)


def _line(
    points: Sequence[tuple[float, StudyArm]],
    number: OfRuns,
    value: Callable[[list[float], list[float]], float],
) -> Measure:
    """Measure something of the line through a number of each run over x, seed by seed."""

    def measure(study: Study) -> pd.DataFrame:
        frames = study.paired([arm for _, arm in points])
        arms = zip(points, frames, strict=True)
        y = pd.DataFrame({x: number(study, arm, frame) for (x, arm), frame in arms})
        x = [x for x, _ in points]
        found = pd.Series([value(x, row) for row in y.to_numpy().tolist()], y.index, dtype=float)
        last, first = side(y.iloc[:, -1], frames[-1]), side(y.iloc[:, 0], frames[0])
        return rows_of(found, last, first)

    return measure


# Accuracy


def level(arm: StudyArm, key: str = ACCURACY) -> Measure:
    """Measure an accuracy of one arm."""
    return of_runs(arm, last_accuracy(key))


def gap(
    treatment: StudyArm,
    baseline: StudyArm,
    key: str = ACCURACY,
    *,
    baseline_key: str | None = None,
    at: StudyArm | None = None,
    tuning: bool = False,
) -> Measure:
    """Measure the difference of an accuracy, or of two, treatment minus baseline.

    `at` and `tuning` are those of `compared`.
    """
    numbers = last_accuracy(key), last_accuracy(baseline_key or key)
    return compared(treatment, baseline, *numbers, at=at, tuning=tuning)


def contrast(terms: Sequence[tuple[float, StudyArm]], key: str = ACCURACY) -> Measure:
    """Measure Σ weight · accuracy over several arms; see `combined`."""
    return combined(terms, last_accuracy(key))


# Speed


def area_gap(
    treatment: StudyArm,
    baseline: StudyArm,
    key: str = CURVE,
    *,
    at: StudyArm | None = None,
    tuning: bool = False,
) -> Measure:
    """Measure the difference of the mean accuracy over the run, treatment minus baseline.

    It is the area between the two curves, divided by the budget, and has no threshold to choose.
    `at` and `tuning` are those of `compared`.
    """
    return compared(treatment, baseline, area(key), at=at, tuning=tuning)


def area_contrast(terms: Sequence[tuple[float, StudyArm]], key: str = CURVE) -> Measure:
    """Measure Σ weight · mean accuracy over the run over several arms; see `combined`."""
    return combined(terms, area(key))


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

    The accuracy is that at which the validation curves of `reference` end, the mean of their last
    five points, at its rate on the tuning seeds, times `share`; these seeds report nothing. Steps
    are interpolated on the running median of three (`config.points.crossing`). An arm that does not
    reach the accuracy counts as reaching it at the end of the budget, and the value is a bound
    (`inference.log_steps`). `treatment` holds the steps of the last arm, `baseline` the steps of
    the first.

    Args:
        terms: weights and arms.
        reference: the arm whose accuracy is to be reached.
        key: the curve.
        share: of the accuracy.
        at: the arm whose tuned rate all arms take, for a reading at a matched rate on the tuning
            seeds; None for each arm's own rate.
    """

    def measure(study: Study) -> pd.DataFrame:
        tuning = study.runs(reference, tuning=True)
        threshold = share * last_accuracy(CURVE)(study, reference, tuning).mean() / POINTS
        frames = study.paired([arm for _, arm in terms], study.rate(at) if at else None)
        budget = float(max(frame["train.steps"].max() for frame in frames))
        steps = [
            crossings(study, arm, frame, key, threshold)
            for (_, arm), frame in zip(terms, frames, strict=True)
        ]
        result = log_steps([weight for weight, _ in terms], steps, budget)
        index = frames[0].index
        value, last, first = (
            pd.Series(numbers, index, dtype=float)
            for numbers in (result.values, steps[-1], steps[0])
        )
        return rows_of(value, side(last, frames[-1]), side(first, frames[0]), result.bounds)

    return measure


# Probes and other curves


def over_phase(
    treatment: StudyArm,
    baseline: StudyArm,
    keys: str | Sequence[str],
    phase: tuple[float, float] = (0.0, 1.0),
    *,
    log: bool = True,
    median: bool = False,
    while_above: tuple[str, float] | None = None,
) -> Measure:
    """Compare a probe over a phase of the run: the log ratio of treatment to baseline, or the gap.

    Args:
        treatment: one arm.
        baseline: the other.
        keys: the metric, or several metrics to average, such as one per layer.
        phase: shares of the run, (from, to]; a phase from 0 includes step 0.
        log: the ratio's logarithm instead of the difference.
        median: the median over the points of the phase instead of their mean.
        while_above: (key, value): only the points at which that curve of the baseline's run with
            the same seed, such as its loss, has not yet been below the value. Where a net has
            fitted all its images a ratio to it is one to zero. A seed without a point says nothing.
    """
    names = [keys] if isinstance(keys, str) else list(keys)

    def measure(study: Study) -> pd.DataFrame:
        one, other = study.paired([treatment, baseline])
        until = last_step_above(study, baseline, other, *while_above) if while_above else None
        number = phase_mean(names, phase, median=median, until=until)
        a, b = number(study, treatment, one), number(study, baseline, other)
        return rows_of(log_ratio(a, b) if log else a - b, side(a, one), side(b, other))

    return measure


def log_ratio(a: pd.Series, b: pd.Series) -> pd.Series:
    """Take the logarithm of the ratios of two numbers, seed by seed."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return pd.Series(np.log(a / b), a.index)


def probe_ratio(
    arm: StudyArm,
    keys: Sequence[str],
    over: Sequence[str],
    phase: tuple[float, float] = (0.0, 1.0),
    over_phase: tuple[float, float] | None = None,
) -> Measure:
    """Measure the log ratio of two means of probes of the same runs, such as of two layers.

    Args:
        arm: the arm.
        keys: the metrics, averaged.
        over: those of the divisor, averaged.
        phase: shares of the run, (from, to]; (0, 0) is step 0.
        over_phase: that of the divisor, if it is another.
    """
    numbers = phase_mean(keys, phase), phase_mean(over, over_phase or phase)
    return compared(arm, arm, *numbers, compare=log_ratio)


def curve_gap(arm: StudyArm, key: str, minus: str, phase: tuple[float, float]) -> Measure:
    """Measure the mean difference of two curves of the same runs over a phase, in pp."""
    numbers = (phase_mean([name], phase, scale=POINTS) for name in (key, minus))
    return compared(arm, arm, *numbers)


def curve_contrast(
    arm: StudyArm, other: StudyArm, key: str, minus: str, phase: tuple[float, float]
) -> Measure:
    """Measure the mean difference of two curves of one arm minus that of another, in pp."""
    first, second = (phase_mean([name], phase, scale=POINTS) for name in (key, minus))

    def number(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        return first(study, arm, runs) - second(study, arm, runs)

    return compared(arm, other, number)


def at_start(arm: StudyArm, key: str) -> Measure:
    """Measure a probe before the first step."""
    return of_runs(arm, at_first_step(key))


# Problems without runs


def of_problem(name: str, value: Callable[[Mapping[str, float]], float]) -> Measure:
    """Measure a number of a problem without runs, from its quantities for each seed."""

    def measure(study: Study) -> pd.DataFrame:
        table = study.measured(name).pivot(index="seed", columns="quantity", values="value")
        records = ({str(q): v for q, v in row.items()} for row in table.to_dict("records"))
        values = pd.Series([value(record) for record in records], table.index, dtype=float)
        return rows_of(values, SideValues(values, name))

    return measure
