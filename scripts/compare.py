"""Put two results side by side: `python scripts/compare.py results elsewhere/results`."""

from bnbench.commands.compare import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
