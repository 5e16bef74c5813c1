"""Measure the Triton kernel on a CUDA GPU: `python scripts/bench_gpu.py --help`."""

import sys

from bnbench.commands.bench_gpu import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    sys.exit(enter(main))
