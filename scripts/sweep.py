"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

import sys

from bnbench.commands.sweep import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
