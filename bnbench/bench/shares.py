"""What a run spends its time in: training steps, evaluation, W&B, and the rest, by family of arms.

Real runs of the shipped configuration are trained into a folder that is removed. The parts of
`train` that are timed are named in `TIMED` and nowhere else. Time is that of the thread that
trains, so other programs of a busy machine hardly change it, and W&B's own process is not in it.
"""

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

from bnbench import CONFIGS, cli, train
from bnbench.config.quoting import for_hydra
from bnbench.config.schema import Config
from bnbench.request.hydra_internals import initialised

FAMILIES = {
    "MLP, BN": ["model=mlp"],
    "MLP, no norm": ["model=mlp", "norm=none"],
    "sigmoid MLP of 10 layers, BN": ["model=sigmoid_mlp", "model.depth=[10]"],
    "VGG, BN": ["model=vgg"],
    "MLP, GN": ["model=mlp", "norm=groupnorm"],
}
PARTS = STEPS, EVALUATION, WANDB = "steps", "evaluation", "W&B"
TIMED: list[tuple[Any, str, str]] = [  # what has it, its name, and the part that its time is
    (train, "steps", STEPS),
    (train, "evaluate", EVALUATION),
    *((train.WandbLog, name, WANDB) for name in ("__init__", "write", "close")),
]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Shares:
    """What the runs of a family took.

    Attributes:
        family: what is trained.
        runs: number of runs.
        seconds: of one run, on average.
        parts: shares of the seconds by part; they add up to 1 with `rest`.
    """

    family: str
    runs: int
    seconds: float
    parts: dict[str, float]

    @property
    def rest(self) -> float:
        """Share of all else: to build the net, to write files, to summarise."""
        return 1 - sum(self.parts.values())


def run(overrides: list[str], families: dict[str, list[str]] = FAMILIES) -> Iterator[Shares]:
    """Train every family in turn, each by the configuration with some overrides.

    A first run of each, of a few steps, is not counted: it pays what a worker pays once, such as
    imports, the data set and the start of W&B.
    """
    for family, own in families.items():
        with tempfile.TemporaryDirectory() as folder:
            # W&B as configs/track/default.yaml has it, whatever the environment says
            common = [*own, "track=default", *overrides]
            train_all(composed([*common, "train=smoke", "seeds=[0]"], f"{folder}/first"))
            config = composed(common, f"{folder}/timed")
            yield shares(family, partial(train_all, config))


def shares(family: str, work: Callable[[], int], clock: Clock = time.thread_time) -> Shares:
    """Compute the shares of the parts in the time of a piece of work, which returns its runs."""
    with clocked(clock) as spent:
        begun = clock()
        runs = work()
        total = clock() - begun
    return Shares(family, runs, total / runs, {part: spent[part] / total for part in PARTS})


def composed(overrides: list[str], results: str) -> Config:
    """Compose the configuration of one arm."""
    with initialised(CONFIGS):
        request = cli.read([*overrides, f"results={for_hydra(results)}"], multirun=False)
    (arm,) = request.arms.values()
    return arm.config


def train_all(config: Config) -> int:
    """Train the seeds of one arm; return their number.

    Raises:
        RuntimeError: a run failed.
    """
    outcome = train.train_arm(config)
    if failed := [told for told in outcome.values() if told != "done"]:
        raise RuntimeError(failed[0])
    return len(outcome)


@contextmanager
def clocked(clock: Clock) -> Iterator[dict[str, float]]:
    """Time the parts of training while inside; yields the seconds of each part, as they add up."""
    spent: dict[str, float] = defaultdict(float)

    def timed(part: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(work)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            begun = clock()
            try:
                result = work(*args, **kwargs)
            finally:
                spent[part] += clock() - begun
            # a generator does its work where it is advanced
            return advanced(part, result) if isinstance(result, Iterator) else result

        return wrapper

    def advanced(part: str, items: Iterator[Any]) -> Iterator[Any]:
        while True:
            begun = clock()
            try:
                item = next(items)
            except StopIteration:
                return
            finally:
                spent[part] += clock() - begun
            yield item

    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in TIMED]
    try:
        for owner, name, part in TIMED:
            setattr(owner, name, timed(part, getattr(owner, name)))
        yield spent
    finally:
        for owner, name, original in kept:
            setattr(owner, name, original)
