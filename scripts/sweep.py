"""Run experiments and write their report: `python scripts/sweep.py experiment=placement`."""

from bnbench.commands.sweep import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
