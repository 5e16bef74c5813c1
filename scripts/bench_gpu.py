"""Measure the Triton kernel on a CUDA GPU: `python scripts/bench_gpu.py --help`."""

from bnbench.commands.bench_gpu import main
from bnbench.running.streams import enter

if __name__ == "__main__":
    raise SystemExit(enter(main))
