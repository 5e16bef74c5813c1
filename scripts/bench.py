"""Time the training loop and the layer: `python scripts/bench.py --help`."""

from bnbench.commands.bench import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
