"""The results that claims read: the runs of experiments by arm, and measurements without runs.

Every comparison is checked before it is made: the seeds of the two sides are the same, runs that
share a seed began with the same weights and met the same batches, and no image is in two splits.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bnbench.analysis.load import ExperimentData, final, load
from bnbench.analysis.load import curve as curve_of
from bnbench.analysis.long_csv import read_table
from bnbench.request.tuning import SCORE, best_place, mean_accuracy
from bnbench.tracking.experiment_dir import experiment_path
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import OUTCOMES

FIRST_TUNING_SEED = 100  # seeds from 100 on choose learning rates; smaller ones report


class IntegrityError(ValueError):
    """Runs that must not be compared: the report stops."""


class LackingError(ValueError):
    """Runs or measurements that a claim needs are not there."""


@dataclass(frozen=True)
class StudyArm:
    """One arm of an experiment.

    Attributes:
        experiment: its name.
        where: values of columns of runs.csv that single the arm out, learning rate aside; None for
            a setting that the arm does not have.
        rate: `tuned` for the best rate of the arm's own grid on the tuning seeds; or the learning
            rate; None if `where` alone singles the arm out.
    """

    experiment: str
    where: Mapping[str, Any] = field(hash=False)
    rate: Literal["tuned"] | float | None = "tuned"

    def but(self, **changes: Any) -> "StudyArm":
        """Return the arm with some values replaced; `__` in a name is the dot of a column."""
        rate = changes.pop("rate", self.rate)
        new = {key.replace("__", "."): value for key, value in changes.items()}
        return StudyArm(self.experiment, {**self.where, **new}, rate)


class Study:
    """The results of one data set, as the claims about it read them."""

    def __init__(self, results: Path, data: str):
        self.results, self.data = results, data
        self._experiments: dict[str, ExperimentData] = {}

    def experiment(self, name: str) -> ExperimentData:
        """Load an experiment, once.

        Raises:
            LackingError: the experiment was never asked for.
        """
        if name not in self._experiments:
            folder = experiment_path(self.results, name, self.data)
            if not os.path.lexists(folder / "arms.csv"):
                raise LackingError(f"no runs of the experiment {name}")
            self._experiments[name] = load(folder)
        return self._experiments[name]

    @cached_property
    def folder(self) -> Path:
        """The folder of the claims about the data set."""
        return self.results / "claims" / self.data

    def measured(self, name: str) -> pd.DataFrame:
        """Read `measured/<name>.csv`, a measurement without runs.

        Raises:
            LackingError: the file is missing.
            DamagedError: the file is damaged.
        """
        try:
            return read_table(self.folder / "measured" / f"{name}.csv")
        except FileNotFoundError:
            raise LackingError(f"{name}.csv was not measured yet") from None

    def matching(self, arm: StudyArm) -> pd.DataFrame:
        """Select the runs that have the values of `arm.where`, at every rate and seed."""
        runs = self.experiment(arm.experiment).runs
        chosen = pd.Series(True, runs.index)
        for column, value in arm.where.items():
            if column not in runs:
                raise LackingError(f"{arm.experiment} has no column {column}")
            chosen &= _equals(runs[column], value)
        return runs[chosen]

    def grid(self, arm: StudyArm) -> pd.DataFrame:
        """Select the tuning runs of an arm, at every rate and seed.

        Raises:
            LackingError: there are no tuning runs, or not all are finished.
        """
        runs = self.matching(arm)
        runs = runs[runs["seed"] >= FIRST_TUNING_SEED]
        self._complete(arm, runs)
        if runs["arm"].nunique() != runs["optim.lr"].nunique():
            raise LackingError(f"{_words(arm)}: several arms have one learning rate")
        return runs.sort_values(["optim.lr", "seed"])

    def rate(self, arm: StudyArm) -> float | None:
        """The learning rate of an arm; a tuned one is the best on the tuning seeds."""
        if arm.rate != "tuned":
            return arm.rate
        grid = self.grid(arm)
        scores = grid.groupby("optim.lr")[SCORE].agg(mean_accuracy)
        return float(scores.index[best_place(list(scores))])

    def runs(self, arm: StudyArm, rate: float | None = None, tuning: bool = False) -> pd.DataFrame:
        """Select the reporting runs of one arm, or with `tuning` its tuning runs, indexed by seed.

        Raises:
            LackingError: `arm` singles out no arm or several, or not every run is finished.
        """
        rate = self.rate(arm) if rate is None else rate
        runs = self.matching(arm)
        if rate is not None:
            runs = runs[np.isclose(runs["optim.lr"], rate, rtol=1e-9, atol=0)]
        runs = runs[(runs["seed"] >= FIRST_TUNING_SEED) == tuning]
        self._complete(arm, runs)
        if runs["arm"].nunique() != 1:
            raise LackingError(f"{_words(arm)} at {rate or 'its rate'}: found several arms")
        return runs.set_index("seed").sort_index()

    def paired(self, arms: Iterable[StudyArm], rate: float | None = None) -> list[pd.DataFrame]:
        """Select the runs of some arms, each at its own rate or all at `rate`, paired by seed.

        At a common rate the tuning runs are read, since every arm has those at every rate.

        Raises:
            IntegrityError: the arms do not have the same seeds, or two runs with one seed began
                with other weights or met other batches.
        """
        frames = [self.runs(arm, rate, tuning=rate is not None) for arm in arms]
        first = frames[0]
        for other in frames[1:]:
            if list(other.index) != list(first.index):
                raise IntegrityError(
                    f"{arm_name(first)} has the seeds {list(first.index)} and {arm_name(other)} "
                    f"has {list(other.index)}: unpaired"
                )
        pairs = [(a, b, _shared(a, b)) for k, a in enumerate(frames) for b in frames[:k]]
        for seed in map(int, first.index):
            for frame in frames:
                if number := self.fingerprint(arm_name(frame), seed)["overlap"]:
                    raise IntegrityError(
                        f"{arm_name(frame)} seed {seed}: {number} images are in two of its splits: "
                        "what it was tested on it has seen"
                    )
            for a, b, shared in pairs:
                mark, other = (self.fingerprint(arm_name(frame), seed) for frame in (a, b))
                if differing := [key for key in shared if mark[key] != other[key]]:
                    raise IntegrityError(
                        f"{arm_name(b)} and {arm_name(a)} share the seed {seed} but not their "
                        f"{differing[0]}: unpaired"
                    )
        return frames

    @cache  # noqa: B019 - a study lives as long as its program
    def fingerprint(self, arm: str, seed: int) -> dict[str, Any]:
        """Read the fingerprint of a run: hashes of its first weights, batches and splits."""
        mark = RunFolder.of(self.results, arm, seed).read_summary().get("fingerprint")
        if not mark:
            raise IntegrityError(f"{arm} seed {seed}: no fingerprint tells what it was trained on")
        return mark

    def final(self, frame: pd.DataFrame, key: str) -> pd.Series:
        """Read the final metric `key` of runs, by seed."""
        return final(frame, key).astype(float)

    def curves(self, arm: StudyArm, frame: pd.DataFrame, key: str) -> pd.DataFrame:
        """Select the points `seed, step, value` of a metric of the runs in `frame`."""
        points = curve_of(self.experiment(arm.experiment), key)
        points = points[(points["arm"] == arm_name(frame)) & points["seed"].isin(frame.index)]
        if points.empty:
            raise LackingError(f"{_words(arm)}: no curve {key}")
        return points[["seed", "step", "value"]]

    def _complete(self, arm: StudyArm, runs: pd.DataFrame) -> None:
        if runs.empty:
            raise LackingError(f"{_words(arm)}: no such runs")
        lacking = runs[~runs["status"].isin(OUTCOMES)]
        if len(lacking):
            raise LackingError(f"{_words(arm)}: {len(lacking)} of {len(runs)} runs lack a result")


def _equals(column: pd.Series, value: Any) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, bool | str):
        return column.astype(str) == str(value)
    return column.astype(float) == float(value)


def _shared(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """List the parts of the fingerprint that runs of two arms with one seed must share."""
    a, b = one.iloc[0], other.iloc[0]

    def same(*columns: str) -> bool:
        return all(str(a[column]) == str(b[column]) for column in columns)

    shared = ["splits"]
    if same("model.name", "model.widths", "model.depth", "model.init"):
        shared.append("weights")
    if same("batch_size", "data.batches"):
        shared.append("batches")
    return shared


def arm_name(frame: pd.DataFrame) -> str:
    """The id of the arm that the runs of a frame are of."""
    return str(frame["arm"].iloc[0])


def _words(arm: StudyArm) -> str:
    return f"{arm.experiment}: {', '.join(f'{k}={v}' for k, v in arm.where.items())}"
