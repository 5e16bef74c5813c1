"""Finds an arm's learning rate: first the grid of tuning runs, then the arm at the best rate.

The rates are half decades. The best is that of the highest mean final validation accuracy over
`tune.seeds`; where it is the least or the largest that was tried, the next one beyond is tried too.
What is known is read from the run folders each time: nothing else is kept. Nothing here imports
torch.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from bnbench.config.arms import arm_id, science
from bnbench.config.checks import half_decades
from bnbench.config.schema import Config
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError

SCORE = "val/accuracy"
ROUNDING = 1e-9  # means that are closer count the same images right


class RatePlan(NamedTuple):
    """The runs that an arm whose learning rate is to be found wants now.

    Attributes:
        grid: the arm at each rate that is tried, on `tune.seeds`.
        best: the arm at the best of them, on its own seeds; None while a result is missing.
    """

    grid: list[Config]
    best: Config | None


def plan(config: Config, results: Path) -> RatePlan:
    """Plan an arm's runs from the results that are there: its grid, and itself at the best rate.

    Args:
        config: the arm, with `tune.low` and `tune.high`.
        results: the folder of all results; one that is missing or damaged is wanted again.
    """
    low, high, extend = config.tune.low, config.tune.high, config.tune.extend
    assert low is not None
    assert high is not None
    below = above = 0  # half decades that are tried beyond the ends
    while True:
        rates = half_decades(low * 10 ** (-below / 2), high * 10 ** (above / 2))
        grid = [tried(config, rate) for rate in rates]
        scores = [score for arm in grid if (score := mean_score(arm, results)) is not None]
        if len(scores) < len(grid):
            return RatePlan(grid, None)
        best = best_place(scores)
        if best == 0 and below < extend:
            below += 1
        elif best == len(grid) - 1 and above < extend:
            above += 1
        else:
            return RatePlan(grid, at_rate(config, rates[best]))


def best_place(scores: Sequence[float]) -> int:
    """The place of the highest of some mean accuracies; of equals the first.

    >>> best_place([0.5, 0.9, 0.9])
    1
    """
    return next(k for k, score in enumerate(scores) if score >= max(scores) - ROUNDING)


def mean_accuracy(accuracies: Iterable[float | None]) -> float:
    """The mean over seeds, in which what is no number counts as 0.

    >>> mean_accuracy([0.8, math.nan])
    0.4
    """
    return fmean(a if a is not None and math.isfinite(a) else 0.0 for a in accuracies)


def at_rate(config: Config, rate: float) -> Config:
    """The ordinary arm at a learning rate."""
    optim = replace(config.optim, base_lr=rate)
    return replace(config, optim=optim, tune=replace(config.tune, low=None, high=None))


def tried(config: Config, rate: float) -> Config:
    """The arm at a learning rate on the seeds that rates are compared on, without shifts."""
    shift = replace(config.shift, names=[])
    return replace(at_rate(config, rate), seeds=config.tune.seeds, shift=shift)


def mean_score(config: Config, results: Path) -> float | None:
    """The mean final validation accuracy of an arm's seeds; None where one has no result.

    A diverged run counts as measured, and what is no number as 0.
    """
    arm = arm_id(science(config))
    try:
        summaries = [RunFolder.of(results, arm, seed).read_result() for seed in config.seeds]
    except (FileNotFoundError, DamagedError):
        return None
    return mean_accuracy(summary["metrics"].get(SCORE) for summary in summaries)
