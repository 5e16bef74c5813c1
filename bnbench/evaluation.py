"""Evaluation of a net: when, on what, and with which population statistics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.norms.population import population


def evaluation_points(steps: int, evenly: int) -> list[int]:
    """The steps after which a run is evaluated, the last one among them.

    Every power of √2 up to 2 % of the run, where curves bend, then `evenly` equal intervals.

    >>> evaluation_points(100, 4)
    [1, 2, 25, 50, 75, 100]
    """
    early = (round(2 ** (k / 2)) for k in range(2 * steps.bit_length()))
    points = {step for step in early if step <= 0.02 * steps}
    return sorted(points | {max(1, round(k * steps / evenly)) for k in range(1, evenly + 1)})


def crossing(steps: Sequence[float], values: Sequence[float], threshold: float) -> float | None:
    """The step at which a curve first reaches a threshold; None where it never does.

    The curve is its running median of three (end points as they are), so that one lucky evaluation
    is not a crossing; between the last point below and the first at or above it is a line.

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


@contextmanager
def under(model: nn.Module, policy: str, reference: Sequence[Tensor]) -> Iterator[None]:
    """The net in evaluation mode, its BatchNorm layers with the statistics of a policy.

    Args:
        model: the net; it is left in the mode that it was in.
        policy: a population policy, or `none` for a net without population statistics.
        reference: batches of training images that the precise statistics are those of.
    """
    training = model.training
    model.eval()
    try:
        if policy == "none":
            yield
        else:
            with population(model, policy, reference):
                yield
    finally:
        model.train(training)


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, chunk: int
) -> dict[str, float]:
    """Mean cross-entropy in nats and share of right predictions, `chunk` images at a time.

    An image with a non-finite logit is predicted wrong: argmax would call it class 0.
    """
    loss, correct = 0.0, 0
    for x, y in zip(images.split(chunk), labels.split(chunk), strict=True):
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        right = (logits.argmax(1) == y) & logits.isfinite().all(1)
        correct += int(right.sum())
    return {"loss": loss / len(labels), "accuracy": correct / len(labels)}


def evaluate(
    model: nn.Module,
    splits: Mapping[str, tuple[Tensor, Tensor]],
    policies: Sequence[str],
    reference: Tensor,
    chunk: int,
) -> dict[tuple[str, str, str], float]:
    """Loss and accuracy on each split under each policy, keyed by (split[@policy], "", metric)."""
    point = {}
    for policy in policies:
        suffix = "" if policy in ("ema", "none") else f"@{policy}"
        with under(model, policy, reference.split(chunk)):
            for split, (images, labels) in splits.items():
                for metric, value in loss_and_accuracy(model, images, labels, chunk).items():
                    point[split + suffix, "", metric] = value
    return point
