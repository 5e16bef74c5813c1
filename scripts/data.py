"""Download a data set and check it: `python scripts/data.py fashion_mnist`."""

from bnbench.commands.data import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
