"""Rebuild W&B runs from CSV: `python scripts/wandb_upload.py [results=results] [--all]`."""

from bnbench.commands.wandb.wandb_upload import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
