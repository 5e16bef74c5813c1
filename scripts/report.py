"""Write the report over all experiments: `python scripts/report.py [results=results]`."""

from bnbench.commands.report import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
