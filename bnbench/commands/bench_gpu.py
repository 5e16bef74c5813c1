"""Measure the Triton kernel on a CUDA GPU: `python scripts/bench_gpu.py [--samples 30]`."""

import importlib.metadata
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from bnbench.bench.gpu import Bandwidth, run
from bnbench.commands.arguments import Parser, folder_argument
from bnbench.commands.bench import write
from bnbench.norms.kernels import UnavailableError, triton_kernel
from bnbench.tracking.meta import circumstances


def main() -> int:
    """Print each layer as it comes and write them to <results>/bench_gpu.csv."""
    parser = Parser(description=__doc__)
    parser.add_argument("--results", type=folder_argument, default=Path("results"))
    parser.add_argument("--samples", type=int, default=30)
    args = parser.parse_args()
    if args.samples < 2:
        parser.error(f"--samples {args.samples}: expected at least 2")
    try:
        if not torch.cuda.is_available():
            raise UnavailableError("there is no CUDA GPU")
        triton_kernel.prepare()
    except UnavailableError as error:
        print(f"bench_gpu measures the Triton kernel on a GPU, but {error}", file=sys.stderr)
        return 2
    console, rows = Console(), []
    for row in run(args.samples):
        rows.append(row)
        console.print(f"{_name(row)}: {row.share:.0%} of a copy's bandwidth", style="dim")
    table = Table(
        "layer", "GB/s", "of copy", "10-90 %", "ms", "torch ms", "ratio", "10-90 %", box=None
    )
    for r in rows:
        table.add_row(
            _name(r),
            f"{r.kernel_gb_per_s:.0f}",
            f"{r.share:.0%}",
            f"{r.share_p10:.0%}-{r.share_p90:.0%}",
            f"{r.kernel_ms:.3f}",
            f"{r.torch_ms:.3f}",
            f"{r.speedup:.2f}",
            f"{r.speedup_p10:.2f}-{r.speedup_p90:.2f}",
        )
    console.print(table)
    args.results.mkdir(parents=True, exist_ok=True)
    facts = circumstances(args.results)
    extra = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": importlib.metadata.version("triton"),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "commit": facts["git_commit"],
        "dirty": facts["git_dirty"],
    }
    path = args.results / "bench_gpu.csv"
    write(path, rows, extra)
    console.print(
        f"{args.samples} samples each, bytes as in bnbench/bench/gpu.py; written to {path}"
    )
    return 0


def _name(row: Bandwidth) -> str:
    return f"{row.shape} {row.layout} {row.dtype}{' + ReLU' if row.relu else ''}"
