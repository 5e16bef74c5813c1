"""Download a data set and check it: `python scripts/data.py fashion_mnist`."""

import sys

from bnbench.commands.data import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
