"""Show what became of every experiment's runs: `python scripts/status.py [results=results]`."""

import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bnbench.commands.arguments import results_folder
from bnbench.request.refusal import print_error
from bnbench.tracking.experiment_dir import survey, tabulate
from bnbench.tracking.run_dir import RunFolder

COLUMNS = ("done", "diverged", "running", "interrupted", "failed", "missing")
SHOWN = 20  # failed runs, and lines about what cannot be read


def main() -> int:
    """Print one row per experiment and data set, then the runs that failed; writes nothing."""
    results = results_folder(str(__doc__))
    folders, problems = survey(results)
    if not folders and not problems:
        return print_error(f"{results}: no experiment was run there yet (make sweep)")
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
    for problem in capped(list(dict.fromkeys(problems)), "problems"):
        print_error(problem)
    return int(bool(problems))


def capped(lines: list[str], noun: str) -> list[str]:
    """The first lines, and how many more there are."""
    rest = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {rest} more {noun}"] if rest > 0 else lines
