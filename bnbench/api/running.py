"""Runs and sweeps from Python: `bn.run` and `bn.sweep`."""

import sys
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from bnbench import cli
from bnbench.analysis.load import CURVES
from bnbench.analysis.load import load as load_experiment
from bnbench.analysis.long_csv import read_long
from bnbench.api.results import Results, escaped, joined, latex_table
from bnbench.config.checks import RequestError
from bnbench.sweep import carried_out
from bnbench.tracking.experiment_dir import experiment_path
from bnbench.tracking.run_dir import RunFolder


@dataclass(frozen=True)
class TrainedRun:
    """One trained run: an arm with a seed.

    Attributes:
        arm: the id of the arm.
        seed: of the run.
        path: its folder.
        status: `done` or `diverged`.
        summary: what summary.json has: `metrics` by key, `steps_to`, `seconds`, `parameters`, …
        curves: metrics.csv: `step`, `samples`, `split`, `layer`, `metric`, `value`.
    """

    arm: str
    seed: int
    path: Path
    status: str
    summary: dict[str, Any]
    curves: pd.DataFrame

    def to_latex(self) -> str:
        """Write a table of the final metrics for a paper."""
        rows = [
            f"{escaped(key)} & {'--' if value is None else f'${value:.4g}$'}"
            for key, value in self.summary["metrics"].items()
        ]
        return latex_table("lr", f"{escaped(self.arm)}, seed {self.seed} & value", rows)


def run(*overrides: str, seed: int = 0) -> TrainedRun:
    """Train one run, or find it where it is trained already.

    Args:
        overrides: of the arm's settings, as on the command line: `"model=vgg"`, `"results=mine"`.
        seed: of the run.

    Raises:
        RequestError: it is none that can be trained, or several; the line of the command line.
        RuntimeError: the run failed; the last line of its error.
    """
    if given := [line for line in overrides if line.partition("=")[0] == "seeds"]:
        raise RequestError(f"{given[0]}: expected seed={seed}, a run has one")

    def read() -> cli.Request:
        request = cli.read([*overrides, f"seeds=[{seed}]"], multirun=False)
        if len(request.arms) != 1:
            raise RequestError(f"{len(request.arms)} arms are asked for, expected one (see sweep)")
        return request

    outcome = carried_out(read, _command("run", overrides, f"seed={seed}"))
    if outcome.failures:
        raise RuntimeError(outcome.failures[0][2])
    (arm,) = outcome.request.arms
    folder = RunFolder.of(outcome.request.results, arm, seed)
    summary = folder.read_summary()
    curves, _ = read_long([(folder.metrics, summary)], CURVES)
    return TrainedRun(arm, seed, folder.path, str(summary["status"]), dict(summary), curves)


def sweep(*overrides: str) -> Results:
    """Train what a sweep lacks, and load its runs.

    Args:
        overrides: as on the command line with `-m`: `"experiment=placement"`, or several values of
            a key, `"norm=none,batchnorm"`.

    Returns:
        The runs that were asked for. A run that failed is told by its status, and in a warning.

    Raises:
        RequestError: the request cannot be run; the line of the command line.
    """
    read = partial(cli.read, overrides, multirun=True)
    outcome = carried_out(read, _command("sweep", overrides))
    for arm, seed, reason in outcome.failures:
        warnings.warn(f"{arm} seed {seed} failed: {reason}", RuntimeWarning, stacklevel=2)
    request = outcome.request
    return joined(
        load_experiment(experiment_path(request.results, experiment.name, experiment.data))
        for experiment in request.experiments
    )


def _command(name: str, overrides: tuple[str, ...], *options: str) -> str:
    return f"bnbench.{name}({', '.join([*map(repr, overrides), *options])})"


class CallableModule(ModuleType):
    """A module that can be called: `bnbench.sweep` is one once it is imported, and `bn.sweep`."""

    def __call__(self, *overrides: str) -> Results:
        """Sweep, as `sweep` does."""
        return sweep(*overrides)


sys.modules[carried_out.__module__].__class__ = CallableModule
