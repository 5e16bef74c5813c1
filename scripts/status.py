"""Show what became of every experiment's runs: `python scripts/status.py [results=results]`."""

from bnbench.commands.status import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
