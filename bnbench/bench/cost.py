"""The cost of a request in arms, runs and steps, from nothing to the last result.

An arm whose learning rate is to be found costs its grid of rates on the tuning seeds, plus one set
of reporting runs. The grid may grow; `more` is the largest number of extra runs. Nothing here
imports torch.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from bnbench.cli import Request
from bnbench.config.arms import num_steps
from bnbench.config.points import evaluation_points
from bnbench.config.schema import DATA_SIZES, Config

BEST = " at the rate found"  # suffix of the id of an arm whose rate is not known yet


@dataclass(frozen=True)
class ArmRuns:
    """The runs of one arm, one for each seed of the request."""

    config: Config
    seeds: frozenset[int]

    @property
    def runs(self) -> int:
        """Number of runs."""
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

        At each point a subset of the training and of the validation images; at the end all
        validation and test images, and the test images again under each shift.
        """
        _, val, test = DATA_SIZES[self.config.data.name]
        shifts = len(self.config.shift.names) * len(self.config.shift.severities)
        at_end = val - min(subset, val) + test * (1 + shifts)
        return self.points * 2 * min(subset, val) + self.runs * at_end


@dataclass(frozen=True)
class Cost:
    """The cost of an experiment: its arms by id, and how many runs its grids may grow by."""

    name: str
    arms: dict[str, ArmRuns]
    more: int

    @property
    def runs(self) -> int:
        """Runs of all arms."""
        return sum(runs.runs for runs in self.arms.values())

    @property
    def steps(self) -> int:
        """Steps of all runs."""
        return sum(runs.steps for runs in self.arms.values())


def costs(request: Request) -> list[Cost]:
    """Count the cost of each experiment of a request, in order."""
    arms: dict[str, dict[str, ArmRuns]] = {}
    more: dict[str, dict[str, int]] = {}
    for job in request.jobs:
        name = f"{job.experiment} on {job.asked.config.data.name}"
        own = arms.setdefault(name, {})
        for arm in job.arms:
            add(own, arm.id, arm.config)
        if job.plan:
            tune = job.asked.config.tune
            more.setdefault(name, {})[job.asked.id] = 2 * tune.extend * len(tune.seeds)
            if job.plan.best is None:
                add(own, job.asked.id + BEST, job.asked.config)
    return [Cost(name, own, sum(more.get(name, {}).values())) for name, own in arms.items()]


def total(costs: Iterable[Cost]) -> Cost:
    """Add up several costs; a run of several experiments is trained once."""
    costs, arms = list(costs), {}
    for cost in costs:
        for arm, runs in cost.arms.items():
            known = arms.get(arm, runs)
            arms[arm] = ArmRuns(known.config, known.seeds | runs.seeds)
    return Cost("all", arms, sum(cost.more for cost in costs))


def add(arms: dict[str, ArmRuns], arm: str, config: Config) -> None:
    """Add the seeds of a configuration to the runs of an arm."""
    known = arms[arm].seeds if arm in arms else frozenset()
    arms[arm] = ArmRuns(config, known | frozenset(config.seeds))
