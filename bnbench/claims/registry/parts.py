"""Arms and parts that many claims declare: how fast a net is, and how accurate."""

from collections.abc import Callable
from typing import Any, Literal

from bnbench.analysis.stats import ACCURACY
from bnbench.claims.records import Between, ClaimPart, Target
from bnbench.claims.statistics import contrast, gap, good_range, level, speedup
from bnbench.claims.study import StudyArm

STEPS = "steps of the net without BN / with BN"
STEPS_TO_END = f"{STEPS}, to the accuracy that the former ends at"
EQUAL = Between(-1.0, 1.0)


def arms_of(
    experiment: str, *columns: str, rate: Literal["tuned"] | float | None = "tuned"
) -> Callable[..., StudyArm]:
    """Make the function that takes values of columns to the arm of an experiment.

    >>> arms_of("claim_batch", "norm.name", "batch_size")("groupnorm", 16).where
    {'norm.name': 'groupnorm', 'batch_size': 16}
    """

    def arm(*values: object, rate: Literal["tuned"] | float | None = rate) -> StudyArm:
        return StudyArm(experiment, dict(zip(columns, values, strict=True)), rate)

    return arm


def pair(experiment: str, rate: Literal["tuned"] | float = "tuned") -> tuple[StudyArm, StudyArm]:
    """Name the arms of an experiment with BN and without norm."""
    arm = arms_of(experiment, "norm.name", rate=rate)
    return arm("batchnorm"), arm("none")


def faster(
    treatment: StudyArm,
    baseline: StudyArm,
    target: Target | None = None,
    *,
    statistic: str = STEPS_TO_END,
    interest: float | None = None,
    **options: Any,
) -> ClaimPart:
    """Declare how many times as fast the treatment is; `options` are those of `speedup`."""
    return ClaimPart(statistic, speedup(treatment, baseline, **options), target, "log", interest)


def more_accurate(
    treatment: StudyArm,
    baseline: StudyArm,
    target: Target | None = None,
    *,
    words: str = "",
    key: str = ACCURACY,
    interest: float | None = None,
    **options: Any,
) -> ClaimPart:
    """Declare test accuracy of treatment minus baseline, in pp; `options` are those of `gap`."""
    measure = gap(treatment, baseline, key, **options)
    return ClaimPart(_in_points(words), measure, target, interest=interest)


def gains_more(
    pair: tuple[StudyArm, StudyArm],
    other: tuple[StudyArm, StudyArm],
    target: Target | None = None,
    *,
    words: str = "",
    key: str = ACCURACY,
) -> ClaimPart:
    """Declare the gap of one pair of arms minus that of another, in pp of test accuracy."""
    terms = list(zip((1.0, -1.0, -1.0, 1.0), (*pair, *other), strict=True))
    return ClaimPart(_in_points(words), contrast(terms, key), target)


def _in_points(words: str) -> str:
    return f"test accuracy (pp), {words}" if words else "test accuracy (pp)"


def accuracy(
    arm: StudyArm, target: Target | None = None, interest: float | None = None
) -> ClaimPart:
    """Declare the test accuracy of an arm, in %."""
    return ClaimPart("test accuracy (%)", level(arm), target, interest=interest, null=None)


def good_rates(treatment: StudyArm, baseline: StudyArm) -> ClaimPart:
    """Declare how much wider the range of good learning rates is with BN."""
    statistic = "decades of rates within 1 pp of the best, with BN minus without"
    return ClaimPart(statistic, good_range(treatment, baseline))
