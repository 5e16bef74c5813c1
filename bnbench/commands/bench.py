"""Time the training loop and the layer: `python scripts/bench.py [--rounds 40]`; one thread.

`--profile` says instead what share of a run's time its training steps, evaluation and W&B take.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table

from bnbench.bench import layer as bench_layer
from bnbench.bench import loop as bench
from bnbench.bench import shares
from bnbench.commands.arguments import Parser, folder_argument
from bnbench.config.quoting import for_hydra
from bnbench.data.files import missing_files
from bnbench.drawing.bench_figure import draw
from bnbench.norms import kernels
from bnbench.tracking.csv_log import write_table
from bnbench.tracking.meta import circumstances

DIGITS = "digits"  # which come with the suite


def main() -> int:
    """Print each comparison as it comes; write CSV files and a figure to <results>."""
    parser = Parser(description=__doc__)
    parser.add_argument("--data", choices=("fashion_mnist", "mnist"), help="default: fashion_mnist")
    parser.add_argument("--root", type=folder_argument, default=Path("data"))
    parser.add_argument("--results", type=folder_argument, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", choices=("loop", "layer"))
    parser.add_argument(
        "--profile", action="store_true", help="shares of a run's time, by default on digits"
    )
    args = parser.parse_args()
    if args.rounds < 2:
        parser.error(f"--rounds {args.rounds}: expected at least 2")
    data = args.data or (DIGITS if args.profile else "fashion_mnist")
    reads_files = data != DIGITS and args.only != "layer"
    if reads_files and (problem := missing_files(data, args.root)):
        print(problem, file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    if args.profile:
        show_profile(Console(), [f"data={data}", f"data.root={for_hydra(str(args.root))}"])
        return 0
    args.results.mkdir(parents=True, exist_ok=True)
    console = Console()
    facts = circumstances(args.results)
    machine = {
        "torch": facts["versions"]["torch"],
        "commit": facts["git_commit"],
        "dirty": facts["git_dirty"],
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }
    backends = list(bench_layer.BACKENDS)
    try:
        kernels.require("cpp")
    except kernels.UnavailableError as error:
        print(f"backend cpp: {error}; it is left out", file=sys.stderr)
        backends.remove("cpp")
    if args.only != "layer":
        loop = []
        for ratio in bench.run(data, args.root, args.rounds, backends):
            loop.append(ratio)
            progress = f"{ratio.what}: {ratio.fast} is {ratio.median:.2f} times as fast"
            console.print(progress, style="dim")
        show_loop(console, loop)
        write(args.results / "bench.csv", loop, {"data": data, **machine})
    if args.only != "loop":
        layer = []
        for row in bench_layer.run(args.rounds, backends=backends):
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


def show_profile(console: Console, overrides: list[str]) -> None:
    """Profile each family of arms as a row of a table, and say what was timed."""
    numbers = [Column(name, justify="right") for name in ("runs", "s each", *shares.PARTS, "rest")]
    table = Table("trained", *numbers, box=None)
    for row in shares.run(overrides):
        console.print(f"{row.family}: {row.seconds:.2f} s a run", style="dim")
        parts = (f"{100 * part:.0f} %" for part in (*row.parts.values(), row.rest))
        table.add_row(row.family, str(row.runs), f"{row.seconds:.2f}", *parts)
    console.print(table)
    console.print(
        "CPU seconds of the training thread; rest: to build nets and to write files. Imports, "
        "loading data and W&B's start are left out: a worker pays them once.",
        soft_wrap=True,
    )


def show_loop(console: Console, ratios: Sequence[bench.Ratio]) -> None:
    """The training loop as a table."""
    table = Table("what", "slow", "fast", "ratio", "10-90 %", "slow ms", "fast ms", box=None)
    for r in ratios:
        times = (f"{r.slow_ms:.3f}", f"{r.fast_ms:.3f}")
        table.add_row(r.what, r.slow, r.fast, f"{r.median:.2f}", f"{r.p10:.2f}-{r.p90:.2f}", *times)
    console.print(table)


def show_layer(console: Console, rows: Sequence[bench_layer.LayerRow]) -> None:
    """The layer as a table, a line per backend: how fast, and how exact far from zero."""
    table = Table(
        *("shape", "", "work", "backend", "ms", "/roof", "ratio", "10-90 %", "error"), box=None
    )
    table.padding = (0, 1, 0, 0)
    table.title = (
        "/roof: multiple of a copy (triad); ratio: times as fast as native; "
        "error: the greatest of y, dx and dgamma at mean 10,000, spread 1"
    )
    for r in rows:
        layout = {"contiguous": "NCHW", "channels_last": "NHWC"}[r.layout]
        far = [e for e in (r.far_y_error, r.far_dx_error, r.far_dgamma_error) if e is not None]
        table.add_row(
            *(r.shape.replace(" ", ""), layout if r.shape.count(",") > 1 else ""),
            *(r.work, r.backend, f"{r.ms:.3f}", f"{r.roof:.1f}", f"{r.ratio:.2f}"),
            *(f"{r.p10:.2f}-{r.p90:.2f}", f"{max(far):.0e}" if far else ""),
        )
    console.print(table)


def write(path: Path, rows: Sequence[Any], extra: dict[str, Any]) -> None:
    """Rows as CSV, each with the facts about the machine."""
    table = [asdict(row) | extra for row in rows]
    write_table(path, table[0], (row.values() for row in table), depth=0)
