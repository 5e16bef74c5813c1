"""A study whose runs are made by hand; small data sets in the true formats."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from small_files import small as small
from small_files import small_root as small_root
from small_files import small_tables as small_tables

from bnbench.analysis.load import ExperimentData
from bnbench.claims.study import LackingError, Study

COLUMNS = {
    "status": "done",
    "stuck": False,
    "model.name": "mlp",
    "model.widths": "[100]",
    "model.depth": "[1]",
    "model.init": "he",
    "norm.name": "none",
    "data.batches": "reshuffled",
    "batch_size": 64,
    "optim.lr": 0.1,
    "train.steps": 100,
    "train/accuracy": 1.0,
    "val/accuracy": 0.9,
    "val_all/accuracy": 0.9,
    "test/accuracy": 0.9,
}


@dataclass
class ByHand(Study):
    """Runs, curves and shifts of one experiment, `x`; what is not given has a default.

    An accuracy without a curve of its own has one that is the same at five points.
    """

    rows: list[dict] = field(default_factory=list)
    points: list[tuple] = field(default_factory=list)  # arm, seed, step, key, value
    shifts: list[tuple] = field(
        default_factory=list
    )  # arm, seed, shift, severity, policy, accuracy
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    marks: dict[tuple[str, int], dict] = field(default_factory=dict)
    info: dict = field(default_factory=dict)

    def __post_init__(self):
        super().__init__(Path("results"), "digits")

    def run(self, arm, seed, **values):
        """Add a run; `__` in a name is a dot, `acc` the test accuracy, `val` that in validation."""
        named = {key.replace("__", "."): value for key, value in values.items()}
        if "acc" in named:
            named["test/accuracy"] = named.pop("acc")
        if "val" in named:
            named["val/accuracy"] = named["val_all/accuracy"] = named.pop("val")
        self.rows.append({**COLUMNS, "arm": arm, "seed": seed, **named})

    def diverge(self, arm, *seeds):
        """Let runs that were added have diverged."""
        for row in self.rows:
            if row["arm"] == arm and row["seed"] in seeds:
                row["status"] = "diverged"

    def experiment(self, name):
        if name != "x":
            raise LackingError(f"no runs of the experiment {name}")
        drawn = {(arm, seed, key) for arm, seed, _, key, _ in self.points}
        flat = [
            (row["arm"], row["seed"], k * row["train.steps"] / 5, key, value)
            for row in self.rows
            for key, value in row.items()
            if key.endswith("/accuracy") and (row["arm"], row["seed"], key) not in drawn
            for k in range(1, 6)
        ]
        points = [
            (a, seed, step, step, *split_key(key), value)
            for a, seed, step, key, value in [*self.points, *flat]
        ]
        curves = pd.DataFrame(
            points, columns=["arm", "seed", "step", "samples", "split", "layer", "metric", "value"]
        )
        shifts = pd.DataFrame(
            [(*row[:5], "accuracy", row[5]) for row in self.shifts],
            columns=["arm", "seed", "shift", "severity", "policy", "metric", "value"],
        )
        return ExperimentData(
            "x", "digits", Path(), self.info, pd.DataFrame(self.rows), curves, shifts
        )

    def measured(self, name):
        if name not in self.tables:
            raise LackingError(f"{name}.csv was not measured yet")
        return self.tables[name]

    def fingerprint(self, arm, seed):
        same = {"weights": f"w{seed}", "batches": f"b{seed}", "splits": "s", "overlap": 0}
        return same | self.marks.get((arm, seed), {})

    __hash__ = object.__hash__


def split_key(key):
    split, metric, *layer = key.split("/")
    return split, layer[0] if layer else "", metric


@pytest.fixture
def study():
    return ByHand()
