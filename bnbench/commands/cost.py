"""Say what a request would cost before it is run: arms, runs, steps and, with --time, hours.

python scripts/cost.py                            # all experiments of the claims on CIFAR-10
python scripts/cost.py --time                     # the same, its steps timed on the device here
python scripts/cost.py data=fashion_mnist         # those of another data set
python scripts/cost.py experiment=claim_rates,claim_accuracy data=cifar10

Other overrides are those of scripts/train.py. The images need not be there, and nothing is kept.
"""

import sys
import tempfile
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence

import hydra
from rich.console import Console
from rich.table import Column, Table

from bnbench import CONFIGS, cli
from bnbench.bench import cost
from bnbench.claims.registry.table import claims_on, experiments
from bnbench.commands.arguments import Parser
from bnbench.config.checks import RequestError
from bnbench.config.labels import count_label
from bnbench.config.quoting import for_hydra
from bnbench.request.refusal import print_error

DEFAULT = "cifar10"  # whose claims are for a GPU


def main(argv: Sequence[str] | None = None) -> int:
    """Count, time if asked to, and print; 2 for a bad request, 1 where a net does not fit."""
    parser = Parser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="time the steps of every distinct net")
    parser.add_argument("--blocks", type=int, default=20, help="of steps to time (%(default)s)")
    parser.add_argument("--limit", type=float, default=20, help="seconds a net (%(default)s)")
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="what to run")
    args = parser.parse_intermixed_args(argv)
    if args.blocks < 1:
        parser.error(f"--blocks {args.blocks}: expected at least 1")
    try:
        request = asked(args.overrides)
    except RequestError as error:
        return print_error(str(error))
    bills = cost.costs(request)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    show(console, bills)
    return time(console, bills, args.blocks, args.limit) if args.time else 0


def asked(overrides: Sequence[str]) -> cli.Request:
    """The request of a command line; without an experiment, all that the claims need.

    Raises:
        RequestError: it cannot be run.
    """
    overrides = list(overrides)
    if not any(word.startswith("experiment=") for word in overrides):
        data = next((word[5:] for word in reversed(overrides) if word.startswith("data=")), "")
        if "," in data:
            raise RequestError(f"data={data}: expected one data set, each has claims of its own")
        names = experiments(claims_on(data or DEFAULT).values())
        overrides += [f"experiment={','.join(names)}", *([] if data else [f"data={DEFAULT}"])]
    # from nothing: whatever is there already is counted too
    with (
        tempfile.TemporaryDirectory() as nowhere,
        hydra.initialize_config_dir(str(CONFIGS), job_name="cost", version_base="1.3"),
    ):
        nowhere_yet = f"results={for_hydra(f'{nowhere}/results')}"
        return cli.read([*overrides, nowhere_yet], True, needs_data=False)


def with_total(bills: Sequence[cost.Cost]) -> list[cost.Cost]:
    """Some bills, and where there are several all of them together."""
    return [*bills, cost.total(bills)] if len(bills) > 1 else list(bills)


def table(*numbers: str) -> Table:
    """A table of experiments with columns of numbers."""
    return Table("experiment", *(Column(name, justify="right") for name in numbers), box=None)


def show(console: Console, bills: Sequence[cost.Cost]) -> None:
    """The counts as a table."""
    counts = table("arms", "runs", "steps", "runs more, at most")
    for bill in with_total(bills):
        numbers = (len(bill.arms), bill.runs, bill.steps, bill.more)
        counts.add_row(bill.name, *(f"{number:,}" for number in numbers))
    console.print(counts)
    console.print(
        "More runs: where the best learning rate is an end of its grid. A run that diverges ends "
        "early.",
        soft_wrap=True,
    )


def time(console: Console, bills: Sequence[cost.Cost], blocks: int, limit: float) -> int:
    """Time every distinct net and print what that makes of the counts; the exit code."""
    import torch

    from bnbench.bench import arms as bench_arms
    from bnbench.config.recipe import resolve
    from bnbench.train import device_name, device_of

    configs = bench_arms.settings(cost.total(bills))
    first = next(iter(configs.values()))
    device = device_name(device_of(resolve(first)))
    threads = f", {count_label(first.threads, 'thread')}" if device == "cpu" else ""
    console.print(
        f"\nOn {device}{threads}, torch {torch.__version__}, one run at a time, on random images:"
    )
    paces = {}
    for number, (key, config) in enumerate(configs.items(), 1):
        ghosts = getattr(config.norm, "ghost_size", "")
        what = (
            f"{config.model.name} {config.norm.name}{f' of {ghosts}' if ghosts else ''}, batch "
            f"{config.batch_size}"
        )
        try:
            paces[key] = p = bench_arms.pace(config, blocks, limit)
        except torch.OutOfMemoryError:
            print_error(f"{what}: does not fit into the memory of {device}")
            return 1
        console.print(
            f"[{number}/{len(configs)}] {what}: "
            f"{1e3 * p.step:.2f} ms a step ({1e3 * p.least:.2f} to {1e3 * p.most:.2f}, {p.blocks} "
            f"times), {1e3 * p.image:.3f} ms an image evaluated"
            f"{f', {1e3 * p.probe:.0f} ms a probe' if config.probes else ''}",
            markup=False,
            soft_wrap=True,
        )
    times = table("hours to train", "to evaluate", "together")
    for bill in with_total(bills):
        hours = [seconds / 3600 for seconds in bench_arms.spent(bill, paces)]
        times.add_row(bill.name, *(f"{number:.2f}" for number in (*hours, sum(hours))))
    console.print(times)
    console.print("Not in it: what grids grow by, reading data, W&B, reports and figures.")
    return 0
