"""Statistics of ranges: the rates or scales of weights at which a net trains, or trains well."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.claims.curves import GUESS, POINTS, last_accuracy
from bnbench.claims.records import Measure
from bnbench.claims.statistics import SideValues, compared, rows_of, side
from bnbench.claims.study import LackingError, Study, StudyArm


def fails(frame: pd.DataFrame) -> pd.Series:
    """Select the runs that did not train: diverged, or stuck at chance."""
    return (frame["status"] == "diverged") | frame["stuck"]


def rescued(treatment: StudyArm, baseline: StudyArm) -> Measure:
    """Measure 1 where the treatment trains and the baseline diverges or gets stuck, else 0."""

    def trains(study: Study, arm: StudyArm, runs: pd.DataFrame) -> pd.Series:
        return 1.0 - fails(runs)

    return compared(treatment, baseline, trains, compare=lambda a, b: a * (1 - b))


class Edge(NamedTuple):
    """The largest rate at which a net trains.

    Attributes:
        rate: the largest that trains while its neighbour above fails; or the end of the rates.
        arm: the id of the arm at that rate.
        bound: `at least` where the net trains at the largest rate that was tried, `at most` where
            it trains at none, which is known of the smallest; else empty.
    """

    rate: float
    arm: str
    bound: str


def edge(runs: pd.DataFrame, per_decade: int) -> Edge:
    """Find the largest stable rate of one seed from its runs at several rates.

    Args:
        runs: the runs, by growing rate.
        per_decade: places of the grid of rates; neighbours are one place apart.

    Raises:
        LackingError: no rate between one that trains and one that fails was tried.
    """
    trains = list(~fails(runs))
    rates, arms = list(runs["optim.lr"]), list(runs["arm"])
    if trains[-1]:
        return Edge(rates[-1], arms[-1], "at least")
    if not any(trains):
        return Edge(rates[0], arms[0], "at most")
    ends = [k for k, (here, above) in enumerate(pairwise(trains)) if here and not above]
    places = [round(per_decade * math.log10(rates[k + 1] / rates[k])) for k in ends]
    found = [k for k, number in zip(ends, places, strict=True) if number <= 1]
    if not found:
        k = ends[-1]
        raise LackingError(
            f"{arms[k]}: no rate between {rates[k]:g} and {rates[k + 1]:g} was tried"
        )
    return Edge(rates[found[-1]], arms[found[-1]], "")


def largest_stable_rate(treatment: StudyArm, baseline: StudyArm, per_decade: int = 8) -> Measure:
    """Measure the distance in decades between the largest stable rates of two arms.

    For each seed it is the largest rate at which the net trains while it fails one place further
    (`edge`), as bisection finds it. The distance is a multiple of a place. An arm that trains at
    the largest rate that was tried gives a lower bound, one that trains at none an upper bound.

    Args:
        treatment: one arm; its runs are read at every rate.
        baseline: the other.
        per_decade: places of the grid in a decade.
    """

    def measure(study: Study) -> pd.DataFrame:
        one, other = (
            pd.DataFrame(
                {seed: edge(runs, per_decade)._asdict() for seed, runs in side.groupby("seed")}
            ).T
            for side in study.at_every_rate([treatment, baseline])
        )
        # of a ratio an upper bound of the divisor is a lower one
        low = (one["bound"] == "at least") | (other["bound"] == "at most")
        high = (one["bound"] == "at most") | (other["bound"] == "at least")
        bound = np.select([low & high, low, high], ["none", "at least", "at most"], "")
        a, b = one["rate"].astype(float), other["rate"].astype(float)
        places = pd.Series(per_decade * np.log10(a / b), a.index).round()
        value = (places / per_decade).where(~(low & high))
        return rows_of(
            value, SideValues(a, one["arm"], a), SideValues(b, other["arm"], b), list(bound)
        )

    return measure


def good_range(treatment: StudyArm, baseline: StudyArm) -> Measure:
    """Measure the width of the good learning rates in decades, treatment minus baseline.

    On the tuning seeds: half a decade for each rate of an arm's grid whose validation accuracy, the
    mean of the last five evaluations, is within one percentage point of the best of that seed.
    """

    def width(study: Study, arm: StudyArm) -> SideValues:
        scores = study.scores(arm, "accuracy").fillna(GUESS)
        good = scores.ge(scores.max(axis=1) - 1 / POINTS, axis=0)
        return SideValues(0.5 * good.sum(axis=1), f"{scores.shape[1]} rates")

    def measure(study: Study) -> pd.DataFrame:
        one, other = width(study, treatment), width(study, baseline)
        return rows_of(pd.Series(one.value) - other.value, one, other)

    return measure


def decades_near_best(
    treatment: Mapping[float, StudyArm],
    baseline: Mapping[float, StudyArm],
    within: float = 1.0,
) -> Measure:
    """Measure the decades of a setting that cost next to nothing, treatment minus baseline.

    For each seed and side they are those at which the test accuracy, the mean of the last five
    evaluations, is at most `within` pp below the best of that seed and side (`width_near_best`).

    Args:
        treatment: the setting, such as a scale -> the arm that has it.
        baseline: the same of the other side.
        within: how far from the best is near.
    """

    def measure(study: Study) -> pd.DataFrame:
        arms = [*treatment.values(), *baseline.values()]
        frames = study.paired(arms)
        numbers = [last_accuracy()(study, *one) for one in zip(arms, frames, strict=True)]
        sides = []
        for settings, own, runs in (
            (treatment, numbers[: len(treatment)], frames[: len(treatment)]),
            (baseline, numbers[len(treatment) :], frames[len(treatment) :]),
        ):
            x = [math.log10(setting) for setting in settings]
            accuracies = pd.concat(own, axis=1).to_numpy().tolist()
            widths = [width_near_best(x, row, within) for row in accuracies]
            sides.append(side(pd.Series(widths, own[0].index, dtype=float), *runs))
        return rows_of(sides[0].value - sides[1].value, *sides)

    return measure


def width_near_best(x: Sequence[float], y: Sequence[float], within: float) -> float:
    """Compute the length of x on which y is at most `within` below its greatest value.

    Straight lines join the points, so that a point just above the limit and one just below it
    differ by next to nothing.

    >>> width_near_best([-1.0, 0.0, 1.0], [94.0, 98.0, 97.5], within=1.0)  # 1/4 and the whole 1
    1.25
    """
    limit, width = max(y) - within, 0.0
    for (x0, y0), (x1, y1) in pairwise(zip(x, y, strict=True)):
        low, high = min(y0, y1), max(y0, y1)
        if low >= limit:
            width += x1 - x0
        elif high > limit:
            width += (x1 - x0) * (high - limit) / (high - low)
    return width
