"""The folder of an experiment on one data set: the runs that it asks for, and their outcomes.

Hashes reveal a file that another program changed: experiment.json holds the hash of arms.csv and
its own. runs.csv is a copy: where it can be derived anew from arms.csv and the runs, it is not
read.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnbench import CALL
from bnbench.config.arms import flatten
from bnbench.config.labels import count_label
from bnbench.config.points import shift_key
from bnbench.config.schema import SCHEMA
from bnbench.tracking.csv_log import read_shifts, write_table
from bnbench.tracking.run_dir import AGAIN, RunFolder
from bnbench.tracking.shapes import ARM, EXPERIMENT, SEED
from bnbench.tracking.stored import (
    TABLE,
    DamagedError,
    MisplacedError,
    check_folder,
    content,
    file_digest,
    make_folder,
)
from bnbench.tracking.whole_files import checksum, read_object, write_whole

ADHOC = "adhoc"  # the name of a sweep that no experiment names
LONGEST = 120  # characters of the name of an experiment
FITTING = f"a name of one line in UTF-8, of at most {LONGEST} characters"


@dataclass(frozen=True)
class RunTable:
    """The outcomes of the runs that an experiment asks for, as in runs.csv.

    Attributes:
        header: the columns.
        rows: one per run; a cell that a run does not have is left out.
        damaged: a line for each run with a damaged file; its row has no result.
    """

    header: list[str]
    rows: list[dict[str, Any]]
    damaged: list[str]

    def cells(self) -> Iterable[list[Any]]:
        """List the rows with a cell for every column, as in runs.csv."""
        return ([row.get(key, "") for key in self.header] for row in self.rows)


def experiment_path(results: Path, name: str, data: str) -> Path:
    """The folder of an experiment on a data set."""
    return results / "experiments" / name / data


def find(results: Path) -> list[Path]:
    """List the experiment folders of a results root, by name."""
    return survey(results)[0]


def survey(results: Path) -> tuple[list[Path], list[str]]:
    """List the experiment folders of a results root, and a line for each unreadable one."""
    found, problems = [], []
    for name in folders(results / "experiments", 1, problems):
        for data in folders(name, 2, problems):
            try:
                check_folder(data)
            except FileNotFoundError:  # removed a moment ago
                continue
            except DamagedError as error:
                problems.append(str(error))
                continue
            if any(os.path.lexists(data / file) for file in ("arms.csv", "runs.csv")):
                found.append(data)
    return sorted(found), problems


def folders(parent: Path, depth: int, problems: list[str]) -> list[Path]:
    """List the candidates for folders of experiments, links and pipes included, by name.

    Args:
        parent: their parent, `depth` folders below the results folder.
        depth: see `check_folder`.
        problems: a list that gets a line for each unreadable folder or unprintable name.
    """
    try:
        check_folder(parent, depth)
        with os.scandir(parent) as entries:
            there = [entry.name for entry in entries if not entry.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except DamagedError as error:
        problems.append(str(error))
        return []
    except OSError as error:
        problems.append(f"{parent}: cannot be read ({error.strerror})")
        return []
    problems += [f"{parent / name}: expected {FITTING}" for name in there if not fits(name)]
    return [parent / name for name in there if fits(name)]


def fits(name: str) -> bool:
    """Whether a folder's name can be printed and linked to: UTF-8, in one line."""
    return name.isprintable() and len(name) <= LONGEST


def write_arms(path: Path, runs: Iterable[tuple[str, int, Mapping[str, Any]]]) -> None:
    """Write arms.csv, before training: every asked-for run (arm, seed, science config)."""
    rows = [{"arm": arm, "seed": seed, **columns(science)} for arm, seed, science in runs]
    make_folder(path)
    header = list(dict.fromkeys(key for row in rows for key in row))
    write_table(path / "arms.csv", header, ([row.get(k, "") for k in header] for row in rows))


def write_experiment(path: Path, facts: Mapping[str, Any]) -> None:
    """Write experiment.json: question, command, commit, versions, figures and comparisons."""
    make_folder(path)
    told = {**facts, "sha256": {"arms.csv": file_digest(path / "arms.csv")}}
    told["checksum"] = checksum(told)
    write_whole(path / "experiment.json", json.dumps(told, indent=2) + "\n")


def read_experiment(path: Path) -> dict[str, Any]:
    """Read experiment.json; {} without one.

    Raises:
        DamagedError: the file is not what the sweep wrote.
    """
    try:
        return read_object(path / "experiment.json", EXPERIMENT)
    except FileNotFoundError:
        return {}


def runs_of_other_schema(paths: Iterable[Path]) -> int:
    """Count the runs of experiments whose settings another schema named by other arm ids.

    Experiments that cannot be read are left out.
    """
    found = 0
    for path in paths:
        table = "arms.csv" if os.path.lexists(path / "arms.csv") else "runs.csv"
        with suppress(DamagedError):
            if read_experiment(path).get("schema", SCHEMA) != SCHEMA:
                found += len(read_rows(path / table))
    return found


def other_schema_line(number: int) -> str:
    """Say what becomes of runs of another schema."""
    return (
        f"{count_label(number, 'run')} of another version of the settings than schema {SCHEMA}: "
        f"they stay and can be read, and the same `{CALL} sweep` trains new ones beside them"
    )


def schema_note(info: Mapping[str, Any]) -> str:
    """Say of what schema some results are, given their circumstances; empty for the present one."""
    schema = info.get("schema", SCHEMA)
    if schema == SCHEMA:
        return ""
    return f"schema {schema}; runs are now evaluated by schema {SCHEMA}, new ones beside these"


def read_arms(path: Path) -> list[dict[str, str]]:
    """Read the rows of arms.csv.

    Raises:
        DamagedError: arms.csv or experiment.json is not what the sweep wrote.
    """
    return read_rows(path / "arms.csv", (read_experiment(path).get("sha256") or {}).get("arms.csv"))


def read_rows(file: Path, sha256: str | None = None) -> list[dict[str, str]]:
    """Read the rows of a table of runs; refuse an arm and seed that occur twice.

    Args:
        file: arms.csv or runs.csv.
        sha256: the hash of the file as written, if known.

    Raises:
        DamagedError: the hash is another, or the file is no such table.
    """
    try:
        text = content(file, TABLE)
        if sha256 is not None and sha256 != hashlib.sha256(text).hexdigest():
            raise ValueError(f"not what the sweep wrote; the same `{CALL} sweep` writes it anew")
        # accepts the line ends of any editor
        table = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True)
        header = next(table, [])
        if not {"arm", "seed"} <= set(header) or len(set(header)) < len(header):
            raise ValueError("expected the columns arm, seed and others, each once")
        rows = {}
        for cells in table:
            if len(cells) != len(header):
                raise ValueError(f"line {table.line_num}: expected {len(header)} fields")
            row = dict(zip(header, cells, strict=True))
            if not ARM.fullmatch(row["arm"]) or not SEED.fullmatch(row["seed"]):
                raise ValueError(f"line {table.line_num}: expected an arm and its seed")
            if rows.setdefault((row["arm"], int(row["seed"])), row) is not row:
                raise ValueError(f"line {table.line_num}: the run is listed twice")
    except FileNotFoundError:
        raise DamagedError(f"{file}: missing") from None
    except DamagedError:
        raise
    except (ValueError, csv.Error) as error:
        raise DamagedError(f"{file}: {error}") from None
    return list(rows.values())


def tabulate(results: Path, name: str, data: str) -> RunTable:
    """Collect the outcomes of the runs of arms.csv from their folders.

    Raises:
        DamagedError: arms.csv or experiment.json is not what the sweep wrote.
    """
    path = experiment_path(results, name, data)
    asked, shifts = read_arms(path), read_experiment(path).get("shifts") or ()
    rows, damaged = [], []
    for run in asked:
        folder = RunFolder.of(results, run["arm"], int(run["seed"]))
        try:
            measured = outcome(folder, shifts)
        except DamagedError as error:
            is_told = isinstance(error, MisplacedError) or AGAIN in str(error)
            damaged.append(f"{error}" if is_told else f"{error}; {AGAIN}")
            measured = {"status": folder.state(), "stuck": ""}
        rows.append(run | measured)
    # columns that identify and describe a run come first, measured ones last
    config = [key for key in (asked[0] if asked else {}) if key not in ("arm", "seed")]
    lead = ["arm", "seed", "status", "stuck", *config]
    header = dict.fromkeys([*lead, *(key for row in rows for key in row)])
    return RunTable(list(header), rows, damaged)


def is_record(results: Path, name: str, data: str) -> bool:
    """Whether runs.csv is the only record, as in committed results: the runs are not there.

    Raises:
        DamagedError: arms.csv or experiment.json is not what the sweep wrote.
    """
    path = experiment_path(results, name, data)
    if not os.path.lexists(path / "runs.csv"):
        return False
    asked = read_arms(path) if os.path.lexists(path / "arms.csv") else []
    paths = (RunFolder.of(results, run["arm"], int(run["seed"])).path for run in asked)
    return not any(map(os.path.lexists, paths))


def write_runs(results: Path, name: str, data: str) -> Path:
    """Write runs.csv: for every run of arms.csv its status, config and final metrics.

    A runs.csv that is the only record of its runs stays as it is.

    Raises:
        DamagedError: arms.csv or experiment.json is not what the sweep wrote.
    """
    file = experiment_path(results, name, data) / "runs.csv"
    if not is_record(results, name, data):
        table = tabulate(results, name, data)
        write_table(file, table.header, table.cells())
    return file


def outcome(folder: RunFolder, shifts: Collection[str] = ()) -> dict[str, Any]:
    """Read the status of a run and, if it is done, its final numbers by column name.

    Args:
        folder: of the run.
        shifts: the shifts to tell of those that the run was evaluated under: `contrast-5`.

    Raises:
        DamagedError: the summary, metrics.csv or shifts.csv is not what the run wrote.
    """
    try:
        summary = folder.read_result()
    except FileNotFoundError:
        return {"status": folder.state(), "stuck": ""}
    numbers = {
        **summary["metrics"],
        **{f"steps_to/{k}": v for k, v in summary["steps_to"].items()},
        **{f"samples_to/{k}": v for k, v in summary["samples_to"].items()},
        **{key: summary[key] for key in ("steps", "samples", "seconds", "parameters")},
        **{
            shift_key(shift, severity, policy, metric): float(value)
            for shift, severity, policy, metric, value in (
                read_shifts(folder, summary) if shifts else ()
            )
            if f"{shift}-{severity}" in shifts
        },
    }
    cells = {key: "" if value is None else value for key, value in numbers.items()}
    return {"status": summary["status"], "stuck": summary["stuck"], **cells}


def columns(science: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a science config to a row of a table: dotted keys, lists as JSON."""
    return {
        key: json.dumps(value) if isinstance(value, list) else value
        for key, value in flatten(science).items()
    }
