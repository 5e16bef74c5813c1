"""Write the report over all experiments: `python scripts/report.py [results=results]`."""

import sys

from bnbench.commands.report import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
