"""Build the W&B workspaces of experiments: `python scripts/dashboard.py --help`."""

from bnbench.commands.wandb.dashboard import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
