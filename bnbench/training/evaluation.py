"""Evaluation of a net: on what, and with which population statistics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.config.schema import BY_TEST_BATCH, BY_TEST_SET, Policy
from bnbench.norms.population import population
from bnbench.norms.recalibration import recalibrated


@dataclass(frozen=True)
class StatisticsSource:
    """What population statistics are drawn from, beside the images that are evaluated.

    Attributes:
        reference: the training images whose statistics cumulative, algorithm2, precise and
            recalibrated take.
        train_batch: the size of the batches that the first two of them average over.
        test_batch: how many images batch and blend see at once.
        prior: how many images blend counts the running statistics as.
        chunk: images per forward pass where that matters to nothing but speed.
        at_once: images that fit into one pass, which is what exact statistics are fastest with.
    """

    reference: Tensor
    train_batch: int
    test_batch: int
    prior: float
    chunk: int
    at_once: int

    def data(self, policy: str, images: Tensor) -> Sequence[Tensor] | None:
        """The batches that a policy measures to evaluate `images`."""
        size = min(self.train_batch, len(self.reference))
        match policy:
            case Policy.cumulative:
                return self.reference.split(batch_sizes(len(self.reference), size))
            case Policy.algorithm2:
                return self.reference[: len(self.reference) // size * size].split(size)
            case Policy.precise:
                return self.reference.split(self.at_once)
            case Policy.adabn:
                return images.split(self.at_once)
        return None

    def size(self, policy: str) -> int:
        """How many images a policy evaluates at once."""
        return self.test_batch if policy in BY_TEST_BATCH else self.chunk


def batch_sizes(total: int, size: int) -> list[int]:
    """Batches of one size and what is left, but for one image, which has no variance of its own.

    >>> batch_sizes(10, 4), batch_sizes(9, 4)
    ([4, 4, 2], [4, 5])
    """
    sizes = [size] * (total // size) + [total % size] * (total % size > 0)
    if size > 1 and sizes[-1] == 1 < len(sizes):
        sizes[-2:] = [size + 1]
    return sizes


@contextmanager
def evaluating_with(
    model: nn.Module, policy: str, source: StatisticsSource, images: Tensor
) -> Iterator[None]:
    """Hold the net in evaluation mode, its layers with the statistics of a policy.

    Args:
        model: the net; it is left in the mode that it was in.
        policy: a population policy; for a net without population statistics `none` or
            `recalibrated`.
        source: what the statistics are drawn from.
        images: those to be evaluated, which adabn and recalibrated draw on.
    """
    training = model.training
    model.eval()
    match policy:
        case "none":
            statistics = nullcontext()
        case Policy.recalibrated:
            reference, evaluated = (x.split(source.at_once) for x in (source.reference, images))
            statistics = recalibrated(model, reference, evaluated)
        case _:
            statistics = population(model, policy, source.data(policy, images), prior=source.prior)
    try:
        with statistics:
            yield
    finally:
        model.train(training)


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, size: int
) -> dict[str, float]:
    """Mean cross-entropy in nats and share of right predictions, `size` images at a time.

    An image with a non-finite logit is predicted wrong: argmax would call it class 0.
    """
    loss, correct = 0.0, 0
    sizes = batch_sizes(len(labels), size)
    for x, y in zip(images.split(sizes), labels.split(sizes), strict=True):
        logits = model(x)
        loss += F.cross_entropy(logits, y, reduction="sum").item()
        right = (logits.argmax(1) == y) & logits.isfinite().all(1)
        correct += int(right.sum())
    return {"loss": loss / len(labels), "accuracy": correct / len(labels)}


def evaluate(
    model: nn.Module,
    splits: Mapping[str, tuple[Tensor, Tensor]],
    policies: Sequence[str],
    source: StatisticsSource,
) -> dict[tuple[str, str, str], float]:
    """Loss and accuracy on each split under each policy, keyed by (split[@policy], "", metric).

    In the order of `policies`, then of `splits`. There is no `train` under `batch`: `train@batch`
    is the loss of the training steps themselves.
    """
    point = {}
    for policy in policies:
        suffix = "" if policy in ("ema", "none") else f"@{policy}"
        # statistics that do not depend on the split are measured once for all
        for group in [[name] for name in splits] if policy in BY_TEST_SET else [list(splits)]:
            with evaluating_with(model, policy, source, splits[group[0]][0]):
                for name in group:
                    if (name, policy) == ("train", Policy.batch):
                        continue
                    result = loss_and_accuracy(model, *splits[name], source.size(policy))
                    for metric, value in result.items():
                        point[name + suffix, "", metric] = value
    return point
