"""Arms and parts that many claims declare: how fast a net is, and how accurate."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from bnbench.analysis.stats import ACCURACY
from bnbench.claims.records import Above, Below, Between, ClaimPart, Measure, Sizing, Target
from bnbench.claims.stability import good_range
from bnbench.claims.statistics import area_contrast, area_gap, contrast, gap, level, speedup
from bnbench.claims.study import CURVE, StudyArm

STEPS = "steps of the net without BN / with BN"
STEPS_TO_END = f"{STEPS}, to the accuracy that the former ends at"
EQUAL = Between(-1.0, 1.0)
AS_GOOD_BY = 1.0  # pp that one may be behind and still be as good
LADDER = (0.7, 0.8, 0.85, 0.9, 0.95)  # shares of the accuracy that the baseline ends at
RUNGS = (0.8, 0.9, 0.95)  # of them, those that might have been chosen in the place of the area
WORTH_A_LOOK = math.log(1.2)  # of ratios whose bound is 1

Rate = Literal["tuned"] | StudyArm | float | None


def arms_of(experiment: str, *columns: str, rate: Rate = "tuned") -> Callable[..., StudyArm]:
    """Make the function that takes values of columns to the arm of an experiment.

    >>> arms_of("claim_batch", "norm.name", "batch_size")("groupnorm", 16).where
    {'norm.name': 'groupnorm', 'batch_size': 16}
    """

    def arm(*values: object, rate: Rate = rate) -> StudyArm:
        return StudyArm(experiment, dict(zip(columns, values, strict=True)), rate)

    return arm


def pair(experiment: str, rate: Rate = "tuned") -> tuple[StudyArm, StudyArm]:
    """Name the arms of an experiment with BN and without norm."""
    arm = arms_of(experiment, "norm.name", rate=rate)
    return arm("batchnorm"), arm("none")


def as_good(margin: float = AS_GOOD_BY) -> Above:
    """Declare non-inferiority: at most `margin` worse, whether better or not.

    >>> as_good(0.5)
    Above(low=-0.5)
    """
    return Above(-margin)


# Speed


def learns_faster(
    treatment: StudyArm,
    baseline: StudyArm,
    target: Target | None = None,
    *,
    words: str = "",
    key: str = CURVE,
    at: StudyArm | None = None,
    reference: StudyArm | None = None,
    interest: float | None = None,
    sizing: Sizing | None = None,
    ratio: Target | None = None,
) -> ClaimPart:
    """Declare the mean validation accuracy over the run, treatment minus baseline, in pp.

    Its other choices: steps to a threshold, and the treatment at the rates beside its tuned one.

    Args:
        treatment: one arm.
        baseline: the other; thresholds are shares of the accuracy that it ends at.
        target: of the difference; None for a reading.
        words: what is compared.
        key: the curve.
        at: see `statistics.compared`.
        reference: the arm whose end thresholds are shares of; by default the baseline.
        interest: the smallest difference of interest.
        sizing: the number of seeds.
        ratio: the target of ln(steps of the baseline / of the treatment) to a threshold; by default
            above or below 0, where the target of the difference is beyond 0. Without one no
            threshold is another choice.
    """
    part = ClaimPart(
        _named("mean validation accuracy over the run (pp)", words),
        area_gap(treatment, baseline, key, at=at),
        target,
        interest=interest,
        sizing=sizing,
    )
    if target is None:
        return part
    ratio = ratio or _same_side(target)
    thresholds = {} if ratio is None else {
        f"threshold {share:g}": faster(
            treatment,
            baseline,
            ratio,
            statistic=f"steps of the baseline / of the treatment, to {share:g} of its end",
            interest=WORTH_A_LOOK,
            key=key,
            share=share,
            reference=reference,
        )
        for share in RUNGS
    }  # fmt: skip
    rates = _other_rates(part, treatment, baseline, lambda a, b: area_gap(a, b, key, tuning=True))
    return replace(part, choices={**thresholds, **rates})


def ladder(
    treatment: StudyArm, baseline: StudyArm, words: str = "", **options: Any
) -> dict[str, ClaimPart]:
    """Declare readings: how many times as fast the treatment is to each rung of a ladder.

    Args:
        treatment: one arm.
        baseline: the other; the rungs are shares of the accuracy that it ends at.
        words: what is compared, at the beginning of each name.
        options: those of `faster`.
    """
    return {
        f"{words + ', ' if words else ''}speed to {share:g} of that accuracy": faster(
            treatment, baseline, share=share, **{"statistic": STEPS, **options}
        )
        for share in LADDER
    }


def faster(
    treatment: StudyArm,
    baseline: StudyArm,
    target: Target | None = None,
    *,
    statistic: str = STEPS_TO_END,
    interest: float | None = None,
    sizing: Sizing | None = None,
    **options: Any,
) -> ClaimPart:
    """Declare how many times as fast the treatment is; `options` are those of `speedup`."""
    measure = speedup(treatment, baseline, **options)
    return ClaimPart(statistic, measure, target, "log", interest, sizing=sizing)


def gains_more_speed(
    pair: tuple[StudyArm, StudyArm],
    other: tuple[StudyArm, StudyArm],
    target: Target | None = None,
    *,
    words: str = "",
    key: str = CURVE,
    interest: float | None = None,
    sizing: Sizing | None = None,
) -> ClaimPart:
    """Declare the gain of one pair of arms minus that of another, in mean accuracy over the run."""
    statistic = _named("mean validation accuracy over the run (pp)", words)
    measure = area_contrast(_difference_of_gaps(pair, other), key)
    return ClaimPart(statistic, measure, target, interest=interest, sizing=sizing)


# Accuracy


def more_accurate(
    treatment: StudyArm,
    baseline: StudyArm,
    target: Target | None = None,
    *,
    words: str = "",
    key: str = ACCURACY,
    interest: float | None = None,
    sizing: Sizing | None = None,
    **options: Any,
) -> ClaimPart:
    """Declare test accuracy of treatment minus baseline, in pp; `options` are those of `gap`.

    Where both arms are tuned, its other choices are the rates beside that of the treatment.
    """
    measure = gap(treatment, baseline, key, **options)
    named = _named("test accuracy (pp)", words)
    part = ClaimPart(named, measure, target, interest=interest, sizing=sizing)
    if target is None:
        return part
    options = {name: value for name, value in options.items() if name not in ("at", "tuning")}
    return replace(
        part,
        choices=_other_rates(
            part, treatment, baseline, lambda a, b: gap(a, b, key, **options, tuning=True)
        ),
    )


def gains_more(
    pair: tuple[StudyArm, StudyArm],
    other: tuple[StudyArm, StudyArm],
    target: Target | None = None,
    *,
    words: str = "",
    key: str = ACCURACY,
    interest: float | None = None,
    sizing: Sizing | None = None,
) -> ClaimPart:
    """Declare the gap of one pair of arms minus that of another, in pp of test accuracy."""
    measure = contrast(_difference_of_gaps(pair, other), key)
    named = _named("test accuracy (pp)", words)
    return ClaimPart(named, measure, target, interest=interest, sizing=sizing)


def accuracy(
    arm: StudyArm,
    target: Target | None = None,
    interest: float | None = None,
    sizing: Sizing | None = None,
) -> ClaimPart:
    """Declare the test accuracy of an arm, in %."""
    named, measure = "test accuracy (%)", level(arm)
    return ClaimPart(named, measure, target, interest=interest, null=None, sizing=sizing)


def good_rates(treatment: StudyArm, baseline: StudyArm) -> ClaimPart:
    """Declare how much wider the range of good learning rates is with BN."""
    statistic = "decades of rates within 1 pp of the best, with BN minus without"
    return ClaimPart(statistic, good_range(treatment, baseline))


def _named(statistic: str, words: str) -> str:
    return f"{statistic}, {words}" if words else statistic


def _difference_of_gaps(
    pair: tuple[StudyArm, StudyArm], other: tuple[StudyArm, StudyArm]
) -> list[tuple[float, StudyArm]]:
    return list(zip((1.0, -1.0, -1.0, 1.0), (*pair, *other), strict=True))


def _same_side(target: Target) -> Target | None:
    """The target that a logarithm of a ratio lies on the side of 0 that a difference lies on."""
    match target:
        case Above(low) if low >= 0:
            return Above(0.0)
        case Below(high) if high <= 0:
            return Below(0.0)
    return None


def _other_rates(
    part: ClaimPart,
    treatment: StudyArm,
    baseline: StudyArm,
    measure: Callable[[StudyArm, StudyArm], Measure],
) -> Mapping[str, ClaimPart]:
    """Declare a part with the treatment at the rates beside its tuned one, on the tuning seeds."""
    if not (treatment.is_tuned and baseline.is_tuned):
        return {}
    return {
        "rate below": replace(
            part, measure=measure(treatment.beside("below"), baseline), sizing=None
        ),
        "rate above": replace(
            part, measure=measure(treatment.beside("above"), baseline), sizing=None
        ),
    }
