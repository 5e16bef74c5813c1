"""Paired, interleaved timings of the training loop, on one thread; `bench_layer` has the layer's.

Other programs change the speed of a shared machine by more than most differences, so each sample
times all sides within some milliseconds, the order rotating, and only ratios are quoted.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bnbench.data.batches import batch_indices
from bnbench.data.datasets import Dataset, load
from bnbench.models import MODELS, initialise
from bnbench.norms import NORMS
from bnbench.training.loop import schedule, training_steps
from bnbench.training.optimizers import FusedSGD

BATCH = 64
LR = 0.05
NETS: dict[str, dict[str, Any]] = {  # the nets of configs/model/mlp.yaml and vgg.yaml
    "mlp": {"widths": [100, 100, 100], "depth": [1], "activation": "relu"},
    "vgg": {"widths": [16, 32], "depth": [2], "activation": "relu"},
}
SMALL: dict[str, dict[str, Any]] = {  # nets on digits, whose steps are bound by Python
    "mlp": NETS["mlp"],
    "sigmoid_mlp": {"widths": [100], "depth": [10], "activation": "sigmoid"},
}
Work = Callable[[], object]  # a fixed piece of work, repeated
Clock = Callable[[Work, int], float]  # milliseconds for a number of repetitions


@dataclass(frozen=True)
class Ratio:
    """The speed of `fast` over that of `slow`: median and 10th to 90th percentile of pairs."""

    what: str
    slow: str
    fast: str
    median: float
    p10: float
    p90: float
    slow_ms: float  # 10th percentile of one unit (a step, a forward and backward pass)
    fast_ms: float
    pairs: int


def cpu_clock(work: Work, repeats: int) -> float:
    """Measure the milliseconds of the repetitions."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return 1e3 * (time.perf_counter() - start)


def paired(what: str, slow: tuple[str, Work], fast: tuple[str, Work], pairs: int) -> Ratio:
    """Time two pieces of work in turn, the order flipped at every pair."""
    samples = interleaved([slow[1], fast[1]], pairs)
    slow_ms, fast_ms = map(undisturbed, samples)
    return Ratio(what, slow[0], fast[0], *spread(*samples), slow_ms, fast_ms, pairs)


def interleaved(
    works: Sequence[Work], rounds: int, milliseconds: float = 20, clock: Clock = cpu_clock
) -> list[list[float]]:
    """Measure the milliseconds of one repetition of each work, once a round; the order rotates."""
    lengths = [repeats(work, milliseconds, clock) for work in works]
    samples: list[list[float]] = [[] for _ in works]
    for number in range(rounds):
        for turn in range(len(works)):
            k = (number + turn) % len(works)
            samples[k].append(clock(works[k], lengths[k]) / lengths[k])
    return samples


def spread(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """Compute median, 10th and 90th percentile of the ratios, round by round."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    deciles = quantiles(ratios, n=10, method="inclusive")
    return median(ratios), deciles[0], deciles[-1]


def undisturbed(samples: Sequence[float]) -> float:
    """Compute the 10th percentile: the time of undisturbed work."""
    return quantiles(samples, n=10, method="inclusive")[0]


def repeats(work: Work, milliseconds: float = 20, clock: Clock = cpu_clock) -> int:
    """Count the repetitions of a piece of work that fill the given time, after warming up."""
    clock(work, 3)  # compiles, tunes, fills the allocator's cache
    return max(1, math.ceil(milliseconds / max(clock(work, 1), 1e-4)))


def net(name: str, norm: str, shape: tuple[int, int, int], **options: Any) -> nn.Module:
    """Make a net of the suite, pre-activation norm with some options, its weights from seed 0."""
    kind = MODELS[name]
    model = kind(
        shape,
        10,
        **(NETS | SMALL)[name],
        dropout=0.0,
        norm=partial(NORMS[norm], spatial_dims=kind.spatial_dims, **options),
        placement="pre",
    )
    initialise(model, "he", 0)
    return model


def our_loop(dataset: Dataset, name: str, norm: str, **options: Any) -> Work:
    """Make a step of the suite's own training loop."""
    images = dataset.normalise(dataset.train.images).to(memory_format=torch.channels_last)
    model = net(name, norm, dataset.image_shape, **options).to(memory_format=torch.channels_last)
    order = batch_indices(len(images), BATCH, 10**9, seed=0)
    optimizer = FusedSGD(model, {}, momentum=0.9)
    rate = schedule("constant", LR, 1.0, 1)
    steps = training_steps(model, images, dataset.train.labels, order, optimizer, rate)

    def step() -> None:
        next(steps).item()

    return step


def typical_loop(dataset: Dataset, name: str, norm: str) -> Work:
    """Make a step of the loop that most people write, on the same images with the same net.

    A torchvision data set with ToTensor and Normalize, a DataLoader, torch.optim.SGD as it comes,
    and loss.item() at every step.
    """
    loader = torch.utils.data.DataLoader(
        torchvision_dataset(dataset), batch_size=BATCH, shuffle=True, drop_last=True
    )
    model = net(name, norm, dataset.image_shape)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    model.train()

    def step() -> None:
        images, labels = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def torchvision_dataset(dataset: Dataset) -> "torch.utils.data.Dataset[tuple[Tensor, int]]":
    """Wrap the training images in torchvision's own FashionMNIST class."""
    from torchvision import transforms  # slow to import
    from torchvision.datasets import FashionMNIST

    class InMemory(FashionMNIST):
        def _check_exists(self) -> bool:
            return True

        def _load_data(self) -> tuple[Tensor, Tensor]:
            pixels = dataset.train.images.mul(255).round().to(torch.uint8)
            return pixels.squeeze(1), dataset.train.labels

    steps = [
        transforms.ToTensor(),
        transforms.Normalize(dataset.mean.tolist(), dataset.std.tolist()),
    ]
    return InMemory(root=".", transform=transforms.Compose(steps))


def run(data: str, root: Path, pairs: int, backends: Sequence[str]) -> Iterator[Ratio]:
    """Make every comparison in turn: loops first, then each backend beside reference."""
    dataset = load(data, root, split_seed=0)
    for name in NETS:
        typical = ("typical loop", typical_loop(dataset, name, "torch_batchnorm"))
        ours = ("bnbench loop", our_loop(dataset, name, "torch_batchnorm"))
        yield paired(f"{name} step, torch's BatchNorm", typical, ours, pairs)
    for name in NETS:
        ours, *others = (
            (f"batchnorm, backend {backend}", our_loop(dataset, name, "batchnorm", backend=backend))
            for backend in ("reference", *(b for b in backends if b != "reference"))
        )
        for other in others:
            yield paired(f"{name} step, bnbench loop", ours, other, pairs)
    digits = load("digits", root, split_seed=0)
    for name in SMALL:
        ours, torch_s = (
            (f"batchnorm, backend {backend}", our_loop(digits, name, "batchnorm", backend=backend))
            for backend in ("reference", "native")
        )
        yield paired(f"{name} step on digits, bnbench loop", ours, torch_s, pairs)
