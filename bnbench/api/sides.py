"""The sides of a comparison: what was asked for, its finished runs, and how they came about."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bnbench.analysis.load import ExperimentData, finished, load_finished_runs, load_runs
from bnbench.api.results import Results, experiment_folders, is_record_folder, joined
from bnbench.api.running import TrainedRun
from bnbench.config.labels import count_label
from bnbench.request.refusal import allowed
from bnbench.tracking.experiment_dir import survey
from bnbench.tracking.meta import commit_words, known_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import ARM

Given = str | os.PathLike[str] | Results | TrainedRun
NAMED = 3  # things that a line names of many


@dataclass(frozen=True)
class ComparedSide:
    """One side of a comparison.

    Attributes:
        runs: its finished runs, as in `Results.runs`.
        results: the results folder that has them; None for tables.
        infos: experiment.json of each experiment whose runs are elsewhere, as in committed results.
        is_folder: whether a whole results folder is meant, with the claims that were judged there.
    """

    runs: pd.DataFrame
    results: Path | None = None
    infos: tuple[Mapping[str, Any], ...] = ()
    is_folder: bool = False

    def boards(self) -> dict[str, Path]:
        """Find the scoreboards of a results folder, by data set."""
        found = sorted(self.results.glob("claims/*/scoreboard.csv")) if self.results else []
        return {file.parent.name: file.parent for file in found if self.is_folder}

    def facts(self, runs: Iterable[tuple[str, int]]) -> dict[str, str]:
        """Tell how some of its runs came about: commit, device, versions; without the unknown.

        A fact that differs between the runs has all its values, the most frequent first.
        """
        circumstances = [self._meta(*run) for run in runs] if self.results else []
        values: dict[str, Counter[str]] = {}
        for told in [one for one in circumstances if one] or self.infos:
            for fact, value in _told(told).items():
                values.setdefault(fact, Counter())[value] += 1
        return {fact: _listed([v for v, _ in own.most_common()]) for fact, own in values.items()}

    def _meta(self, arm: str, seed: int) -> dict[str, Any]:
        assert self.results
        return known_meta(RunFolder.of(self.results, arm, seed))


def _told(info: Mapping[str, Any]) -> dict[str, str]:
    """Put what meta.json or experiment.json says of commit and machine into words, by fact."""
    told = {"commit": commit_words(info), "device": info.get("device"), **_plain(info)}
    told |= info.get("versions") or {}
    return {fact: str(value) for fact, value in told.items() if value is not None}


def _plain(info: Mapping[str, Any]) -> dict[str, Any]:
    return {key: info.get(key) for key in ("schema", "threads", "matmul_precision", "tf32")}


def _listed(values: list[str]) -> str:
    rest = len(values) - NAMED
    return ", ".join([*values[:NAMED], *([f"{rest} more"] if rest > 0 else [])])


def side(given: Given, results: Path, experiment: str | None, data: str | None) -> ComparedSide:
    """Read one side of a comparison.

    Args:
        given: what was asked for.
        results: the folder that ids of arms and names of experiments are looked up in.
        experiment: the only one that is meant of a results folder.
        data: the only data set that is meant.

    Raises:
        ValueError: it is not there, not whole, or names several arms; one line.
    """
    found = _found(given, results, experiment)
    if data is None:
        return found
    names = sorted({*map(str, found.runs["data.name"]), *found.boards()})
    if data not in names:
        raise ValueError(f"data={data}: {allowed(data, names)}, in {_named(given)}")
    return replace(found, runs=found.runs[found.runs["data.name"] == data])


def _named(given: Given) -> str:
    return "these runs" if isinstance(given, Results | TrainedRun) else os.fspath(given)


def _found(given: Given, results: Path, experiment: str | None) -> ComparedSide:
    if isinstance(given, str | os.PathLike):
        path = Path(given).expanduser()
        if (path / "runs").is_dir() or (path / "experiments").is_dir() or _has_claims(path):
            return _experiment(path, experiment) if experiment else _whole(path)
    if experiment is not None:
        raise ValueError(f"experiment={experiment}: {_named(given)} is no results folder")
    if isinstance(given, Results):
        return ComparedSide(finished(given.runs))
    if isinstance(given, TrainedRun):
        every = _whole(given.path.parents[2])
        is_it = (every.runs["arm"] == given.arm) & (every.runs["seed"] == given.seed)
        return replace(every, runs=every.runs[is_it], is_folder=False)
    return _looked_up(os.fspath(given), results)


def _looked_up(text: str, results: Path) -> ComparedSide:
    """Read an experiment by its folder or name, or an arm by its id or how the id begins."""
    path = Path(text).expanduser()
    if (path / "arms.csv").is_file() or (path / "runs.csv").is_file():
        path = path if len(path.parents) > 2 else path.absolute()
        return _of_experiments(path.parents[2], [load_runs(path)])
    names = sorted({folder.parent.name for folder in survey(results)[0]})
    if text in names:
        return _experiment(results, text)
    if ARM.fullmatch(text):
        every = _whole(results)
        arms = list(dict.fromkeys(map(str, every.runs["arm"])))
        same = [arm for arm in arms if arm == text] or [a for a in arms if a.startswith(text)]
        if len(same) > 1:
            raise ValueError(
                f"{text}: {count_label(len(same), 'arm')} of {results} begin so, expected one of "
                f"{_listed(same)}"
            )
        if same:
            own = every.runs[every.runs["arm"] == same[0]]
            return replace(every, runs=own, is_folder=False)
    known = f"an experiment there ({', '.join(names)})" if names else "an experiment there"
    raise ValueError(
        f"{text}: expected a results folder, an experiment's folder, an arm of {results} or {known}"
    )


def _has_claims(path: Path) -> bool:
    return any(path.glob("claims/*/scoreboard.csv"))


def _whole(results: Path) -> ComparedSide:
    records = [load_runs(path) for path in survey(results)[0] if is_record_folder(path)]
    runs = joined([load_finished_runs(results), *records]).runs
    return ComparedSide(finished(runs), results, tuple(one.info for one in records), is_folder=True)


def _experiment(results: Path, name: str) -> ComparedSide:
    return _of_experiments(results, list(map(load_runs, experiment_folders(results, name))))


def _of_experiments(results: Path, experiments: list[ExperimentData]) -> ComparedSide:
    infos = tuple(one.info for one in experiments if is_record_folder(one.folder))
    return ComparedSide(finished(joined(experiments).runs), results, infos)
