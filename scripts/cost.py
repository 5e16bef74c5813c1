"""Say what a request would cost before it is run: `python scripts/cost.py --help`."""

from bnbench.commands.cost import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
