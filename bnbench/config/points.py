"""Convergence curves: keys of metrics, steps of points, and what a curve comes to."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise, takewhile
from statistics import fmean, median

SUBSET = 1000  # validation images that curves are drawn on; training images for exact statistics
TRAIN_SUBSET = 256  # training images that are evaluated
TEST_SUBSET = 500  # test images that probes at the end of a run measure accuracy on
CLEAN_POLICIES = ("ema", "none")  # the net as it is, with population statistics or without
LAST = 5  # evaluation points at the end of a run, whose mean tells its accuracy


def metric_key(split: str, metric: str, layer: str = "") -> str:
    """Join the names of a metric into its key, `split/metric` or `split/metric/layer`.

    >>> metric_key("val@precise", "accuracy"), metric_key("train@batch", "drift", "2")
    ('val@precise/accuracy', 'train@batch/drift/2')
    """
    return "/".join(filter(None, (split, metric, layer)))


def split_key(key: str) -> tuple[str, str, str]:
    """Split the key of a metric into split, metric and layer, empty where it has none.

    >>> split_key("val@precise/accuracy"), split_key("train@batch/drift/2")
    (('val@precise', 'accuracy', ''), ('train@batch', 'drift', '2'))
    """
    split, metric, layer = (*key.split("/", 2), "", "")[:3]
    return split, metric, layer


def shift_key(shift: str, severity: int, policy: str, metric: str) -> str:
    """Join the names of a number of shifts.csv into its key in tables and W&B.

    >>> shift_key("blur", 3, "ema", "accuracy"), shift_key("blur", 3, "precise", "loss")
    ('shift/accuracy/blur-3', 'shift@precise/loss/blur-3')
    """
    split = "shift" if policy in CLEAN_POLICIES else f"shift@{policy}"
    return metric_key(split, metric, f"{shift}-{severity}")


def evaluation_points(steps: int, evenly: int) -> list[int]:
    """List the steps after which a run is evaluated, the last step included.

    Every power of √2 up to 2 % of the run, where curves bend, then `evenly` equal intervals.

    >>> evaluation_points(100, 4)
    [1, 2, 25, 50, 75, 100]
    """
    early = (round(2 ** (k / 2)) for k in range(2 * steps.bit_length()))
    points = {step for step in early if step <= 0.02 * steps}
    return sorted(points | {max(1, round(k * steps / evenly)) for k in range(1, evenly + 1)})


class Scope(IntEnum):
    """How much is evaluated at an evaluation point; each includes the one before it."""

    curve = 0  # the validation images of curves, under the policies that pass over nothing else
    policies = 1  # also training images, and every policy
    everything = 2  # also all validation and all test images


def scopes(points: Sequence[int], is_sparse: bool, tasks: int = 1) -> dict[int, Scope]:
    """Assign a scope to each evaluation point; everything is evaluated at the last five.

    Args:
        points: the steps of a run after which it is evaluated.
        is_sparse: whether policies that measure images have curves of fewer points, the first at
            or after every power of four.
        tasks: how many are trained on in a row; everything is evaluated at the end of each.

    >>> [scope.value for scope in scopes([1, 2, 3, 25, 50, 60, 70, 80, 90, 100], True).values()]
    [1, 0, 0, 1, 0, 2, 2, 2, 2, 2]
    >>> scopes([1, 2, 3, 25, 50, 60, 70, 80, 90, 100], True, tasks=2)[50].value
    2
    """
    powers = [4**k for k in range(points[-1].bit_length()) if 4**k <= points[-1]]
    full = {points[bisect_left(points, power)] for power in powers} if is_sparse else set(points)
    found = {step: Scope.policies if step in full else Scope.curve for step in points}
    whole = {step for step in points if step * tasks % points[-1] == 0}  # a task ends there
    return found | dict.fromkeys(sorted(whole | {*points[-LAST:]}), Scope.everything)


def crossing(steps: Sequence[float], values: Sequence[float], threshold: float) -> float | None:
    """Find the step at which a curve first reaches a threshold; None for one that never does.

    The running median of three smooths the curve (end points stay), so that one lucky evaluation is
    no crossing. The step is interpolated linearly between the last point below the threshold and
    the first at or above it.

    >>> crossing([10, 20, 30], [0.1, 0.5, 0.9], 0.7)
    25.0
    """
    inner = (median(values[k - 1 : k + 2]) for k in range(1, len(values) - 1))
    smooth = [*values[:1], *inner, *values[1:][-1:]]
    for k, value in enumerate(smooth):
        if value >= threshold:
            if k == 0:
                return float(steps[0])
            share = (threshold - smooth[k - 1]) / (value - smooth[k - 1])
            return steps[k - 1] + share * (steps[k] - steps[k - 1])
    return None


def restricted_mean(
    steps: Sequence[float], values: Sequence[float], budget: float, guess: float
) -> float:
    """Average a curve over a budget of steps: the area under it, divided by the budget.

    Of accuracies, 1 minus this average is the share of the budget that it takes to reach an
    accuracy, restricted to the budget (as a restricted mean survival time is) and averaged over all
    accuracies from 0 to 1. Straight lines join the points; before its first point a curve has its
    first value. A net that has diverged can but guess: from the last number of a curve that breaks
    off before the budget, or goes on without numbers, `guess` is taken.

    >>> restricted_mean([10, 20, 40], [0.2, 0.6, 0.8], 40, 0.1)  # (10·0.2 + 10·0.4 + 20·0.7)/40
    0.5
    >>> restricted_mean([10, 20], [0.2, math.nan], 40, 0.1)  # (10·0.2 + 30·0.1)/40
    0.125

    Raises:
        ValueError: there are no points, a step is beyond the budget, or steps do not grow.
    """
    if not steps or not all(a < b for a, b in pairwise([0, *steps])) or steps[-1] > budget:
        raise ValueError(f"steps {list(steps)}: expected growing ones of (0, {budget}]")
    known = list(takewhile(lambda point: math.isfinite(point[1]), zip(steps, values, strict=True)))
    if not known:
        return guess
    curve = [(0, known[0][1]), *known]
    area = sum((b - a) * (v + w) / 2 for (a, v), (b, w) in pairwise(curve))
    return (area + (budget - curve[-1][0]) * guess) / budget


def last_mean(values: Sequence[float], guess: float) -> float:
    """Average the last five values of a curve: the accuracy of a run whose rate has decayed.

    A run that diverged has fewer, or such as are no numbers: each of these counts as `guess`.

    >>> round(last_mean([0.1, 0.5, 0.6, 0.6, 0.6, 0.7], 0.1), 9)
    0.6
    """
    last = [value if math.isfinite(value) else guess for value in values[-LAST:]]
    return fmean([*last, *[guess] * (LAST - len(last))])
