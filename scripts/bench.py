"""Time the training loop and the layer: `python scripts/bench.py [--rounds 40]`; one thread."""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from bnbench import bench, bench_layer
from bnbench.analysis.bench_figure import draw
from bnbench.data.files import missing_files
from bnbench.norms import kernels
from bnbench.tracking.meta import circumstances


def main() -> int:
    """Print each comparison as it comes; write CSV files and a figure to <results>."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="fashion_mnist", choices=("fashion_mnist", "mnist"))
    parser.add_argument("--root", type=Path, default=Path("data"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=("loop", "layer"))
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error(f"--rounds {args.rounds}: expected at least 2")
    if args.only != "layer" and (problem := missing_files(args.data, args.root)):
        print(problem, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    args.results.mkdir(parents=True, exist_ok=True)
    console = Console()
    facts = circumstances()
    machine = {
        "torch": facts["versions"]["torch"],
        "commit": facts["git_commit"],
        "dirty": facts["git_dirty"],
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    try:
        kernels.require("cpp")
    except kernels.UnavailableError as error:
        print(f"backend cpp: {error}", file=sys.stderr)
        return 1
    if args.only != "layer":
        loop = []
        for ratio in bench.run(args.data, args.root, args.rounds):
            loop.append(ratio)
            progress = f"{ratio.what}: {ratio.fast} is {ratio.median:.2f} times as fast"
            console.print(progress, style="dim")
        show_loop(console, loop)
        write(args.results / "bench.csv", loop, {"data": args.data, **machine})
    if args.only != "loop":
        layer = []
        for row in bench_layer.run(args.rounds):
            layer.append(row)
            if row.backend == "cpp":
                progress = (
                    f"{row.shape} {row.layout} {row.work}: cpp is {row.ratio:.2f} times as fast"
                )
                console.print(progress, style="dim")
        show_layer(console, layer)
        write(args.results / "bench_layer.csv", layer, machine)
        draw(args.results / "bench_layer.csv", args.results)
    console.print(f"{args.rounds} rounds each, one thread; written to {args.results}/bench*")
    return 0


def show_loop(console: Console, ratios: Sequence[bench.Ratio]) -> None:
    """The training loop as a table."""
    table = Table("what", "slow", "fast", "ratio", "10-90 %", "slow ms", "fast ms", box=None)
    for r in ratios:
        times = (f"{r.slow_ms:.3f}", f"{r.fast_ms:.3f}")
        table.add_row(r.what, r.slow, r.fast, f"{r.median:.2f}", f"{r.p10:.2f}-{r.p90:.2f}", *times)
    console.print(table)


def show_layer(console: Console, rows: Sequence[bench_layer.LayerRow]) -> None:
    """The layer as two tables, a line per case: how fast, and how exact."""
    backends = bench_layer.BACKENDS
    case = ("shape", "", "work")
    speed = Table(*case, "native ms", "/roof", "cpp", "10-90 %", "ref.", box=None)
    speed.title = "native: ms and multiple of a copy (triad); others: times as fast as native"
    exact = Table(*case, *backends[:2], box=None)
    exact.title = "greatest errors of y, dx, dgamma; mean 10,000, spread 1"
    for k in range(0, len(rows), len(backends)):
        native, cpp, reference = of_case = rows[k : k + len(backends)]
        layout = {"contiguous": "NCHW", "channels_last": "NHWC"}[native.layout]
        name = (
            native.shape.replace(" ", ""),
            layout if len(native.shape) > 12 else "",
            native.work,
        )
        speed.add_row(
            *(*name, f"{native.ms:.3f}", f"{native.roof:.1f}", f"{cpp.ratio:.2f}"),
            *(f"{cpp.p10:.2f}-{cpp.p90:.2f}", f"{reference.ratio:.2f}"),
        )
        errors = ((r.far_y_error, r.far_dx_error, r.far_dgamma_error) for r in of_case[:2])
        exact.add_row(
            *name, *(" ".join(f"{e:.0e}" for e in far if e is not None) for far in errors)
        )
    console.print(speed)
    console.print(exact)


def write(path: Path, rows: Sequence[Any], extra: dict[str, Any]) -> None:
    """Rows as CSV, each with the facts about the machine."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*asdict(rows[0]), *extra])
        writer.writeheader()
        writer.writerows({**asdict(row), **extra} for row in rows)


if __name__ == "__main__":
    sys.exit(main())
