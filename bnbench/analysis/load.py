"""Read one experiment's files into three tidy tables: runs, curves and shifts."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.long_csv import Source, read_long
from bnbench.config.arms import AS_EVER, DATA_SIZES
from bnbench.config.points import metric_key, split_key
from bnbench.config.quantities import layers_per_width, peak_rate
from bnbench.config.schema import BATCH_NORMS, POPULATION, LrScaling, Policy
from bnbench.tracking.experiment_dir import (
    RunTable,
    columns,
    is_record,
    outcome,
    read_experiment,
    read_rows,
    tabulate,
)
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.shapes import OUTCOMES
from bnbench.tracking.upload import read_science, trained

STATUSES = (*OUTCOMES, "failed", "interrupted", "running", "missing")
NEEDED = (
    *("arm", "seed", "status", "stuck", "model.name", "model.widths", "model.depth", "norm.name"),
    *("placement", "data.name", "optim.base_lr", "optim.lr_mult", "batch_size", "train.steps"),
    "train.thresholds",
)
MEASURED = ("steps", "samples", "seconds", "parameters")
NUMBERS = ("seed", "batch_size", "optim.base_lr", "optim.lr_mult", "train.steps")
KEPT = "data.train_images"  # a column of arms that train on a part of the training images
SIZES = "data.sizes"  # a column of arms on the user's own data: images to train, validate, test
LISTS = ("model.widths", "model.depth", "train.thresholds")
SCALINGS = set(LrScaling)
DERIVED = ("epochs", "optim.lr", "hidden_layers")
CURVES = {"step": int, "samples": int, "split": str, "layer": str, "metric": str, "value": float}
SHIFTS = {"shift": str, "severity": int, "policy": str, "metric": str, "value": float}


@dataclass(frozen=True)
class ExperimentData:
    """The measurements of one experiment on one data set.

    Attributes:
        folder: `results/experiments/<name>/<data>`.
        info: experiment.json; empty where there is none.
        runs: one row per asked-for run: runs.csv, `DERIVED` columns and a boolean `stuck`.
        curves: metrics.csv of every finished run in long form, with `arm` and `seed`.
        shifts: shifts.csv of every finished run, likewise.
    """

    name: str
    data: str
    folder: Path
    info: dict[str, Any]
    runs: pd.DataFrame
    curves: pd.DataFrame
    shifts: pd.DataFrame

    def reporting(self) -> "ExperimentData":
        """Select the runs to report: all but those that tuned learning rates."""
        return self._of(tuning=False) if self._tuned_on else self

    def tuning(self) -> "ExperimentData":
        """Select the runs that tuned learning rates."""
        return self._of(tuning=True)

    @property
    def found(self) -> frozenset[str]:
        """The ids of the arms whose learning rate was found by tuning."""
        return frozenset((self.info.get("tune") or {}).get("arms", ()))

    @property
    def _tuned_on(self) -> list[int]:
        return (self.info.get("tune") or {}).get("seeds", [])

    def _of(self, tuning: bool) -> "ExperimentData":
        tables = (self.runs, self.curves, self.shifts)
        runs, curves, shifts = (t[t["seed"].isin(self._tuned_on) == tuning] for t in tables)
        return replace(self, runs=runs, curves=curves, shifts=shifts)


def load(folder: Path) -> ExperimentData:
    """Load `results/experiments/<name>/<data>` and the runs that it lists.

    The table of runs is derived anew from arms.csv and the runs, so that neither an old runs.csv
    nor one that was edited matters; where there are no runs, runs.csv is the record.

    Raises:
        ValueError: a file is damaged or malformed; one line that names the file.
    """
    bare, results = load_runs(folder), folder.parents[2]
    ended = finished(bare.runs)
    runs = zip(ended["arm"], ended["seed"], strict=True)
    folders = [RunFolder.of(results, arm, seed) for arm, seed in runs]
    sources = [(folder, _summary(folder)) for folder in folders]
    curves = _long([(folder.metrics, summary) for folder, summary in sources], ended, CURVES)
    shifts = _long([(folder.shifts, summary) for folder, summary in sources], ended, SHIFTS)
    return replace(bare, curves=curves, shifts=shifts)


def load_runs(folder: Path) -> ExperimentData:
    """Load the table of runs alone, without curves and shifts, which is much quicker.

    Raises:
        ValueError: a file is damaged or malformed; one line that names the file.
    """
    results, name, data = folder.parents[2], folder.parent.name, folder.name
    info = read_experiment(folder)
    if is_record(results, name, data):
        rows = read_rows(folder / "runs.csv")
        runs = _runs(folder / "runs.csv", list(rows[0]) if rows else [], map(dict.values, rows))
    else:
        table = tabulate(results, name, data)
        if table.damaged:
            others = len(table.damaged) - 1
            raise ValueError(table.damaged[0] + (f" (and {others} more)" if others else ""))
        runs = _runs(folder / "arms.csv", table.header, table.cells())
    none = pd.DataFrame({"arm": [], "seed": []})
    return ExperimentData(name, data, folder, info, runs, none, none)


def load_finished(results: Path) -> ExperimentData:
    """Load every finished run of a results folder, whoever asked for it.

    Raises:
        ValueError: a file is damaged or malformed; one line that names the file.
    """
    bare = load_finished_runs(results)
    names = zip(bare.runs["arm"], bare.runs["seed"], strict=True)
    folders = [RunFolder.of(results, arm, int(seed)) for arm, seed in names]
    sources = [(run, _summary(run)) for run in folders]
    curves = _long([(run.metrics, summary) for run, summary in sources], bare.runs, CURVES)
    shifts = _long([(run.shifts, summary) for run, summary in sources], bare.runs, SHIFTS)
    return replace(bare, curves=curves, shifts=shifts)


def load_finished_runs(results: Path) -> ExperimentData:
    """Load the table of every finished run of a results folder, without curves and shifts.

    Raises:
        ValueError: a file is damaged or malformed; one line that names the file.
    """
    folders = [run for run in trained(results) if run.state() == State.done]
    rows = [
        {"arm": run.arm, "seed": run.seed, **columns(read_science(run)), **outcome(run)}
        for run in folders
    ]
    table = RunTable(list(dict.fromkeys(key for row in rows for key in row)), rows, [])
    none = pd.DataFrame({key: [] for key in (*NEEDED, *MEASURED)})
    runs = _runs(results / "runs", table.header, table.cells()) if rows else none
    bare = pd.DataFrame({"arm": [], "seed": []})
    return ExperimentData("", "", results, {}, runs, bare, bare)


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """Select the runs that have a result, diverged ones included."""
    return runs[runs["status"].isin(OUTCOMES)]


def config_columns(runs: pd.DataFrame) -> list[str]:
    """List the columns of the science config: no bookkeeping, measured or derived ones."""
    other = {"arm", "seed", "status", "stuck", *MEASURED, *DERIVED}
    return [column for column in map(str, runs) if column not in other and "/" not in column]


def settings_of(runs: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Read the science config of each arm: arm id -> column -> value."""
    config = runs.drop_duplicates("arm").set_index("arm")[config_columns(runs)]
    return {str(arm): {str(key): own[key] for key in own.index} for arm, own in config.iterrows()}


def final(runs: pd.DataFrame, key: str) -> pd.Series:
    """Read the final metric `key` of every run.

    A net without population statistics is the same under every policy, so a key with a policy
    (`test@precise/accuracy`) reads that net's plain key (`test/accuracy`). Only such nets have
    `test@recalibrated/accuracy`, which is read as it stands.
    """
    plain = _plain(key)
    if key not in runs and plain not in runs:
        allowed = ", ".join(_metric_columns(runs))
        raise ValueError(f"no run has the metric {key!r}: expected one of {allowed}")
    absent = pd.Series(np.nan, runs.index)
    has_policies = has_population(runs)
    return runs.get(key, absent).where(has_policies, runs.get(plain, absent))


def curve(experiment: ExperimentData, key: str) -> pd.DataFrame:
    """Select the points `arm, seed, step, samples, value` of `split/metric[/layer]`.

    As in `final`, nets without population statistics contribute their plain split.
    """
    points = experiment.curves
    rows = points[_is(points, key)]
    if _plain(key) != key:
        named = experiment.runs.loc[has_population(experiment.runs), "arm"]
        rows = pd.concat([rows, points[_is(points, _plain(key)) & ~points["arm"].isin(named)]])
    return rows[["arm", "seed", "step", "samples", "value"]]


def has_population(runs: pd.DataFrame) -> pd.Series:
    """Tell for each row whether its norm has population statistics, those of plugins included."""
    own = runs.get(f"norm.{POPULATION}", pd.Series(np.nan, runs.index))
    return runs["norm.name"].isin(BATCH_NORMS) | own.notna()


def _plain(key: str) -> str:
    """Take the policy of population statistics out of a key `split@policy/metric`.

    `train@batch` stays: it names no policy, but training losses and probes.
    """
    split, *rest = split_key(key)
    name, _, policy = split.partition("@")
    is_plain = split == "train@batch" or policy == Policy.recalibrated
    return key if is_plain else metric_key(name, *rest)


def _is(points: pd.DataFrame, key: str) -> pd.Series:
    split, metric, layer = split_key(key)
    same = (points["split"] == split) & (points["metric"] == metric)
    return same & (points["layer"] == layer)


def _runs(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> pd.DataFrame:
    """Make the table of runs from the cells of runs.csv; errors name the file `path`."""
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    text.seek(0)
    try:
        runs = pd.read_csv(
            text,
            keep_default_na=False,
            na_values={column: ["", "nan"] for column in header if column != "arm"},
            dtype={"arm": str},
            low_memory=False,
        ).copy()  # one block: adding columns to hundreds is slow
        _check(runs)
        return runs.assign(
            stuck=runs["stuck"].astype(str).str.lower() == "true",
            seconds=runs.get("seconds", np.nan),
            **_derived(runs),
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check(runs: pd.DataFrame) -> None:
    if lacking := [column for column in NEEDED if column not in runs]:
        raise ValueError(f"no column {', '.join(lacking)}")
    if unknown := sorted(set(runs["status"].astype(str)) - set(STATUSES)):
        raise ValueError(f"status {unknown[0]}: expected one of {', '.join(STATUSES)}")
    for column in [*NUMBERS, *_metric_columns(runs), *runs.columns.intersection([*MEASURED])]:
        if not pd.api.types.is_numeric_dtype(runs[column]):
            raise ValueError(f"column {column} holds something that is not a number")
    for column in (*LISTS, *([SIZES] if SIZES in runs else [])):
        for value in runs[column].dropna().unique() if column == SIZES else runs[column].unique():
            if not _is_list_of_numbers(value):
                raise ValueError(f"column {column} holds something that is not a list of numbers")


def _is_list_of_numbers(text: Any) -> bool:
    try:
        values = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return False
    return isinstance(values, list) and all(type(value) in (int, float) for value in values)


def _metric_columns(runs: pd.DataFrame) -> list[str]:
    return [column for column in map(str, runs) if "/" in column]


def _derived(runs: pd.DataFrame) -> dict[str, pd.Series]:
    sizes = runs[SIZES] if SIZES in runs else [None] * len(runs)
    counts = list(map(_num_train, runs["data.name"], sizes))
    num_train = pd.Series(counts, runs.index, dtype=float)
    if KEPT in runs:
        num_train = runs[KEPT].fillna(num_train)
    layers = map(_hidden_layers, runs["model.widths"], runs["model.depth"])
    return {
        "epochs": runs["train.steps"] / (num_train // runs["batch_size"]),
        "optim.lr": pd.Series(_rates(runs), runs.index, dtype=float),
        "hidden_layers": pd.Series(list(layers), runs.index, dtype=float),
        **{key: runs[key].fillna(value) for key, value in AS_EVER.items() if key in runs},
    }


def _num_train(name: str, sizes: Any) -> float:
    """Count the training images of a data set: of one's own as told, else as known by its name."""
    if isinstance(sizes, str):
        return float([*json.loads(sizes), math.nan][0])
    return float(DATA_SIZES[name][0]) if name in DATA_SIZES else math.nan


def _rates(runs: pd.DataFrame) -> list[float]:
    """Compute the rate of each run at step 1; NaN where its scaling is unknown."""
    scaling = runs.get("optim.lr_scaling", pd.Series(LrScaling.none, runs.index))
    keys = (runs["optim.base_lr"], runs["optim.lr_mult"], scaling, runs["batch_size"])
    rows = zip(*(column.tolist() for column in keys), strict=True)
    return [peak_rate(*row) if row[2] in SCALINGS else math.nan for row in rows]


def _hidden_layers(widths: str, depth: str) -> int:
    """Count the hidden layers: depth is one number per width, or one for all widths."""
    return sum(layers_per_width(json.loads(widths), json.loads(depth)))


def _summary(folder: RunFolder) -> Mapping[str, Any]:
    """Read the summary of a run; {} without one."""
    try:
        return folder.read_summary()
    except FileNotFoundError:
        return {}


def _long(
    sources: Sequence[Source], runs: pd.DataFrame, columns: Mapping[str, type]
) -> pd.DataFrame:
    """Join the rows of one file of each run into one table."""
    table, lengths = read_long(sources, columns)
    table.insert(0, "seed", np.repeat(runs["seed"].to_numpy(), lengths))
    table.insert(0, "arm", runs["arm"].astype("category").repeat(lengths).reset_index(drop=True))
    return table
