"""Train one arm, or with -m a sweep of arms: `python scripts/train.py model=vgg placement=post`."""

from bnbench.commands.train import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
