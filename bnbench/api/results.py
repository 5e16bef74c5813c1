"""Results as tables of pandas: `bn.load`."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bnbench.analysis.load import (
    ExperimentData,
    finished,
    load_finished,
    settings_of,
)
from bnbench.analysis.load import (
    load as load_experiment,
)
from bnbench.analysis.stats import Interval, arm_table
from bnbench.config.labels import arm_labels
from bnbench.config.quoting import typed_folder
from bnbench.request.refusal import allowed
from bnbench.tracking.experiment_dir import is_record, survey

ESCAPED = {char: f"\\{char}" for char in "&%$#_{}"} | {"~": r"\textasciitilde{}", "±": r"$\pm$"}
ESCAPED |= {"×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "β": r"$\beta$", "γ": r"$\gamma$"}


@dataclass(frozen=True)
class Results:
    """The runs of some experiments, their curves, and their accuracies under shifts.

    Attributes:
        runs: one row per run. `arm` (str), `seed` (int), `status` (`done`, `diverged`, `failed`,
            `interrupted`, `running` or `missing`), `stuck` (bool: done, and at chance); the arm's
            settings by key, such as `norm.name` (lists as JSON); derived from them `optim.lr` (the
            peak rate), `epochs` and `hidden_layers`; final metrics by key, such as `test/accuracy`
            (a share of 1) and `steps_to/0.95` (steps; NaN where it was not reached); `seconds` of
            training and evaluation.
        curves: one row per number of metrics.csv: `arm`, `seed`, `step` and `samples` (int),
            `split` (`val@precise` for the policy `precise`), `layer` (empty for the whole net),
            `metric`, `value` (float).
        shifts: one row per accuracy under a shift: `arm`, `seed`, `shift`, `severity` (1 to 5),
            `policy`, `metric`, `value`.
    """

    runs: pd.DataFrame
    curves: pd.DataFrame
    shifts: pd.DataFrame

    def to_latex(self) -> str:
        """Write a table for a paper: the test accuracy (%) of each arm with its interval, and n.

        The interval is Student's t over seeds at 95 %; fewer than three seeds have none.
        """
        ended = finished(self.runs)
        rows = arm_table(ended).to_dict("records") if len(ended) else []
        labels = arm_labels(settings_of(ended)) if rows else {}
        lines = []
        for row in rows:
            accuracy = row["accuracy"]
            cells = (interval_cell(accuracy, 100), str(accuracy.n), str(row["diverged"]))
            lines.append(" & ".join((escaped(labels[row["arm"]]), *cells)))
        return latex_table("lrrr", r"arm & test accuracy (\%) & $n$ & diverged", lines)

    def where(self, runs: pd.DataFrame, data: str | None = None) -> "Results":
        """Select some of the runs from each table, all on one data set if its name is given.

        Raises:
            ValueError: none is on that data set.
        """
        if data is not None:
            names = sorted(runs["data.name"].unique())
            if data not in names:
                raise ValueError(f"data {data}: {allowed(data, names)}")
            runs = runs[runs["data.name"] == data]
        keys = {*zip(runs["arm"], runs["seed"], strict=True)}
        tables = [runs]
        for table in (self.curves, self.shifts):
            rows = zip(table["arm"], table["seed"], strict=True)
            tables.append(table[np.fromiter((row in keys for row in rows), bool)])
        return Results(*(table.reset_index(drop=True) for table in tables))


def load(
    results: str | os.PathLike[str] = "results",
    experiment: str | None = None,
    data: str | None = None,
) -> Results:
    """Load the runs of a results folder as tables.

    Args:
        results: the folder, read as `results=` on the command line.
        experiment: its name; None for every finished run, whoever asked for it. With a name all
            runs that the experiment asks for are told, also those without a result.
        data: a data set; None for all.

    Raises:
        ValueError: nothing there has that name, or a file is damaged; one line.

    Example:
        >>> load("nowhere").runs.empty
        True
    """
    folder = typed_folder(os.fspath(results))
    if experiment is None:
        # committed results have the tables of experiments in the place of runs
        records = [load_experiment(path) for path in survey(folder)[0] if is_record_folder(path)]
        found = joined([load_finished(folder), *records])
        return found.where(finished(found.runs), data)
    return joined(map(load_experiment, experiment_folders(folder, experiment, data)))


def experiment_folders(results: Path, experiment: str, data: str | None = None) -> list[Path]:
    """Find the folders of an experiment, one for each data set.

    Raises:
        ValueError: there is none; the line names those that are there.
    """
    folders, _ = survey(results)
    for name, part, what in ((experiment, -2, "experiment"), (data, -1, "data")):
        there = sorted({folder.parts[part] for folder in folders})
        if name is not None and name not in there:
            raise ValueError(f"{what} {name}: {allowed(name, there)}, in {results}")
        folders = [folder for folder in folders if name in (None, folder.parts[part])]
    return folders


def joined(experiments: Iterable[ExperimentData]) -> Results:
    """Join experiments; a run that several ask for is there once."""
    found = list(experiments)
    tables: list[pd.DataFrame] = []
    for kind in ("runs", "curves", "shifts"):
        new: list[pd.DataFrame] = []
        known: set[tuple[str, int]] = set()
        for one in found:
            table: pd.DataFrame = getattr(one, kind)
            keys = pd.MultiIndex.from_frame(table[["arm", "seed"]].astype({"arm": str}))
            new.append(table[~keys.isin(list(known))] if known else table)
            known |= {*keys}
        tables.append(pd.concat(new, ignore_index=True) if len(new) > 1 else new[0])
    return Results(*tables)


def is_record_folder(path: Path) -> bool:
    """Whether an experiment's folder holds the only record of its runs, as in committed results."""
    return is_record(path.parents[2], *path.parts[-2:])


def escaped(text: str) -> str:
    """Escape a text for LaTeX."""
    return "".join(ESCAPED.get(char, char) for char in text)


def interval_cell(interval: Interval, factor: float = 1) -> str:
    """Write an estimate with its bounds as a cell of LaTeX, to a tenth of its interval's width."""
    estimate, low, high = (factor * value for value in interval[:3])
    if estimate != estimate:
        return "--"
    if low != low:
        return f"${estimate:.4g}$"
    places = 2
    while places < 6 and high - low < 2 * 10.0 ** (1 - places):
        places += 1
    return f"${estimate:.{places}f}$ $[{low:.{places}f}, {high:.{places}f}]$"


def latex_table(columns: str, header: str, rows: Iterable[str]) -> str:
    """Write a table with the rules of the package booktabs."""
    body = "".join(f"{row} \\\\\n" for row in rows)
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{header} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )
