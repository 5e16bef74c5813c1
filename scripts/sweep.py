"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

import sys

from bnbench.refusal import complain
from bnbench.sweep import sweep, terminal


def main() -> int:
    """Sweep, report, and say where to go from here; the exit code is the sweep's."""
    outcome = sweep(sys.argv[1:])
    if isinstance(outcome, int):
        return outcome
    from bnbench.analysis.report import write_report  # seaborn is slow to import
    from bnbench.ending import end

    try:
        report = write_report(outcome.request.results)
    except OSError as error:  # a full disk, a folder that cannot be written
        complain(f"no report: {error}")
        return 1
    for problem in report.problems:
        complain(problem)
    end(outcome.request, sys.argv[1:], bool(outcome.failures), terminal(), report.page)
    return outcome.exit_code or int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
