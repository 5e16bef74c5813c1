"""Upload the W&B runs that no server has yet: `python scripts/sync.py [results=results]`."""

from bnbench.commands.wandb.sync import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
