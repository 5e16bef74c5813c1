"""Write the report over all experiments: `python scripts/report.py [--results results]`."""

import argparse
import sys
from pathlib import Path

from bnbench.analysis.report import write_report
from bnbench.tracking.experiment_dir import write_runs


def main() -> int:
    """Write the pages and say where they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"), help="a results folder")
    results = parser.parse_args().results
    for arms in (results / "experiments").glob("*/*/arms.csv"):
        write_runs(results, *arms.parts[-3:-1])  # what became of the runs since
    try:
        print(f"report: {write_report(results)}")
    except ValueError as error:
        print(f"bnbench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
