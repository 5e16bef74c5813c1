"""Convergence curves: keys of metrics, steps of points, the step that crosses a threshold."""

from bisect import bisect_left
from collections.abc import Sequence
from enum import IntEnum
from statistics import median

SUBSET = 1000  # validation images that curves are drawn on; training images for exact statistics
TRAIN_SUBSET = 256  # training images that are evaluated
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


def scopes(points: Sequence[int], is_sparse: bool) -> dict[int, Scope]:
    """Assign a scope to each evaluation point; everything is evaluated at the last five.

    Args:
        points: the steps of a run after which it is evaluated.
        is_sparse: whether policies that measure images have curves of fewer points, the first at
            or after every power of four.

    >>> [scope.value for scope in scopes([1, 2, 3, 25, 50, 60, 70, 80, 90, 100], True).values()]
    [1, 0, 0, 1, 0, 2, 2, 2, 2, 2]
    """
    powers = [4**k for k in range(points[-1].bit_length()) if 4**k <= points[-1]]
    full = {points[bisect_left(points, power)] for power in powers} if is_sparse else set(points)
    found = {step: Scope.policies if step in full else Scope.curve for step in points}
    return found | dict.fromkeys(points[-LAST:], Scope.everything)


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
