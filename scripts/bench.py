"""Time the training loop and the layer: `python scripts/bench.py [--pairs 40]`; one thread."""

import argparse
import csv
import sys
from dataclasses import asdict, fields
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnbench.bench import Ratio, run
from bnbench.data.files import missing_files
from bnbench.tracking.meta import circumstances


def main() -> int:
    """Print each comparison as it comes and write them to <results>/bench.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion_mnist", choices=("fashion_mnist", "mnist"))
    parser.add_argument("--root", type=Path, default=Path("data"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--pairs", type=int, default=40)
    args = parser.parse_args()
    if args.pairs < 2:
        parser.error(f"--pairs {args.pairs}: expected at least 2")
    if problem := missing_files(args.data, args.root):
        print(problem, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    console, ratios = Console(), []
    for ratio in run(args.data, args.root, args.pairs):
        ratios.append(ratio)
        console.print(
            f"{ratio.what}: {ratio.fast} is {ratio.median:.2f} times as fast", style="dim"
        )
    table = Table("what", "slow", "fast", "ratio", "10-90 %", "slow ms", "fast ms", box=None)
    for r in ratios:
        spread, times = f"{r.p10:.2f}-{r.p90:.2f}", (f"{r.slow_ms:.3f}", f"{r.fast_ms:.3f}")
        table.add_row(r.what, r.slow, r.fast, f"{r.median:.2f}", spread, *times)
    console.print(table)
    args.results.mkdir(parents=True, exist_ok=True)
    facts = circumstances()
    extra = {
        "data": args.data,
        "torch": facts["versions"]["torch"],
        "commit": facts["git_commit"],
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    path = args.results / "bench.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*(f.name for f in fields(Ratio)), *extra])
        writer.writeheader()
        writer.writerows({**asdict(ratio), **extra} for ratio in ratios)
    console.print(f"{args.pairs} pairs each, one thread; written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
