"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

import sys

from bnbench.refusal import complain
from bnbench.sweep import sweep


def main() -> int:
    """Sweep, report, and say where to go from here; the exit code is the sweep's."""
    outcome = sweep(sys.argv[1:])
    if isinstance(outcome, int):
        return outcome
    from bnbench.analysis.report import write_report  # seaborn is slow to import

    results = outcome.request.results
    first = outcome.request.experiments[0]
    try:
        report = write_report(results)
    except OSError as error:  # a full disk, a folder that cannot be written
        complain(f"no report: {error}")
        return 1
    print(f"report:      {report.page}")
    data = "" if first.data == "digits" else f"DATA={first.data} "
    print(f'try next:    make sweep EXP={first.name} {data}ARGS="optim.schedule=cosine"')
    runs = results / "wandb"
    print(f"compare:     .venv/bin/wandb leet {runs}, or `make sync` and `make dashboard`")
    for problem in report.problems:
        complain(problem)
    return outcome.exit_code or int(bool(report.problems))


if __name__ == "__main__":
    sys.exit(main())
