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
    report = write_report(results)
    print(f"report:      {report}")
    print(f'try next:    make sweep EXP={first.name} ARGS="optim.lr_mult=2"')
    print(f"compare:     .venv/bin/wandb leet {results / 'wandb'}, or `make sync` and group by arm")
    return outcome.exit_code


if __name__ == "__main__":
    sys.exit(main())
