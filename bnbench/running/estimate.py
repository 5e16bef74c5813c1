"""How long runs take here: the table of `loads`, corrected by the runs that have finished.

Another machine is slower or faster than that of the table, by a factor for all, and by others for
single families of runs, which differ in nothing but their steps, rates and seeds. A factor is
learned from finished runs; a family of which nothing is known has that of the families most like
it. Nothing here imports torch.
"""

import heapq
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

from bnbench.cli import Request
from bnbench.config.schema import SCHEMA
from bnbench.request.preflight import on_gpu
from bnbench.running.launch import num_workers
from bnbench.running.loads import Load, load_of
from bnbench.tracking.meta import known_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.upload import read_science

START = 5.0  # until a worker has imported torch
RUN = 0.05  # to begin and to end a run: its folder and its W&B run

RUNS = 5  # finished runs of a family that are asked for their seconds
ARMS = 200  # arms of other requests whose configuration is read

DOUBT = 5.0  # seconds that must have been worked before the clock overrules the estimate

Run = Hashable  # whatever names one


class Estimate:
    """The seconds of runs on this machine, better with every run that has finished."""

    def __init__(self) -> None:
        self.logs: dict[str, list[float]] = {}  # of measured by tabled seconds, by family and kin
        self.factors: dict[str, float] = {}  # those that follow, by family
        self.sides = [RUN]  # seconds of runs beside those of their training
        self.side = RUN  # their median

    def learn(self, load: Load, seconds: float, steps: int | None = None) -> None:
        """Note that the training of a run took some seconds, for its steps or the first of them."""
        told = load.training if steps is None else load.training_seconds(steps)
        if seconds > 0 and told > 0:
            for name in ("", *load.kin):
                self.logs.setdefault(name, []).append(math.log(seconds / told))
            self.factors.clear()

    def learn_side(self, load: Load, seconds: float) -> None:
        """Note that a run took some seconds beside its training."""
        self.sides.append(max(0.0, seconds - self.factor(load) * load.shifting))
        self.side = median(self.sides)

    def factor(self, load: Load) -> float:
        """How many times the seconds of the table a run takes here.

        The median of its family, with the next wider one counted as one run more.
        """
        if load.family not in self.factors:
            log = median(self.logs.get("", [0.0]))
            for name in load.kin:
                if logs := self.logs.get(name):
                    log = (len(logs) * median(logs) + log) / (len(logs) + 1)
            self.factors[load.family] = math.exp(log)
        return self.factors[load.family]

    def knows(self, load: Load) -> bool:
        """Whether a run of the family has been timed."""
        return load.family in self.logs

    def seconds(self, load: Load) -> float:
        """Estimate the seconds of a run from its beginning to its end."""
        training = 0.0 if load.trained else load.training
        return self.side + self.factor(load) * (training + load.shifting)

    def read_request(self, request: Request) -> int:
        """Learn from the finished runs in the results folder of a request, of the same families.

        Runs on another device tell nothing of those on this one.

        Returns:
            How many runs told their seconds.
        """
        told: Counter[str] = Counter()
        results = request.results
        loads = {arm.id: load_of(arm.config) for arm in request.arms.values()}
        gpu = on_gpu(next(iter(request.arms.values())).config.device)
        for arm, load in loads.items():
            told[load.family] += self.read_arm(results, arm, load, gpu)
        lacking = {load.family: load for load in loads.values() if not told[load.family]}
        kinds = {arm.rpartition("-")[0] for arm, load in loads.items() if load.family in lacking}
        with suppress(OSError):
            names = {folder.name for folder in (results / "runs").iterdir()} - loads.keys()
            for arm in sorted(name for name in names if name.rpartition("-")[0] in kinds)[:ARMS]:
                with suppress(DamagedError, LookupError, OSError, TypeError):
                    seed = next((results / "runs" / arm).glob("seed-*"))
                    load = lacking[Load(read_science(RunFolder(seed))).family]
                    if told[load.family] < RUNS:
                        told[load.family] += self.read_arm(results, arm, load, gpu)
        return told.total()

    def read_arm(self, results: Path, arm: str, load: Load, gpu: bool) -> int:
        """Learn from the finished runs of an arm that is of the family of a load, of some at most.

        Returns:
            How many they are.
        """
        told = 0
        for run in sorted((results / "runs" / arm).glob("seed-*"))[:RUNS]:
            with suppress(DamagedError, OSError):
                meta, summary = known_meta(RunFolder(run)), RunFolder(run).read_summary()
                here = meta.get("schema") == SCHEMA and (meta.get("device") != "cpu") == gpu
                if here and summary["status"] == "done":
                    self.learn(load.with_steps(summary["steps"]), summary["seconds"])
                    told += 1
        return told


class TimeLeft:
    """The seconds until a launch has ended.

    It is told what finishes and how far the others are. What the estimate says of the rest is
    corrected by the seconds that workers have spent by the clock on what is done.

    Args:
        estimate: of the seconds of runs; it learns from those that finish.
        arms: arm -> its runs that are to be trained, in the order of the launch.
        loads: what each run is to do.
        workers: how many arms are trained at once; None where that shows only as they are.
        later: what arms are to do after this launch, and how many runs each of them has.
    """

    def __init__(
        self,
        estimate: Estimate,
        arms: Mapping[str, Sequence[Run]],
        loads: Mapping[Run, Load],
        workers: int | None,
        later: Sequence[tuple[Load, int]] = (),
    ):
        self.estimate, self.loads, self.workers, self.later = estimate, loads, workers, later
        self.open = {arm: dict.fromkeys(runs) for arm, runs in arms.items()}
        self.arm_of = {run: arm for arm, runs in arms.items() for run in runs}
        # by arm, of their steps that its ended runs have done
        self.shares: dict[str, list[float]] = {}
        self.spent = self.done = 0.0  # seconds of workers by the clock, and of runs that have ended
        self.clock: float | None = None  # when time was last counted
        self.begun = False  # whether any run is
        self.seen = 1  # most arms that were trained at once

    def end(self, run: Run, training: float, whole: float, steps: int) -> None:
        """Note a run with a result.

        Args:
            run: it is of the launch.
            training: its seconds of training.
            whole: its seconds from beginning to end.
            steps: those that it has done, fewer than were asked for where it diverged.
        """
        load = self.loads[run]
        self.close(run)
        self.done += whole
        if not load.trained:
            self.estimate.learn(load, training, steps)
            self.estimate.learn_side(load, whole - training)
            self.shares.setdefault(self.arm_of[run], []).append(steps / load.steps)

    def close(self, run: Run) -> None:
        """Note that a run needs no time any more: it has a result, or has failed."""
        self.open[self.arm_of[run]].pop(run, None)

    def count(self, now: float, begun: bool) -> None:
        """Count the time since the last call as that of the workers that were at work.

        Args:
            now: the time in seconds.
            begun: whether any run has been begun; until then workers start.
        """
        self.begun = self.begun or begun
        if self.begun and self.clock is not None:
            self.spent += (now - self.clock) * self.at_work()
        self.clock = now

    def at_work(self) -> int:
        """How many workers have something to do."""
        return min(self.workers or self.seen, sum(map(bool, self.open.values())))

    def seconds(self, steps: Mapping[Run, int]) -> float:
        """Estimate the seconds until all is done.

        Args:
            steps: those that runs in training have done.
        """
        self.seen = max(self.seen, len({self.arm_of[run] for run in steps}))
        under_way, jobs, waiting = self.done, [], []
        for arm, runs in self.open.items():
            share = fmean(self.shares.get(arm, [1.0]))
            rest = 0.0
            for run in runs:
                seconds = self.estimate.seconds(self.loads[run]) * share
                done = min(1.0, steps.get(run, 0) / self.loads[run].steps / share)
                under_way += done * seconds
                rest += (1 - done) * seconds
            begun = arm in self.shares or not steps.keys().isdisjoint(runs)
            (jobs if begun else waiting).append(rest)
        workers = self.workers or self.seen
        left = last_end([*jobs, *waiting], workers)
        left += last_end([n * self.estimate.seconds(load) for load, n in self.later], workers)
        slower = (self.spent + DOUBT) / (under_way + DOUBT)
        return slower * left + START * (not self.begun)


def time_left(
    estimate: Estimate, request: Request, lacking: Mapping[str, Sequence[RunFolder]]
) -> TimeLeft:
    """Make what estimates the time left of a request's launch.

    Args:
        estimate: of the seconds of runs.
        request: all that is asked for.
        lacking: arm -> its runs that are to be trained.
    """
    loads = {}
    for arm, runs in lacking.items():
        load = load_of(request.arms[arm].config)
        loads |= {run: replace(load, trained=is_trained(run)) for run in runs}
    later = [
        (load_of(config), len(config.seeds))
        for job in request.jobs
        if job.plan
        for config in job.plan.later
    ]
    return TimeLeft(estimate, lacking, loads, num_workers(request.hydra.hydra.launcher), later)


def is_trained(run: RunFolder) -> bool:
    """Whether a run lacks nothing but evaluations under shifts."""
    with suppress(FileNotFoundError, DamagedError):
        return run.is_intact(run.read_result(), run.weights)
    return False


def last_end(jobs: Iterable[float], workers: int) -> float:
    """Find when the last of some jobs ends, each begun in turn by the first worker that is free.

    >>> last_end([3, 1, 1, 4], 2)
    6.0
    """
    free = [0.0] * workers
    for job in jobs:
        heapq.heapreplace(free, free[0] + job)
    return max(free)
