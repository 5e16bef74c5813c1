"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

import sys

from bnbench.commands.arguments import joined
from bnbench.commands.report import write_changed
from bnbench.request.refusal import print_error
from bnbench.sweep import sweep, terminal


def main() -> int:
    """Sweep, report, and say where to go from here; the exit code is the sweep's."""
    typed = joined(sys.argv[1:])
    outcome = sweep(typed)
    if isinstance(outcome, int):
        return outcome
    from bnbench.running.ending import end  # pandas and scipy are slow to import

    page, problems = None, []
    try:
        report = write_changed(outcome.request.results)
        page, problems = report.page, report.problems
    except (ImportError, OSError) as error:  # a full disk, a folder that cannot be written
        problems = [f"no report: {error}"]
    for problem in problems:
        print_error(problem)
    end(outcome.request, typed, bool(outcome.failures), terminal(), page)
    return outcome.exit_code or int(bool(problems))
