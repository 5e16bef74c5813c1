"""The results that claims read: the runs of experiments by arm, and measurements without runs.

Every comparison is checked before it is made: the seeds of the two sides are the same, runs that
share a seed began with the same weights and met the same batches, and no image is in two splits.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bnbench.analysis.load import ExperimentData, final, load
from bnbench.analysis.long_csv import read_table
from bnbench.claims.indexed import Indexed, LackingError, words_of
from bnbench.config.arms import TUNING_SEEDS
from bnbench.config.points import metric_key, restricted_mean
from bnbench.config.schema import NUM_CLASSES, Branch, Criterion
from bnbench.request.tuning import CRITERIA, best_place, score
from bnbench.tracking.experiment_dir import experiment_path
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import OUTCOMES

CURVE = "val/accuracy"  # on the same images from the first point to the last
GUESS = 1 / NUM_CLASSES  # the accuracy of a net that has diverged
PLACES = {"below": -1, "tuned": 0, "above": 1}  # of a rate on the grid, from the best

Curve = tuple[list[float], list[float]]  # steps and values of a curve


class IntegrityError(ValueError):
    """Runs that must not be compared: the report stops."""


@dataclass(frozen=True)
class StudyArm:
    """One arm of an experiment.

    Attributes:
        experiment: its name.
        where: values of columns of runs.csv that single the arm out, learning rate aside; None for
            a setting that the arm does not have.
        rate: `tuned` for the best rate of the arm's own grid on the tuning seeds, `below` and
            `above` for its neighbours there; another arm, for that arm's rate; or the learning
            rate; None if `where` alone singles the arm out.
    """

    experiment: str
    where: Mapping[str, Any] = field(hash=False)
    rate: "Literal['tuned', 'below', 'above'] | StudyArm | float | None" = "tuned"

    @property
    def is_tuned(self) -> bool:
        """Whether the rate is the best of a grid."""
        return self.rate.is_tuned if isinstance(self.rate, StudyArm) else self.rate == "tuned"

    def beside(self, place: Literal["below", "above"]) -> "StudyArm":
        """Return the arm at a neighbour of its tuned rate."""
        rate = self.rate.beside(place) if isinstance(self.rate, StudyArm) else place
        return self.but(rate=rate)

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
        self._indexed: dict[str, Indexed] = {}

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

    def indexed(self, name: str) -> Indexed:
        """Load an experiment with what was looked up in it so far."""
        data, known = self.experiment(name), self._indexed.get(name)
        if known is None or known.data is not data:
            known = self._indexed[name] = Indexed(data)
        return known

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
        """Select the runs that have the values of `arm.where`, at every rate and seed.

        Raises:
            LackingError: the runs have no such column.
        """
        return self.indexed(arm.experiment).having(arm.where)

    def grid(self, arm: StudyArm) -> pd.DataFrame:
        """Select the tuning runs of an arm, at every rate and seed.

        Raises:
            LackingError: there are no tuning runs, or not all are finished.
        """
        runs = self.matching(arm)
        runs = runs[runs["seed"].isin(TUNING_SEEDS)]
        self._complete(arm, runs)
        if runs["arm"].nunique() != runs["optim.lr"].nunique():
            raise LackingError(f"{_words(arm)}: several arms have one learning rate")
        return runs.sort_values(["optim.lr", "seed"])

    def criterion(self, experiment: str) -> str:
        """The statistic that the rates of an experiment are compared by, of `CRITERIA`."""
        return (self.experiment(experiment).info.get("tune") or {}).get("by", "accuracy")

    def scores(self, arm: StudyArm, by: str | None = None) -> pd.DataFrame:
        """Score the tuning runs of an arm: a row for each seed, a column for each rate.

        Args:
            arm: the arm.
            by: `accuracy` for the mean of the last five evaluations on all validation images,
                `area` for that of the validation accuracy over the run, `tasks` as `accuracy` with
                each image among the classes of its own task; by default the criterion of its
                experiment. A net that has diverged can but guess.
        """
        criterion = Criterion[by or self.criterion(arm.experiment)]
        known, key = self.indexed(arm.experiment).scores, (words_of(arm.where), str(criterion))
        if key not in known:
            columns = {}
            for rate, runs in self.grid(arm).groupby("optim.lr"):
                frame = runs.set_index("seed")
                curves = self.curve_by_seed(arm, frame, metric_key(*CRITERIA[criterion]))
                budget = float(frame["train.steps"].iloc[0])
                columns[rate] = {
                    s: score(criterion, curve, budget, GUESS) if curve[0] else GUESS
                    for s, curve in curves.items()
                }
            known[key] = pd.DataFrame(columns).sort_index()
        return known[key]

    def rate(self, arm: StudyArm) -> float | None:
        """The learning rate of an arm; a tuned one has the best mean score on the tuning seeds.

        Raises:
            LackingError: no rate was tried on that side of the best one.
        """
        if isinstance(arm.rate, StudyArm):
            return self.rate(arm.rate)
        if not isinstance(arm.rate, str):
            return arm.rate
        means = self.scores(arm).fillna(GUESS).mean()
        best = best_place(list(means))
        place = best + PLACES[arm.rate]
        if not 0 <= place < len(means):
            raise LackingError(
                f"{_words(arm)}: no rate was tried {arm.rate} the best, {means.index[best]:g}"
            )
        return float(means.index[place])

    def runs(self, arm: StudyArm, rate: float | None = None, tuning: bool = False) -> pd.DataFrame:
        """Select the reporting runs of one arm, or with `tuning` its tuning runs, indexed by seed.

        Raises:
            LackingError: `arm` singles out no arm or several, or not every run is finished.
        """
        rate = self.rate(arm) if rate is None else rate
        runs = self.matching(arm)
        if rate is not None:
            runs = runs[np.isclose(runs["optim.lr"], rate, rtol=1e-9, atol=0)]
        runs = runs[runs["seed"].isin(TUNING_SEEDS) == tuning]
        self._complete(arm, runs)
        if runs["arm"].nunique() != 1:
            raise LackingError(f"{_words(arm)} at {rate or 'its rate'}: found several arms")
        return runs.set_index("seed").sort_index()

    def paired(
        self, arms: Iterable[StudyArm], rate: float | None = None, tuning: bool = False
    ) -> list[pd.DataFrame]:
        """Select the runs of some arms, each at its own rate or all at `rate`, paired by seed.

        With `tuning`, and at a common rate, which every arm was tried at, those are the tuning
        runs.

        Raises:
            IntegrityError: the arms do not have the same seeds, or two runs with one seed began
                with other weights or met other batches.
        """
        frames = [self.runs(arm, rate, tuning or rate is not None) for arm in arms]
        self._check_pairs(frames, frames)
        return frames

    def at_every_rate(self, arms: Iterable[StudyArm]) -> list[pd.DataFrame]:
        """Select the reporting runs of some arms at every rate that each seed was run at.

        Raises:
            LackingError: not every run is finished, or an arm has a seed and a rate twice.
            IntegrityError: see `paired`.
        """
        found = []
        for arm in arms:
            runs = self.matching(arm)
            runs = runs[~runs["seed"].isin(TUNING_SEEDS)]
            self._complete(arm, runs)
            if runs.duplicated(["seed", "optim.lr"]).any():
                raise LackingError(f"{_words(arm)}: several arms have one learning rate")
            found.append(runs.set_index("seed").sort_values("optim.lr").sort_index(kind="stable"))
        each = [frame for runs in found for _, frame in runs.groupby("arm", sort=False)]
        self._check_pairs(found, each)
        return found

    def _check_pairs(self, sides: Sequence[pd.DataFrame], frames: Sequence[pd.DataFrame]) -> None:
        """Check that sides have the same seeds, and runs that share one what they must share.

        Args:
            sides: the runs of each side of a comparison, indexed by seed.
            frames: the same runs, those of each arm by themselves.
        """
        seeds = list(sides[0].index.unique())
        for other in sides[1:]:
            if list(other.index.unique()) != seeds:
                raise IntegrityError(
                    f"{arm_name(sides[0])} has the seeds {seeds} and {arm_name(other)} has "
                    f"{list(other.index.unique())}: unpaired"
                )
        names = [arm_name(frame) for frame in frames]
        pairs = [
            (i, k, _shared(frames[i], frames[k])) for i, k in combinations(range(len(frames)), 2)
        ]
        for seed in map(int, seeds):
            marks = {
                place: self.fingerprint(name, seed)
                for place, (name, frame) in enumerate(zip(names, frames, strict=True))
                if seed in frame.index
            }
            for place, mark in marks.items():
                if number := mark["overlap"]:
                    raise IntegrityError(
                        f"{names[place]} seed {seed}: {number} images are in two of its splits: "
                        "what it was tested on it has seen"
                    )
            for i, k, shared in pairs:
                if not {i, k} <= marks.keys():
                    continue
                if differing := [key for key in shared if marks[i][key] != marks[k][key]]:
                    raise IntegrityError(
                        f"{names[i]} and {names[k]} share the seed {seed} but not their "
                        f"{differing[0]}: unpaired"
                    )

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
        points = self.indexed(arm.experiment).curve(arm_name(frame), key)
        points = points[points["seed"].isin(frame.index)]
        if points.empty:
            raise LackingError(f"{_words(arm)}: no curve {key}")
        return points

    def curve_by_seed(self, arm: StudyArm, frame: pd.DataFrame, key: str) -> dict[int, Curve]:
        """Read the curve of each run in `frame`, by seed; empty for a run without a point.

        Raises:
            IntegrityError: the curve of a run that did not diverge ends before the run.
        """
        found: dict[Any, Curve] = {seed: ([], []) for seed in frame.index}
        for seed, own in self.curves(arm, frame, key).groupby("seed"):
            found[seed] = (own["step"].tolist(), own["value"].tolist())
        for seed, run in frame[frame["status"] == "done"].iterrows():
            steps, budget = found[seed][0], int(run["train.steps"])
            if not steps or steps[-1] != budget:
                raise IntegrityError(
                    f"{run['arm']} seed {seed}: its curve {key} ends at step "
                    f"{steps[-1] if steps else 0} of {budget}: not all of the run is there"
                )
        return found

    def _complete(self, arm: StudyArm, runs: pd.DataFrame) -> None:
        if runs.empty:
            raise LackingError(f"{_words(arm)}: no such runs")
        lacking = runs[~runs["status"].isin(OUTCOMES)]
        if len(lacking):
            raise LackingError(f"{_words(arm)}: {len(lacking)} of {len(runs)} runs lack a result")


def mean_over_run(steps: Sequence[float], values: Sequence[float], budget: float) -> float:
    """Average a curve of accuracies over the budget; a net that has diverged can but guess."""
    return restricted_mean(steps, values, budget, GUESS) if steps else GUESS


def _shared(one: pd.DataFrame, other: pd.DataFrame) -> list[str]:
    """List the parts of the fingerprint that runs of two arms with one seed must share."""
    a, b = one.iloc[0], other.iloc[0]

    def same(*columns: str) -> bool:
        # a setting that is as ever may have no column
        return all(str(a.get(column)) == str(b.get(column)) for column in columns)

    shared = ["splits"]
    of_fixup = [row.get("model.branch") == Branch.fixup for row in (a, b)]  # which rescales them
    is_like = same("model.name", "model.widths", "model.depth", "model.init", "model.init_scale")
    if is_like and of_fixup[0] == of_fixup[1]:
        shared.append("weights")
    if same("batch_size", "data.batches", "data.tasks"):
        shared.append("batches")
    return shared


def arm_name(frame: pd.DataFrame) -> str:
    """The id of the arm that the runs of a frame are of."""
    return str(frame["arm"].iloc[0])


def _words(arm: StudyArm) -> str:
    return f"{arm.experiment}: {words_of(arm.where)}"
