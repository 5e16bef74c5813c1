"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

import sys

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
        print(f"report:      {write_report(results)}")
    except ValueError as error:  # a figure over columns that are not there, a damaged file
        print(f"bnbench: no report: {error}", file=sys.stderr)
        return 1
    data = "" if first.data == "digits" else f"DATA={first.data} "
    print(f'try next:    make sweep EXP={first.name} {data}ARGS="optim.schedule=cosine"')
    print(f"compare:     .venv/bin/wandb leet {results / 'wandb'}, or `make sync` and group by arm")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
