"""Statistics of learning rates: at which of them a net trains, and at which it trains well."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from bnbench.claims.curves import GUESS, POINTS
from bnbench.claims.records import Measure
from bnbench.claims.statistics import SideValues, compared, rows_of
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
