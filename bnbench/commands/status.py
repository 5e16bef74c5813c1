"""Show what became of every experiment's runs: `python scripts/status.py [results=results]`."""

import os
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bnbench import CALL
from bnbench.commands.arguments import Parser, parsed
from bnbench.config.labels import count_label
from bnbench.config.quoting import elsewhere, shown_path, subcommand
from bnbench.request.refusal import print_error
from bnbench.tracking.experiment_dir import (
    other_schema_line,
    read_arms,
    runs_of_other_schema,
    survey,
    tabulate,
)
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.shapes import ARM, SEED
from bnbench.tracking.stored import DamagedError

COLUMNS = ("done", "diverged", "running", "interrupted", "failed", "missing")
SHOWN = 20  # failed runs, and lines about what cannot be read


def main() -> int:
    """Print one row per experiment and data set, what failed, and the space; writes nothing."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--unasked", action="store_true", help="only list the runs that no experiment asks for"
    )
    args = parsed(parser)
    results: Path = args.results
    folders, problems = survey(results)
    if args.unasked:
        return list_unasked(results, folders, problems)
    if not folders and not problems:
        return print_error(f"{results}: no experiment was run there yet ({CALL} sweep)")
    console = Console(
        width=None if sys.stdout.isatty() else 120, markup=False, highlight=False, soft_wrap=True
    )
    table = Table("experiment", "data", "arms", "runs", *COLUMNS, box=None)
    failed: dict[Path, str] = {}
    for name, data in (folder.parts[-2:] for folder in folders):
        try:
            content = tabulate(results, name, data)
        except Exception as error:  # whatever a file makes of it, the others are shown
            text = str(error)
            problems.append(
                text if isinstance(error, OSError | ValueError) else f"{name} on {data}: {error!r}"
            )
            continue
        problems += content.damaged
        runs = content.rows
        count = Counter(str(run["status"]) for run in runs)
        numbers = (len({run["arm"] for run in runs}), len(runs), *(count[c] for c in COLUMNS))
        table.add_row(name, data, *map(str, numbers))
        for run in runs:
            if run["status"] == "failed":
                folder = RunFolder.of(results, run["arm"], int(run["seed"]))
                line = f"FAILED {run['arm']} seed {run['seed']}: {folder.last_error()}"
                failed[folder.path] = line
    if table.rows:
        console.print(table)
    for line in capped(list(failed.values()), "failed runs"):
        console.print(line)
    if others := runs_of_other_schema(folders):
        console.print(other_schema_line(others))
    for line in space(results, folders):
        console.print(line)
    for problem in capped(list(dict.fromkeys(problems)), "problems"):
        print_error(problem)
    return int(bool(problems))


def space(results: Path, folders: list[Path]) -> list[str]:
    """Say how much space the results take, and what could be removed."""
    parts = {"runs": megabytes([results / "runs"]), "W&B": megabytes([results / "wandb"])}
    lines = ["space: " + ", ".join(f"{name} {size}" for name, size in parts.items())]
    try:
        runs = unasked(results, folders)
    except DamagedError:  # what cannot be read may ask for any of them
        return lines
    if runs:
        remove = f"{subcommand('status', ['--unasked', *elsewhere(results)])} | xargs rm -r"
        lines.append(
            f"no experiment asks for {count_label(len(runs), 'run')} ({megabytes(runs)}), which "
            f"stay until you remove them: {remove}"
        )
    return lines


def list_unasked(results: Path, folders: list[Path], problems: list[str]) -> int:
    """Print the folder of each run that no experiment asks for, quoted for a shell.

    Returns:
        1, and nothing is printed, where an experiment cannot be read: it may ask for any of them.
    """
    runs: list[Path] = []
    try:
        runs = [] if problems else unasked(results, folders)
    except DamagedError as error:
        problems = [str(error)]
    for problem in problems:
        print_error(problem)
    if not problems:
        print("".join(f"{shown_path(run)}\n" for run in runs), end="")
    return int(bool(problems))


def unasked(results: Path, folders: list[Path]) -> list[Path]:
    """Find the folders of the runs that are in the arms.csv of no experiment.

    Raises:
        DamagedError: the file of an experiment is not what the sweep wrote.
    """
    asked = {
        RunFolder.of(results, run["arm"], int(run["seed"])).path
        for folder in folders
        if os.path.lexists(folder / "arms.csv")
        for run in read_arms(folder)
    }
    there = (results / "runs").glob("*/seed-*")
    return sorted(
        run
        for run in there
        if run not in asked
        and ARM.fullmatch(run.parent.name)
        and SEED.fullmatch(run.name.removeprefix("seed-"))
        and run.resolve() == results.resolve() / "runs" / run.parent.name / run.name
    )


def megabytes(folders: list[Path]) -> str:
    """Add up the sizes of all files in some folders; links are not followed."""
    walks = (os.walk(folder) for folder in folders)
    files = (Path(place, name) for walk in walks for place, _, names in walk for name in names)
    return f"{sum(file.lstat().st_size for file in files) / 1e6:,.1f} MB"


def capped(lines: list[str], noun: str) -> list[str]:
    """The first lines, and how many more there are."""
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {rest} more {noun}"] if rest > 0 else lines
