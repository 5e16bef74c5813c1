"""Train one arm, or with -m a sweep of arms: `python scripts/train.py model=vgg placement=post`."""

import sys

from bnbench.running.streams import enter
from bnbench.sweep import main

if __name__ == "__main__":
    sys.exit(enter(main))
