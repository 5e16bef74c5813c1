"""Answer the question of an experiment: the statistics that its YAML names, from its runs.

    difference  a metric of the treatment minus that of the baseline, paired by seed
    greatest    the same at each level of a factor, to find the greatest at which every run trains
    as_good     the same, to find the levels at which the treatment is as good (non-inferiority)
    trains      whether nets train at each level, and what it gains over one level of reference
    kept        the share of the clean test accuracy that is left under each shift
    value       a metric of each arm
    best        the arm with the greatest mean validation accuracy, and its test accuracy

A run trains if it neither diverged nor got stuck at chance. Intervals are those of `stats`:
two-sided 95 % Student t intervals over seeds, unadjusted. `answer_words` tells all of it.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.best import mean_validation
from bnbench.analysis.load import (
    ExperimentData,
    config_columns,
    final,
    finished,
    settings_of,
)
from bnbench.analysis.stats import ACCURACY, Interval, having, mean_interval, pair_arms
from bnbench.config.labels import (
    FIRST,
    UNTOLD,
    arm_words,
    is_accuracy,
    is_had,
    level_label,
    side_label,
    telling,
)
from bnbench.config.query import parse
from bnbench.config.schema import AnswerConfig, Statistic

UNDER_SHIFT = "shift/accuracy/"  # of the columns that hold accuracies under shifts
SHIFTED = re.compile(rf"{UNDER_SHIFT}([a-z_]+)-([0-9]{{1,9}})")
FOLLOWS = {  # columns that a level follows from, and which differ between levels as it does
    "hidden_layers": {"model.depth", "model.widths"},
    "optim.lr": {"optim.base_lr", "optim.lr_mult", "optim.lr_scaling"},
}
Pair = tuple[str, str | None]  # a treatment and its baseline by arm id
EMPTY = pd.Series(dtype=float)  # numbers of an arm that has none
NOTHING = Interval(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Side:
    """What the runs of a treatment, or of its baseline, came to.

    Attributes:
        value: mean of the metric, of accuracies in %; of steps the geometric mean; NaN where no
            run has a number.
        asked: number of runs that were asked for.
        ended: number of those that have a result.
        trained: number of those that neither diverged nor got stuck.
        diverged: number of those that diverged.
    """

    value: float
    asked: int
    ended: int
    trained: int
    diverged: int


@dataclass(frozen=True)
class AnswerRow:
    """One comparison of an answer.

    Attributes:
        label: what tells it from the others, in words; may be empty.
        level: of the factor; of `kept` the shift with its severity; None without one.
        treatment: of the comparison; of `value` and `best` the arm itself.
        baseline: of the comparison, of `trains` at the level of reference; None without one.
        difference: treatment minus baseline, in the unit of the metric or percentage points; of
            steps the quotient baseline / treatment; of `value` and `best` the metric itself.
        side: of `trains`, whose levels are compared, in words; else empty.
    """

    label: str
    level: Any
    treatment: Side
    baseline: Side | None
    difference: Interval
    side: str = ""


@dataclass(frozen=True)
class Answer:
    """A statistic of an experiment, with the numbers that its sentence tells."""

    spec: AnswerConfig
    rows: list[AnswerRow]


def answers(experiment: ExperimentData, specs: Sequence[AnswerConfig]) -> list[Answer]:
    """Compute the statistics that answer an experiment's question, from the runs to report.

    Raises:
        ValueError: a statistic names a column, metric or query that the runs do not have.
    """
    runs = experiment.reporting().runs
    return [Answer(spec, list(_rows(runs, spec, experiment.found))) for spec in specs]


def _rows(runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]) -> Iterable[AnswerRow]:
    statistic = {
        Statistic.trains: _trains,
        Statistic.kept: _kept,
        Statistic.value: _values,
        Statistic.best: _best,
    }.get(spec.statistic, _differences)
    runs = _where(runs, spec.where)
    for part in spec.parts or [None]:
        for row in statistic(_where(runs, part.where) if part else runs, spec, found):
            words = [part.title] if part else []
            yield replace(row, label=", ".join(filter(None, [*words, row.label])))


def _where(runs: pd.DataFrame, query: str | None) -> pd.DataFrame:
    return runs[parse(query, list(map(str, runs))).rows(runs)] if query else runs


def _differences(
    runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]
) -> Iterable[AnswerRow]:
    """Compare treatment and baseline, at each level where there are some."""
    treated, base = (_numbers(runs, key) for key in (spec.metric, spec.against or spec.metric))
    if spec.baseline:
        pairs = pair_arms(runs, spec.baseline, spec.treatment, found)
    else:  # one arm by two metrics
        pairs = [(arm, arm) for arm in _arms(runs, spec.treatment).index]
    for (label, level), own in _grouped(runs, pairs, spec).items():
        yield _row(runs, label, level, own, treated, base, spec.metric)


def _trains(runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]) -> Iterable[AnswerRow]:
    """Compare each level with that of reference, for the treatment and for the baseline."""
    numbers = _numbers(runs, spec.metric)
    for side in [spec.treatment, *([spec.baseline] if spec.baseline else [])]:
        arms = _arms(runs, side).index
        groups = _grouped(runs, [(arm, None) for arm in arms], spec)
        for (label, level), own in groups.items():
            others = groups.get((label, spec.reference)) if level != spec.reference else None
            paired = [(arm, other) for arm, _ in own for other, _ in others or [(None, None)]]
            row = _row(runs, label, level, paired, numbers, numbers, spec.metric)
            row = replace(row, side=side_label(side))
            yield row if others else replace(row, baseline=None)


def _kept(runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]) -> Iterable[AnswerRow]:
    """Compare what is kept of the clean accuracy under each shift at its greatest severity."""
    clean = _numbers(runs, ACCURACY)
    pairs = _grouped(runs, pair_arms(runs, spec.baseline, spec.treatment, found), spec)
    for name, severity in greatest_severities(runs).items():
        shift = f"{name}-{severity}"
        shifted = _numbers(runs, UNDER_SHIFT + shift)
        kept = {arm: 100 * shifted[arm] / clean[arm] for arm in shifted}
        for (label, _), own in pairs.items():
            yield _row(runs, label, shift, own, kept, kept, ACCURACY)


def greatest_severities(runs: pd.DataFrame) -> dict[str, int]:
    """Find the greatest severity of each shift that runs were evaluated under."""
    greatest: dict[str, int] = {}
    for column in map(str, runs):
        if found := SHIFTED.fullmatch(column):
            greatest[found[1]] = max(greatest.get(found[1], 0), int(found[2]))
    return greatest


def _values(runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]) -> Iterable[AnswerRow]:
    """Summarise a metric of each arm."""
    numbers = _numbers(runs, spec.metric)
    arms = [(arm, None) for arm in _arms(runs, spec.treatment).index]
    for (label, level), own in _grouped(runs, arms, spec).items():
        values = [numbers.get(arm, EMPTY) for arm, _ in own]
        side = _side(runs, [arm for arm, _ in own], values, spec.metric)
        yield AnswerRow(label, level, side, None, mean_interval(_mean(values)))


def _best(runs: pd.DataFrame, spec: AnswerConfig, found: Collection[str]) -> Iterable[AnswerRow]:
    """Choose the arm by validation, where a run without a number counts as 0."""
    ended = finished(runs)
    if ended.empty:
        return
    arm = str(mean_validation(ended).idxmax())
    settings = settings_of(runs)
    words = arm_words(settings[arm], telling(settings))
    values = _numbers(runs, spec.metric).get(arm, EMPTY)
    yield AnswerRow(
        "", words, _side(runs, [arm], [values], spec.metric), None, mean_interval(values)
    )


def _row(
    runs: pd.DataFrame,
    label: str,
    level: Any,
    pairs: Sequence[Pair],
    treated: Mapping[str, pd.Series],
    base: Mapping[str, pd.Series],
    metric: str,
) -> AnswerRow:
    """Compare the arms of some pairs by their numbers, in the mean over pairs."""
    arms, others = [arm for arm, _ in pairs], [arm for _, arm in pairs if arm]
    ones = [treated.get(arm, EMPTY) for arm in arms]
    twos = [base.get(arm, EMPTY) for arm in others]
    sides = _side(runs, arms, ones, metric), _side(runs, others, twos, metric)
    is_paired = len(ones) == len(twos)
    return AnswerRow(
        label, level, *sides, _difference(ones, twos, metric) if is_paired else NOTHING
    )


def _arms(runs: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The arms that have some settings, with the other columns of one of their runs."""
    arms = runs.drop_duplicates("arm").set_index("arm")
    return arms[having(arms, settings)]


def _grouped(
    runs: pd.DataFrame, pairs: Sequence[Pair], spec: AnswerConfig
) -> dict[tuple[str, Any], list[Pair]]:
    """Sort pairs by what tells them apart, in words, and by their level.

    It is `spec.by`; else the names that vary, and what varies within a model and level.
    """
    arms = _arms(runs, {}).loc[[arm for arm, _ in pairs]]
    if spec.by is not None:
        columns = spec.by
    else:
        told = {*spec.treatment, *UNTOLD, spec.level, *FOLLOWS.get(spec.level or "", ())}
        within = arms.groupby(["model.name", *([spec.level] if spec.level else [])], dropna=False)
        varying = within.nunique().max() > 1 if len(arms) else {}
        # a net without norm has no placement, which tells nothing beside its norm
        had = arms.assign(placement=arms["placement"].replace("none", np.nan))
        names = [c for c in FIRST if c not in told and had[c].nunique() > 1]
        others = (c for c in config_columns(runs) if c not in (*FIRST, *told))
        columns = [*names, *(c for c in others if varying.get(c))]
    found: dict[tuple[str, Any], list[Pair]] = {}
    for pair, own in zip(pairs, arms.to_dict("records"), strict=True):
        words = " · ".join(level_label(c, own[c]) for c in columns if is_had(c, own[c]))
        found.setdefault((words, own[spec.level] if spec.level else None), []).append(pair)
    return found


def _numbers(runs: pd.DataFrame, metric: str) -> dict[str, pd.Series]:
    """The final numbers of each arm by seed: accuracies in %, logarithms of steps."""
    ended = finished(runs)
    try:
        values = pd.Series(final(ended, metric), dtype=float)
    except ValueError:  # what was asked for of these runs does not measure it
        return {}
    values = 100 * values if is_accuracy(metric) else values
    values = values.where(values > 0).map(math.log) if is_time(metric) else values
    values = values.where(np.isfinite(values)).set_axis(ended["seed"])
    return {str(arm): own for arm, own in values.groupby(ended["arm"].to_numpy(), sort=False)}


def is_time(metric: str) -> bool:
    """Whether a metric is the time to an accuracy, of which quotients count."""
    return metric.startswith(("steps_to/", "samples_to/"))


def _mean(values: Sequence[pd.Series]) -> pd.Series:
    """The mean over arms, seed by seed; NaN where one of them lacks."""
    return pd.concat(values, axis=1).mean(axis=1, skipna=False)


def _difference(ones: Sequence[pd.Series], others: Sequence[pd.Series], metric: str) -> Interval:
    """Compare by seed, in the mean over pairs of arms."""
    pairs = [one - other for one, other in zip(ones, others, strict=True)]
    if not is_time(metric):
        return mean_interval(_mean(pairs))
    log = mean_interval(-_mean(pairs))
    return Interval(math.exp(log.estimate), math.exp(log.low), math.exp(log.high), log.n)


def _side(
    runs: pd.DataFrame, arms: Collection[str], values: Sequence[pd.Series], metric: str
) -> Side:
    own = runs[runs["arm"].isin(arms)]
    ended = finished(own)
    numbers = _mean(values) if values else EMPTY
    mean = float(np.mean(numbers[np.isfinite(numbers)])) if np.isfinite(numbers).any() else np.nan
    diverged = ended["status"] == "diverged"
    return Side(
        float(np.exp(mean)) if is_time(metric) else mean,
        len(own),
        len(ended),
        int((~diverged & ~ended["stuck"]).sum()),
        int(diverged.sum()),
    )
