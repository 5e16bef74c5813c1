"""Evaluation of a net: on what, and with which population statistics."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.config.schema import BY_TEST_BATCH, TRANSDUCTIVE, Policy
from bnbench.norms.population import population
from bnbench.norms.recalibration import recalibrated

Images = tuple[Tensor, Tensor]  # normalised and channels_last, with labels


@dataclass(frozen=True)
class StatisticsSource:
    """What population statistics are drawn from, beside the images that are evaluated.

    Attributes:
        reference: the first training images, whose statistics cumulative, algorithm2, precise and
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
) -> Iterator[Tensor | None]:
    """Hold the net in evaluation mode, its layers with the statistics of a policy.

    Args:
        model: the net; it is left in the mode that it was in.
        policy: a population policy; for a net without population statistics `none` or
            `recalibrated`.
        source: what the statistics are drawn from.
        images: those to be evaluated, which adabn and recalibrated draw on.

    Yields:
        The logits of the reference, where precise statistics were measured in one pass, which
        computes them on its way; else None.
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
    outputs: list[Any] = []
    hook = model.register_forward_hook(lambda _net, _images, logits: outputs.append(logits))
    try:
        with statistics:
            hook.remove()
            is_whole = policy == Policy.precise and len(source.reference) <= source.at_once
            yield outputs[0] if is_whole else None
    finally:
        hook.remove()
        model.train(training)


class Tasks(NamedTuple):
    """Groups of classes, in their order, that a net is trained on one after another."""

    number: int
    classes: int  # of each


def scored(logits: Tensor, labels: Tensor, tasks: Tasks | None = None) -> Tensor:
    """Score each image by its cross-entropy in nats, and by 1 where it is recognised, else 0.

    An image with a non-finite logit is not recognised: argmax would call it class 0. Where classes
    are cut into tasks, each image is scored a second time, by the logits of its own task's
    classes alone: task-incremental learning, in which the task of an image is told (van de Ven &
    Tolias 2019, arXiv 1904.07734, scenario 1).

    Returns:
        (2, N) in float64, on the device of the logits; with tasks (4, N).
    """
    is_finite = logits.isfinite().all(1)
    found = []
    for among in (logits, of_own_task(logits, labels, tasks)) if tasks else (logits,):
        loss = F.cross_entropy(among, labels, reduction="none")
        right = (among.argmax(1) == labels) & is_finite
        found += [loss.double(), right.double()]
    return torch.stack(found)


def of_own_task(logits: Tensor, labels: Tensor, tasks: Tasks) -> Tensor:
    """Set the logits of classes that are not of an image's own task to minus infinity."""
    task = torch.arange(logits.shape[1], device=logits.device) // tasks.classes
    return logits.masked_fill(task != task[labels][:, None], -torch.inf)


@torch.no_grad()
def scores(
    model: nn.Module, images: Tensor, labels: Tensor, size: int, tasks: Tasks | None = None
) -> Tensor:
    """Score each image as `scored` does, `size` images at a time."""
    sizes = batch_sizes(len(labels), size)
    batches = zip(images.split(sizes), labels.split(sizes), strict=True)
    return torch.cat([scored(model(x), y, tasks) for x, y in batches], 1)


def evaluate(
    model: nn.Module,
    splits: Mapping[str, Images],
    keys: Mapping[str, tuple[str, int]],
    policies: Sequence[str],
    source: StatisticsSource,
    tasks: Tasks | None = None,
) -> dict[tuple[str, str, str], float]:
    """Measure loss and accuracy on parts of splits under each policy; reads the device once.

    Where a prediction depends on no other image, keys of one split share a pass, and training
    images that precise statistics were measured on are not passed again.

    Args:
        model: the net.
        splits: the images of each split; `train` begins with the reference of `source`.
        keys: what is measured, by name: (split, how many of its first images).
        policies: population policies.
        source: what the statistics are drawn from.
        tasks: what the classes are cut into. Parts but `train` are then also scored by the logits
            of each image's own task: the images of each task under `<name>_task_1` and so on, NaN
            without any, and the mean over tasks under `<name>_tasks`.

    Returns:
        (name[@policy], "", metric) -> value, in the order of `policies`, then of `keys`. There is
        no `train` under `batch`: `train@batch` is the loss of the training steps themselves.
    """
    names: list[str] = []
    means: list[Tensor] = []
    for policy in policies:
        asked = {name: key for name, key in keys.items() if (name, policy) != ("train", "batch")}
        found = scores_by_part(model, splits, set(asked.values()), policy, source, tasks)
        suffix = "" if policy in ("ema", "none") else f"@{policy}"
        names += [name + suffix for name in asked]
        means += [found[key][:2].sum(1) / key[1] for key in asked.values()]
        for name, (split, number) in asked.items():
            if tasks and name != "train":
                labels = splits[split][1][:number]
                by_task = means_by_task(found[split, number][2:], labels, tasks)
                names += [f"{name}_{part}{suffix}" for part in by_task]
                means += by_task.values()
    values = torch.stack(means).cpu().tolist() if means else []
    return {
        (name, "", metric): value
        for name, pair in zip(names, values, strict=True)
        for metric, value in zip(("loss", "accuracy"), pair, strict=True)
    }


def means_by_task(of_images: Tensor, labels: Tensor, tasks: Tasks) -> dict[str, Tensor]:
    """Average the scores of images (M, N) over each task, and these means over tasks; (M,) each."""
    means = []
    for task in range(tasks.number):
        own = labels // tasks.classes == task
        # a product would make NaN of the scores of other tasks, where these are not finite
        means.append(of_images.where(own, 0.0).sum(1) / own.sum())
    named = {f"task_{task}": mean for task, mean in enumerate(means, 1)}
    return {"tasks": torch.stack(means).mean(0), **named}


def scores_by_part(
    model: nn.Module,
    splits: Mapping[str, Images],
    parts: Collection[tuple[str, int]],
    policy: str,
    source: StatisticsSource,
    tasks: Tasks | None = None,
) -> dict[tuple[str, int], Tensor]:
    """Score the images of each part, (split, how many of its first images), under a policy."""
    found: dict[tuple[str, int], Tensor] = {}
    size = source.size(policy)
    if policy in TRANSDUCTIVE:
        for split, number in parts:
            images, labels = (tensor[:number] for tensor in splits[split])
            with evaluating_with(model, policy, source, images):
                found[split, number] = scores(model, images, labels, size, tasks)
        return found
    with evaluating_with(model, policy, source, source.reference) as logits:
        known: dict[str, Tensor] = {}
        if logits is not None and "train" in splits:
            known["train"] = scored(logits, splits["train"][1][: len(logits)], tasks)
        for split, number in sorted(parts):
            images, labels = splits[split]
            have = known[split].shape[1] if split in known else 0
            if have < number:
                rest = scores(model, images[have:number], labels[have:number], size, tasks)
                known[split] = torch.cat((known[split], rest), 1) if have else rest
            found[split, number] = known[split][:, :number]
    return found
