"""Finds an arm's learning rate: first the runs that tell, then the arm at the rate found.

The best of the half decades (`tune.find=best`) has the highest mean of the judged statistic over
`tune.seeds`; where it is the least or the largest that was tried, the next one beyond is tried too.
The largest that is stable (`tune.find=stable`) is bisected for each of the arm's own seeds. What is
known is read from the run folders each time: nothing else is kept. Nothing here imports torch.
"""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from bnbench.config.arms import arm_id, num_steps, science
from bnbench.config.checks import RequestError, half_decades
from bnbench.config.facts import facts
from bnbench.config.points import last_mean, metric_key, restricted_mean
from bnbench.config.schema import AT_END, Config, Criterion, Search
from bnbench.request.bisection import rate_grid, search
from bnbench.tracking.csv_log import read_curves
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError

CURVE = ("val", "accuracy")
SCORE = metric_key(*CURVE)
# on all validation images, on those of curves, or each among the classes of its own task
CRITERIA: dict[Criterion, tuple[str, str]] = {
    Criterion.accuracy: ("val_all", "accuracy"),
    Criterion.area: CURVE,
    Criterion.tasks: ("val_all_tasks", "accuracy"),
}
ROUNDING = 1e-9  # means that are closer count the same images right

Curve = tuple[Sequence[float], Sequence[float]]  # the steps and values of its points


class RatePlan(NamedTuple):
    """The runs that an arm whose learning rate is to be found wants now.

    Attributes:
        grid: the arm at each rate that is tried, on the seeds that it is tried on.
        best: the arm at the best of them, on its own seeds; None while a result is missing, and
            where the largest stable rates are to be found: those runs are themselves reported.
        later: what is wanted when these have results, at rates that are not known yet.
        is_found: whether the search has ended.
    """

    grid: list[Config]
    best: Config | None
    later: list[Config]
    is_found: bool


class RunResult(NamedTuple):
    """What the search reads of a run that has a result.

    Attributes:
        trains: whether it neither diverged nor ended at chance.
        curves: the curve of validation accuracy that each criterion judges.
    """

    trains: bool
    curves: Mapping[Criterion, Curve]


def plan(config: Config, results: Path) -> RatePlan:
    """Plan an arm's runs from the results that are there.

    Args:
        config: the arm, with `tune.low` and `tune.high`.
        results: the folder of all results; one that is missing or damaged is wanted again.

    Raises:
        RequestError: a run that has a result has no curve to judge it by.
    """
    is_stable = config.tune.find == Search.stable
    return stable_rates(config, results) if is_stable else best_rate(config, results)


def best_rate(config: Config, results: Path) -> RatePlan:
    """Plan the arm on a grid of half decades, and at the best of them; see `plan`."""
    low, high = ends(config)
    below = above = 0  # half decades that are tried beyond the ends
    while True:
        rates = half_decades(low * 10 ** (-below / 2), high * 10 ** (above / 2))
        grid = [tried(config, rate) for rate in rates]
        scores = [score for arm in grid if (score := mean_score(arm, results)) is not None]
        if len(scores) < len(grid):
            return RatePlan(grid, None, [config], is_found=False)
        best = best_place(scores)
        if best == 0 and below < config.tune.extend:
            below += 1
        elif best == len(grid) - 1 and above < config.tune.extend:
            above += 1
        else:
            return RatePlan(grid, at_rate(config, rates[best]), [], is_found=True)


def stable_rates(config: Config, results: Path) -> RatePlan:
    """Plan the bisection for the largest rate at which each seed of an arm trains; see `plan`."""
    rates = rate_grid(*ends(config), config.tune.per_decade)
    arms = [at_rate(config, rate) for rate in rates]
    ids = [arm_id(science(arm)) for arm in arms]

    def trains(place: int, seed: int) -> bool | None:
        found = result(RunFolder.of(results, ids[place], seed))
        return found.trains if found else None

    brackets = {s: search(len(rates), lambda k, s=s: trains(k, s)) for s in config.seeds}
    seeds: dict[int, list[int]] = {}
    for seed, bracket in brackets.items():
        for place in (*bracket.tried, *([] if bracket.middle is None else [bracket.middle])):
            seeds.setdefault(place, []).append(seed)
    most = max(bracket.left for bracket in brackets.values())
    return RatePlan(
        grid=[replace(arms[place], seeds=seeds[place]) for place in sorted(seeds)],
        best=None,
        later=[
            replace(config, seeds=[s for s, bracket in brackets.items() if bracket.left > rounds])
            for rounds in range(1, most)
        ],
        is_found=not most,
    )


def ends(config: Config) -> tuple[float, float]:
    """The least and the largest rate to begin with."""
    assert config.tune.low is not None
    assert config.tune.high is not None
    return config.tune.low, config.tune.high


def best_place(scores: Sequence[float]) -> int:
    """The place of the highest of some mean accuracies; of equals the first.

    >>> best_place([0.5, 0.9, 0.9])
    1
    """
    return next(k for k, score in enumerate(scores) if score >= max(scores) - ROUNDING)


def mean_accuracy(accuracies: Iterable[float | None], guess: float) -> float:
    """The mean over seeds, in which what is no number counts as a guess.

    >>> mean_accuracy([0.8, math.nan], 0.1)
    0.45
    """
    return fmean(a if a is not None and math.isfinite(a) else guess for a in accuracies)


def score(by: Criterion, curve: Curve, budget: float, guess: float) -> float:
    """Judge a run by the curve of a criterion; what is no number, or not there, is a guess.

    Args:
        by: `accuracy` and `tasks` for the mean of the last five evaluations, `area` for that under
            the curve over the budget.
        curve: the validation accuracy, on the images that `CRITERIA` has for `by`.
        budget: the steps that the run was given.
        guess: the accuracy of a net that has diverged.

    >>> score(Criterion.accuracy, ([50], [0.9]), 100, 0.1)  # (0.9 + 4·0.1)/5
    0.26
    >>> round(score(Criterion.area, ([20, 50], [0.4, 0.8]), 100, 0.1), 9)
    0.31

    Raises:
        ValueError: there are no points, or their steps do not grow within the budget.
    """
    if by == Criterion.area:
        return restricted_mean(*curve, budget, guess)
    if not curve[1]:
        raise ValueError(f"no points of {metric_key(*CRITERIA[by])}")
    return last_mean(curve[1], guess)


def at_rate(config: Config, rate: float) -> Config:
    """The ordinary arm at a learning rate."""
    optim = replace(config.optim, base_lr=rate)
    tune = replace(config.tune, low=None, high=None, find=Search.best)
    return replace(config, optim=optim, tune=tune)


def tried(config: Config, rate: float) -> Config:
    """The arm at a learning rate as rates are compared: on their seeds and kind of batches.

    It is evaluated under no shifts, and by no probe that has no say before the end: an arm that
    has one is tried as the same arm without.
    """
    data = replace(config.data, batches=config.tune.batches or config.data.batches)
    shift = replace(config.shift, names=[])
    probes = [probe for probe in config.probes if probe not in AT_END]
    arm = at_rate(config, rate)
    return replace(arm, seeds=config.tune.seeds, data=data, shift=shift, probes=probes)


def mean_score(config: Config, results: Path) -> float | None:
    """The mean score of an arm over its seeds; None where one has no result.

    Raises:
        RequestError: a run that has a result has no curve to judge it by.
    """
    arm, budget, scores = arm_id(science(config)), num_steps(config), []
    guess = facts(vars(config.data)).chance
    for seed in config.seeds:
        run = RunFolder.of(results, arm, seed)
        found = result(run)
        if found is None:
            return None
        try:
            scores.append(score(config.tune.by, found.curves[config.tune.by], budget, guess))
        except ValueError as error:
            raise RequestError(f"{run.metrics}: {error}, by which rates are compared") from error
    return mean_accuracy(scores, guess)


def result(run: RunFolder) -> RunResult | None:
    """Read the result of a run, once; None where it has none, or a damaged one."""
    try:
        return _result(run, _stamp(run.summary), _stamp(run.metrics))
    except (FileNotFoundError, DamagedError):
        return None


@cache  # a sweep reads its request once a round, and most runs are as they were
def _result(run: RunFolder, *_: tuple[int, ...] | None) -> RunResult:
    summary = run.read_summary()
    curves = dict(zip(CRITERIA, read_curves(run, summary, CRITERIA.values()), strict=True))
    return RunResult(summary["status"] == "done" and not summary["stuck"], curves)


def _stamp(file: Path) -> tuple[int, ...] | None:
    """What changes with a file's content."""
    try:
        facts = os.lstat(file)
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
