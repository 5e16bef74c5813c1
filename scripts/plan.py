"""Say what a sweep would do before it is run: `python scripts/plan.py --help`."""

from bnbench.commands.plan import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
