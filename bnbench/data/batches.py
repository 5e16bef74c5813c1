"""The images of each training batch, and their light augmentation.

A batch is a row of indices into one tensor. All draws come from the run's seed alone, so arms that
differ in norm, placement or model see the same batches (Ioffe & Szegedy 2015, sec. 4.2.1, claims
that it matters which images share one).
"""

from collections.abc import Iterator
from itertools import chain, count, islice

import torch
from torch import Tensor

from bnbench.config.arms import derive_seed

COMPOSITIONS = ("reshuffled", "frozen", "two_classes")


def batch_indices(
    num_samples: int,
    batch_size: int,
    num_steps: int,
    seed: int,
    composition: str = "reshuffled",
    labels: Tensor | None = None,
) -> Iterator[Tensor]:
    """Draw the indices of each batch, for a number of steps.

    An epoch is a permutation of the samples cut into whole batches; the last ragged one is dropped.

    Args:
        num_samples: how many training images there are.
        batch_size: images per batch.
        num_steps: how many batches to give, over as many epochs as that takes.
        seed: the run's seed.
        composition: "reshuffled": a new permutation each epoch. "frozen": the images that share a
            batch in the first epoch always do, and only the order of the batches is drawn anew;
            the images that the first epoch drops are then never seen. "two_classes": see
            `two_class_batches`; the ragged end of each pair of classes is dropped.
        labels: the classes of the images, (num_samples,); needed by "two_classes" alone.

    Returns:
        An iterator of int64 tensors (batch_size,).

    Raises:
        ValueError: a batch is larger than the data set or, where it is to be of two classes, than
            the two smallest; the composition is unknown; or it needs labels and has none.

    Example:
        >>> [len(batch) for batch in batch_indices(10, batch_size=4, num_steps=3, seed=0)]
        [4, 4, 4]
    """
    if not 1 <= batch_size <= num_samples:
        raise ValueError(
            f"batch_size={batch_size}: expected 1 to {num_samples}, the training images"
        )
    if composition not in COMPOSITIONS:
        raise ValueError(f"batches={composition}: expected one of {', '.join(COMPOSITIONS)}")
    if composition == "two_classes":
        if labels is None or len(labels) != num_samples:
            raise ValueError(f"batches=two_classes: expected the labels of {num_samples} images")
        labels = labels.cpu()
        smallest = int(labels.unique(return_counts=True)[1].sort().values[:2].sum())
        if not 2 <= batch_size <= smallest:
            raise ValueError(
                f"batch_size={batch_size}: expected 2 to {smallest}, the training images of the "
                "two smallest classes"
            )
        epochs = (two_class_batches(labels, batch_size, seed, epoch) for epoch in count())
    else:
        frozen = composition == "frozen"
        epochs = (epoch_batches(num_samples, batch_size, seed, epoch, frozen) for epoch in count())
    return islice(chain.from_iterable(epochs), num_steps)


def task_batches(
    labels: Tensor,
    classes: int,
    batch_size: int,
    num_steps: int,
    seed: int,
    composition: str = "reshuffled",
) -> Iterator[Tensor]:
    """Draw the indices of each batch where groups of classes, the tasks, are trained on in a row.

    The first task has the images of the first `classes` classes, the next one those of the classes
    behind them, and so on. The batches of each are drawn as `batch_indices` draws them, by a seed
    of its own, from its images alone.

    Args:
        labels: the classes of all training images, (num_samples,).
        classes: how many each task has.
        batch_size: images per batch.
        num_steps: how many batches each task gives, over as many epochs as that takes.
        seed: the run's seed.
        composition: "reshuffled" or "frozen", within each task.

    Returns:
        An iterator of int64 tensors (batch_size,), of all tasks.

    Raises:
        ValueError: a batch is larger than the images of a task.

    Example:
        >>> labels = torch.tensor([3, 0, 2, 1])
        >>> [labels[batch].unique().tolist() for batch in task_batches(labels, 2, 2, 1, seed=0)]
        [[0, 1], [2, 3]]
    """
    tasks = labels.cpu() // classes
    rows = [(tasks == task).nonzero()[:, 0] for task in range(int(tasks.max()) + 1)]
    draws = [
        batch_indices(len(own), batch_size, num_steps, derive_seed(seed, "task", k), composition)
        for k, own in enumerate(rows)
    ]  # all at once: a task that is too small is refused before the first is trained on
    return (own[batch] for own, of_task in zip(rows, draws, strict=True) for batch in of_task)


def epoch_batches(num_samples: int, batch_size: int, seed: int, epoch: int, frozen: bool) -> Tensor:
    """Draw the batches of one epoch, (num_batches, batch_size)."""
    num_batches = num_samples // batch_size
    order = permutation(num_samples, derive_seed(seed, "batches", 0 if frozen else epoch))
    batches = order[: num_batches * batch_size].view(num_batches, batch_size)
    if frozen:
        batches = batches[permutation(num_batches, derive_seed(seed, "batches", "order", epoch))]
    return batches


def two_class_batches(labels: Tensor, batch_size: int, seed: int, epoch: int) -> Tensor:
    """Draw the batches of one epoch, each of two classes: (num_batches, batch_size).

    The statistics of such a batch reveal its labels, the statistics of evaluation do not (Ioffe
    2017, on minibatches that are not i.i.d., uses two images of each of 16 classes). Each epoch
    pairs the classes anew; of an odd number of classes one sits out. The images of a class come in
    random order, the images of a pair evenly mixed, so that a batch holds both classes in
    proportion to their sizes. The batches of all pairs are given in random order.
    """
    seeds = {part: derive_seed(seed, "batches", part, epoch) for part in ("pairs", "images", "all")}
    sizes = labels.unique(return_counts=True)[1].tolist()
    order = permutation(len(labels), seeds["images"])
    by_class = order[labels[order].argsort(stable=True)].split(sizes)
    pairs = permutation(len(sizes), seeds["pairs"]).tolist()
    batches = []
    for pair in zip(pairs[::2], pairs[1::2], strict=False):
        images = [by_class[k] for k in pair]
        place = torch.cat([(torch.arange(len(x)) + 0.5) / len(x) for x in images])
        mixed = torch.cat(images)[place.argsort(stable=True)]
        whole = len(mixed) // batch_size * batch_size
        batches.append(mixed[:whole].view(-1, batch_size))
    together = torch.cat(batches)
    return together[permutation(len(together), seeds["all"])]


def permutation(n: int, seed: int) -> Tensor:
    """Draw a permutation of 0 … n-1 from a generator of its own."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed))


def light_draws(
    num_images: int, height: int, generator: torch.Generator, flip: bool
) -> Iterator[Tensor]:
    """Draw what `augment_light` does to each image of a batch, for one batch after another.

    Args:
        num_images: of a batch.
        height: H of the images; the longest move is r = max(1, H/16 rounded).
        generator: a CPU generator, seeded with `derive_seed(seed, "batches", "augment")`.
        flip: also mirror an image left to right with probability 1/2 (`Dataset.mirrored`).

    Yields:
        (2, num_images, 1), the pixels down and to the right, uniform over -r … r; with `flip`
        (3, num_images, 1), and the last is 1 for a mirrored image.
    """
    reach = max(1, round(height / 16))
    while True:
        moves = torch.randint(-reach, reach + 1, (2, num_images, 1), generator=generator)
        if flip:
            mirror = torch.rand(1, num_images, 1, generator=generator) < 0.5
            moves = torch.cat([moves, mirror])
        yield moves


def augment_light(images: Tensor, draw: Tensor) -> Tensor:
    """Move each image by a pixel or two in each direction and mirror some of them.

    Edge pixels fill the gap: that needs no knowledge of what black is after normalisation, and
    draws no frame around photographs.

    Args:
        images: a batch, (N, C, H, W), raw or normalised.
        draw: of `light_draws`, on the same device.

    Returns:
        A new tensor of the same shape and memory format.
    """
    num_images, _, height, width = images.shape
    down, right, *mirror = draw
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    rows = (rows + down).clamp_(0, height - 1)
    columns = (columns + right).clamp_(0, width - 1)
    if mirror:
        columns = torch.where(mirror[0] > 0, columns.flip(1), columns)
    sample = torch.arange(num_images, device=images.device)[:, None, None]
    moved = images[sample, :, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return torch.empty_like(images).copy_(moved.permute(0, 3, 1, 2))
