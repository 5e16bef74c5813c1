"""Show what became of every experiment's runs: `python scripts/status.py [--results results]`."""

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bnbench.tracking.experiment_dir import write_runs

COLUMNS = ("done", "diverged", "running", "interrupted", "failed", "missing")


def main() -> int:
    """Print one row per experiment and data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    results = parser.parse_args().results
    asked = sorted((results / "experiments").glob("*/*/arms.csv"))
    if not asked:
        print(f"{results}: no experiment was run there yet (make sweep)", file=sys.stderr)
        return 2
    table = Table("experiment", "data", "arms", "runs", *COLUMNS, box=None)
    for path in asked:
        name, data = path.parts[-3:-1]
        with write_runs(results, name, data).open(newline="", encoding="utf-8") as file:
            runs = list(csv.DictReader(file))
        count = Counter(run["status"] for run in runs)
        numbers = (len({run["arm"] for run in runs}), len(runs), *(count[c] for c in COLUMNS))
        table.add_row(name, data, *map(str, numbers))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
