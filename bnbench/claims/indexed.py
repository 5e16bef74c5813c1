"""An experiment with what is looked up in it again and again: the runs and curves of an arm."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import pandas as pd

from bnbench.analysis.load import ExperimentData, curve


class LackingError(ValueError):
    """Runs or measurements that a claim needs are not there."""


class Indexed:
    """The measurements of an experiment, in which each look-up is made once.

    Attributes:
        data: the experiment.
        scores: the scores of tuning runs, by the values that single out an arm, and criterion.
    """

    def __init__(self, data: ExperimentData):
        self.data = data
        self.scores: dict[tuple[str, str], pd.DataFrame] = {}
        self._selected: dict[str, pd.DataFrame] = {}
        self._curves: dict[tuple[str, str], pd.DataFrame] = {}

    @cached_property
    def _rows(self) -> Mapping[Any, Any]:
        """The rows of `data.curves` of each arm."""
        return self.data.curves.groupby("arm", observed=True).indices

    def having(self, where: Mapping[str, Any]) -> pd.DataFrame:
        """Select the runs with some values of columns; None stands for no value.

        Raises:
            LackingError: the runs have no such column.
        """
        key = words_of(where)
        if key not in self._selected:
            runs = self.data.runs
            chosen = pd.Series(True, runs.index)
            for column, value in where.items():
                if column not in runs:
                    raise LackingError(f"{self.data.name} has no column {column}")
                chosen &= _equals(runs[column], value)
            self._selected[key] = runs[chosen]
        return self._selected[key]

    def curve(self, arm: str, key: str) -> pd.DataFrame:
        """Select the points `seed, step, value` of a metric of an arm's runs."""
        if (arm, key) not in self._curves:
            points = self.data.curves.iloc[self._rows.get(arm, [])]
            found = curve(replace(self.data, curves=points), key)
            self._curves[arm, key] = found[["seed", "step", "value"]]
        return self._curves[arm, key]


def words_of(where: Mapping[str, Any]) -> str:
    """Write values of columns in words.

    >>> words_of({"norm.name": "none", "batch_size": 64})
    'norm.name=none, batch_size=64'
    """
    return ", ".join(f"{column}={value}" for column, value in where.items())


def _equals(column: pd.Series, value: Any) -> pd.Series:
    if value is None:
        return column.isna()
    if isinstance(value, bool | str):
        return column.astype(str) == str(value)
    return column.astype(float) == float(value)
