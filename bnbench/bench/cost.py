"""What a request asks for, counted: arms, runs and steps, from nothing to the last result.

Of an arm whose learning rate is to be found, all rates of its grid are counted on the tuning seeds,
and the runs at the rate that will be found. A grid grows while its best rate is an end of it, by at
most so many runs as stand beside it. Nothing here imports torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bnbench.cli import Request
from bnbench.config.arms import num_steps
from bnbench.config.points import evaluation_points
from bnbench.config.schema import DATA_SIZES, Config

BEST = " at the rate found"  # behind the id of an arm whose rate is not known


@dataclass(frozen=True)
class Load:
    """The runs of one arm: those seeds that are asked for."""

    config: Config
    seeds: frozenset[int]

    @property
    def runs(self) -> int:
        """How many there are."""
        return len(self.seeds)

    @property
    def steps(self) -> int:
        """Optimiser steps, of all runs together."""
        return self.runs * num_steps(self.config)

    @property
    def points(self) -> int:
        """Evaluation points, of all runs together."""
        evenly = self.config.train.eval_points
        return self.runs * len(evaluation_points(num_steps(self.config), evenly))

    def evaluated(self, subset: int) -> int:
        """Images that are evaluated, of all runs together, under every policy of the arm.

        At each point a subset of the training and of the validation images; at the end all of the
        latter and the test images, and these again under each shift.
        """
        _, val, test = DATA_SIZES[self.config.data.name]
        shifts = len(self.config.shift.names) * len(self.config.shift.severities)
        at_end = val - min(subset, val) + test * (1 + shifts)
        return self.points * 2 * min(subset, val) + self.runs * at_end


@dataclass(frozen=True)
class Bill:
    """What an experiment asks for: its arms by id, and how many runs its grids may grow by."""

    name: str
    loads: dict[str, Load]
    more: int

    @property
    def runs(self) -> int:
        """Runs of all arms."""
        return sum(load.runs for load in self.loads.values())

    @property
    def steps(self) -> int:
        """Steps of all runs."""
        return sum(load.steps for load in self.loads.values())


def bills(request: Request) -> list[Bill]:
    """What each experiment of a request asks for, in order."""
    loads: dict[str, dict[str, Load]] = {}
    more: dict[str, dict[str, int]] = {}
    for job in request.jobs:
        name = f"{job.experiment} on {job.asked.config.data.name}"
        own = loads.setdefault(name, {})
        for arm in job.arms:
            add(own, arm.id, arm.config)
        if job.plan:
            tune = job.asked.config.tune
            more.setdefault(name, {})[job.asked.id] = 2 * tune.extend * len(tune.seeds)
            if job.plan.best is None:
                add(own, job.asked.id + BEST, job.asked.config)
    return [Bill(name, own, sum(more.get(name, {}).values())) for name, own in loads.items()]


def total(bills: Iterable[Bill]) -> Bill:
    """All of them together: a run that several ask for is trained once."""
    bills, loads = list(bills), {}
    for bill in bills:
        for arm, load in bill.loads.items():
            known = loads.get(arm, load)
            loads[arm] = Load(known.config, known.seeds | load.seeds)
    return Bill("all", loads, sum(bill.more for bill in bills))


def add(loads: dict[str, Load], arm: str, config: Config) -> None:
    """Add the seeds of an arm to what is there of it."""
    known = loads[arm].seeds if arm in loads else frozenset()
    loads[arm] = Load(config, known | frozenset(config.seeds))
