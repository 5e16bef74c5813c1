"""Timings of the training steps and evaluations of arms, on random images.

The images have the shape and number of the data set's, which need not be on disk. Rates are so
small that no net diverges. The clock waits for the device to end its work.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from statistics import median

import torch
from torch import Tensor

from bnbench import train
from bnbench.config.arms import num_train
from bnbench.config.facts import DataFacts
from bnbench.config.points import SUBSET
from bnbench.config.recipe import resolve
from bnbench.config.schema import Config
from bnbench.data.datasets import MIRRORED, Dataset, Split
from bnbench.request import own_code
from bnbench.training.evaluation import evaluate

RATE = 1e-4
STEPS = 10**6  # more than are timed
WARM_UP = 3  # blocks of steps, before any is timed
FEWEST = 3  # blocks that are timed, however long they take
BLOCK = {"cuda": 10, "cpu": 1}  # steps between two waits for the device

Clock = Callable[[], float]


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of an arm.

    Attributes:
        step: of training, the median over blocks of steps.
        least, most: the fastest and the slowest block.
        blocks: number of blocks.
        point: to evaluate some images of two splits under every policy, statistics included.
        images: how many of each.
        probe: to probe the net once, between the ends of a run.
    """

    step: float
    least: float
    most: float
    blocks: int
    point: float
    images: int
    probe: float


def pace(
    config: Config, blocks: int, limit: float, images: int, clock: Clock | None = None
) -> Pace:
    """Time the training steps and an evaluation of one arm on the device of its configuration.

    Args:
        config: of the arm.
        blocks: of steps to time.
        limit: seconds after which no further block of steps is begun.
        images: of a split to evaluate, where it has as many.
        clock: gives the time in seconds once the device has ended its work.
    """
    torch.set_num_threads(config.threads)
    run = stand_in(config)
    kind = run.device.type
    clock = clock or clock_of(run.device)
    steps, probe = train.steps(run), train.prober(run)
    with torch.random.fork_rng(devices=[]):
        for _ in range(WARM_UP * BLOCK[kind]):
            next(steps)
        times: list[float] = []
        begun = now = clock()
        while len(times) < blocks and (len(times) < FEWEST or now - begun < limit):
            for _ in range(BLOCK[kind]):
                next(steps)
            before, now = now, clock()
            times.append((now - before) / BLOCK[kind])
        number = min(images, *(len(labels) for _, labels in run.splits.values()))
        splits = {name: (x[:number], y[:number]) for name, (x, y) in run.splits.items()}
        keys = {name: (name, number) for name in splits}
        source = train.statistics_source(run)
        # as many images to measure statistics on as are evaluated of a split: as at a point
        source = replace(source, reference=source.reference[:number])

        def evaluation() -> None:
            evaluate(run.model, splits, keys, run.recipe.policies, source)

        point = timed(evaluation, clock)
        probing = timed(lambda: probe(1), clock) if config.probes else 0.0
    return Pace(median(times), min(times), max(times), len(times), point, number, probing)


def timed(work: Callable[[], object], clock: Clock) -> float:
    """Measure the seconds of the second call of a piece of work."""
    work()
    begun = clock()
    work()
    return clock() - begun


def clock_of(device: torch.device) -> Clock:
    """Make a clock that waits for a device."""

    def clock() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return clock


def stand_in(config: Config) -> train.Run:
    """Build a run on random images, at a rate at which nothing diverges."""
    recipe = replace(resolve(config), first_rate=RATE, schedule="constant", steps=STEPS)
    device = train.device_of(recipe)
    images, labels = random_images(recipe.facts, num_train(config), device)
    some = Split(images[:SUBSET], labels[:SUBSET])
    nothing, one = (torch.full(images.shape[1:2], value) for value in (0.0, 1.0))
    dataset = Dataset(
        *(Split(images, labels.cpu()), some, some, recipe.facts.num_classes, nothing, one),
        mirrored=recipe.data in MIRRORED,
    )
    splits = {"train": (images, labels), "val": some}
    with train.own_rows(*own_code.rows(config)):
        return train.assemble(recipe, 0, device, dataset, splits)


@cache
def random_images(facts: DataFacts, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Draw images of a data set's shape and their labels from a seed alone."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(number, *facts.shape, generator=generator)
    labels = torch.randint(facts.num_classes, (number,), generator=generator)
    return images.to(device, memory_format=torch.channels_last), labels.to(device)
