"""Hold what a plugin adds to the contracts: `python scripts/check.py my_norm.py`."""

from bnbench.commands.check import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
