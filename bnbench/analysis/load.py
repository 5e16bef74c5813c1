"""Read one experiment's files into three tidy tables: runs, curves and shifts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bnbench.analysis.long_csv import read_long
from bnbench.config import BATCH_NORMS, DATA_SIZES
from bnbench.schema import TUNED_BATCH

FINISHED = ("done", "diverged")
STATUSES = (*FINISHED, "failed", "interrupted", "running", "missing")
NEEDED = (
    *("arm", "seed", "status", "stuck", "model.name", "model.widths", "model.depth", "norm.name"),
    *("placement", "data.name", "optim.base_lr", "optim.lr_mult", "batch_size", "train.steps"),
    "train.thresholds",
)
MEASURED = ("steps", "samples", "seconds", "parameters")
DERIVED = ("epochs", "optim.lr", "hidden_layers")
CURVES = {"step": int, "samples": int, "split": str, "layer": str, "metric": str, "value": float}
SHIFTS = {"shift": str, "severity": int, "policy": str, "metric": str, "value": float}


@dataclass(frozen=True)
class Experiment:
    """What one experiment measured on one data set.

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


def find(results: Path) -> list[Path]:
    """The experiment folders of a results root, by name."""
    return sorted(path.parent for path in results.glob("experiments/*/*/runs.csv"))


def load(folder: Path) -> Experiment:
    """Load `results/experiments/<name>/<data>` and the runs that it lists.

    Raises:
        ValueError: a file is malformed; one line that names the file and what is wrong with it.
    """
    root = folder.parents[2] / "runs"
    info = _json(folder / "experiment.json") if (folder / "experiment.json").exists() else {}
    runs = _runs(folder / "runs.csv")
    ended = finished(runs)
    return Experiment(
        name=folder.parent.name,
        data=folder.name,
        folder=folder,
        info=info,
        runs=runs,
        curves=_long(root, ended, "metrics.csv", CURVES),
        shifts=_long(root, ended, "shifts.csv", SHIFTS),
    )


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that have a result; a diverged run is a result."""
    return runs[runs["status"].isin(FINISHED)]


def config_columns(runs: pd.DataFrame) -> list[str]:
    """The columns that hold the science config: neither bookkeeping, nor measured, nor derived."""
    other = {"arm", "seed", "status", "stuck", *MEASURED, *DERIVED}
    return [column for column in map(str, runs) if column not in other and "/" not in column]


def final(runs: pd.DataFrame, key: str) -> pd.Series:
    """The final metric `key` of every run.

    A net without population statistics is the same under every policy, so a key with a policy
    (`test@precise/accuracy`) reads its plain one (`test/accuracy`).
    """
    plain = _plain(key)
    if key not in runs and plain not in runs:
        allowed = ", ".join(_metric_columns(runs))
        raise ValueError(f"no run has the metric {key!r}: expected one of {allowed}")
    absent = pd.Series(np.nan, runs.index)
    has_policies = runs["norm.name"].isin(BATCH_NORMS)
    return runs.get(key, absent).where(has_policies, runs.get(plain, absent))


def curve(experiment: Experiment, key: str) -> pd.DataFrame:
    """The points `arm, seed, step, samples, value` of `split/metric` or `split/metric/layer`.

    As in `final`, nets without population statistics stand in with their plain split.
    """
    points = experiment.curves
    rows = points[_is(points, key)]
    if _plain(key) != key:
        named = experiment.runs.loc[experiment.runs["norm.name"].isin(BATCH_NORMS), "arm"]
        rows = pd.concat([rows, points[_is(points, _plain(key)) & ~points["arm"].isin(named)]])
    return rows[["arm", "seed", "step", "samples", "value"]]


def _plain(key: str) -> str:
    """`split@policy/metric` without the policy; `train@batch` is no policy but a mean of losses."""
    split, _, metric = key.partition("/")
    return key if split == "train@batch" else f"{split.partition('@')[0]}/{metric}"


def _is(points: pd.DataFrame, key: str) -> pd.Series:
    split, metric, layer = (*key.split("/", 2), "", "")[:3]
    same = (points["split"] == split) & (points["metric"] == metric)
    return same & (points["layer"] == layer)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object")
    return value


def _runs(path: Path) -> pd.DataFrame:
    try:
        runs = pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if lacking := [column for column in NEEDED if column not in runs]:
        raise ValueError(f"{path}: no column {', '.join(lacking)}")
    if unknown := sorted(set(runs["status"].astype(str)) - set(STATUSES)):
        raise ValueError(f"{path}: status {unknown[0]}: expected one of {', '.join(STATUSES)}")
    for column in ["seed", *_metric_columns(runs), *runs.columns.intersection([*MEASURED])]:
        if not pd.api.types.is_numeric_dtype(runs[column]):
            raise ValueError(f"{path}: column {column} holds something that is not a number")
    runs["stuck"] = runs["stuck"].astype(str).str.lower() == "true"
    return runs.assign(seconds=runs.get("seconds", np.nan), **_derived(runs))


def _metric_columns(runs: pd.DataFrame) -> list[str]:
    return [column for column in map(str, runs) if "/" in column]


def _derived(runs: pd.DataFrame) -> dict[str, pd.Series]:
    num_train = runs["data.name"].map({name: size[0] for name, size in DATA_SIZES.items()})
    layers = map(_hidden_layers, runs["model.widths"], runs["model.depth"])
    return {
        "epochs": runs["train.steps"] / (num_train // runs["batch_size"]),
        "optim.lr": runs["optim.base_lr"] * runs["optim.lr_mult"] * _lr_scale(runs),
        "hidden_layers": pd.Series(list(layers), runs.index, dtype=float),
    }


def _lr_scale(runs: pd.DataFrame) -> pd.Series | float:
    """What lr_scaling makes of the batch size, as in `bnbench.config.learning_rate`."""
    if "optim.lr_scaling" not in runs:
        return 1.0
    power = runs["optim.lr_scaling"].map({"none": 0.0, "linear": 1.0, "sqrt": 0.5})
    return (runs["batch_size"] / TUNED_BATCH) ** power


def _hidden_layers(widths: str, depth: str) -> int:
    """The layers of a net: depth is one number per width, or one for all widths."""
    layers = json.loads(depth)
    return sum(layers) * (len(json.loads(widths)) if len(layers) == 1 else 1)


def _long(root: Path, runs: pd.DataFrame, name: str, columns: Mapping[str, type]) -> pd.DataFrame:
    """The rows of one file per run as one table; runs without the file have no rows."""
    files = [
        root / arm / f"seed-{seed}" / name
        for arm, seed in zip(runs["arm"], runs["seed"], strict=True)
    ]
    table, lengths = read_long(files, columns)
    table.insert(0, "seed", np.repeat(runs["seed"].to_numpy(), lengths))
    table.insert(0, "arm", runs["arm"].astype("category").repeat(lengths).to_numpy())
    return table
