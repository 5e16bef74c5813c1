"""Build the W&B workspaces of experiments: `python scripts/dashboard.py --help`."""

import sys

from bnbench.commands.dashboard import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
