"""Say what a sweep would do before it is run: its arms, done or missing, and the minutes it takes.

python scripts/plan.py experiment=placement,shift data=fashion_mnist
python scripts/plan.py claims=all               # what `make claims` would run; claims=C1a,M6a some
python scripts/plan.py claims=all data=cifar10  # their form for a GPU

Other overrides are those of scripts/sweep.py. Nothing is trained or written, and the images need
not be there. Minutes follow from finished runs in the results folder; nets that none of them tells
of are built and timed for some seconds on random images.
"""

import sys
import time
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Column, Table

from bnbench import CONFIGS, cli
from bnbench.commands.arguments import Parser
from bnbench.commands.claims import ONLY, asked
from bnbench.config.arms import flatten, science
from bnbench.config.checks import RequestError
from bnbench.config.labels import arm_labels, count_label, duration_label
from bnbench.config.points import SUBSET
from bnbench.config.quoting import shown_path
from bnbench.config.schema import Config, Search
from bnbench.request.hydra_internals import initialised
from bnbench.request.refusal import print_error
from bnbench.running.estimate import START, Estimate, last_end
from bnbench.running.launch import is_settled, num_workers
from bnbench.running.loads import Load, load_of
from bnbench.tracking.run_dir import RunFolder

ALL_CLAIMS = f"{ONLY}all"
LINES, ARMS = 100, 20  # lines that list arms, and the most of them for an experiment
BLOCKS, EVALUATION = 20, 0.2  # steps that are timed of a net, and seconds of an evaluation
FEWEST = 100  # images of a split that are evaluated, however long it takes


@dataclass
class PlannedArm:
    """An arm that is asked for, with the runs that find its learning rate.

    Attributes:
        config: of the arm.
        runs: arm id, or what stands for it, and seed -> what each run is to do.
        missing: those that have no result.
        more: runs that may be wanted beyond them, where the best rate is an end of the grid.
    """

    config: Config
    runs: dict[tuple[str, int], Load]
    missing: set[tuple[str, int]]
    more: int


def main(argv: Sequence[str] | None = None) -> int:
    """Print the plan; 2 for a bad request."""
    parser = Parser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    help_seconds = "to time nets that no finished run tells of (%(default)s)"
    parser.add_argument("--seconds", type=float, default=15, help=help_seconds)
    parser.add_argument("--all", action="store_true", help="list every arm")
    parser.add_argument(
        "--config-dir", metavar="DIR", help="YAML files of your own, such as experiments"
    )
    parser.add_argument("overrides", metavar="key=value", nargs="*", help="what to plan")
    args = parser.parse_intermixed_args(argv)
    if not args.seconds >= 0:
        parser.error(f"--seconds {args.seconds:g}: expected at least 0")
    try:
        request = requested(args.overrides, args.config_dir)
    except RequestError as error:
        return print_error(str(error))
    experiments = planned(request)
    console = Console(
        width=None if sys.stdout.isatty() else 100, markup=False, highlight=False, emoji=False
    )
    rows = [row for rows in experiments.values() for row in rows]
    estimate = Estimate()
    console.print(informed(estimate, request, rows, args.seconds), soft_wrap=True)
    show(console, experiments, estimate, None if args.all else LINES)
    conclude(console, experiments, estimate, num_workers(request.hydra.hydra.launcher))
    return 0


def requested(overrides: Sequence[str], own: str | None = None) -> cli.Request:
    """Read the request of a command line, whose data need not be there.

    Raises:
        RequestError: it cannot be run.
    """
    overrides = list(overrides)
    if any(word.startswith(ONLY) for word in overrides):
        chosen = [word for word in overrides if word != ALL_CLAIMS]
        _, names, rest = asked(chosen)
        if not names:
            raise RequestError(f"{' '.join(chosen)}: needs no runs, there is nothing to plan")
        overrides = [f"experiment={','.join(names)}", *rest]
    with initialised(CONFIGS, own):
        return cli.read(overrides, True, needs_data=False)


def planned(request: cli.Request) -> dict[str, list[PlannedArm]]:
    """List the arms of each experiment of a request, with their runs, in order."""
    found: dict[str, list[PlannedArm]] = {}
    for job in request.jobs:
        config = job.asked.config
        runs: dict[tuple[str, int], Load] = {}
        missing = set()
        arms = {arm.id: arm.config for arm in job.arms}
        for number, later in enumerate(job.plan.later if job.plan else (), 1):
            arms[f"{job.asked.id} at a rate to be found, {number}"] = later
        for arm, own in arms.items():
            runs |= dict.fromkeys(((arm, seed) for seed in own.seeds), load_of(own))
            folders = {seed: RunFolder.of(request.results, arm, seed) for seed in own.seeds}
            missing |= {(arm, s) for s, run in folders.items() if not is_settled(run, own)}
        grows = job.plan and config.tune.find == Search.best
        more = 2 * config.tune.extend * len(config.tune.seeds) if grows else 0
        name = f"{job.experiment} on {config.data.name}"
        found.setdefault(name, []).append(PlannedArm(config, runs, missing, more))
    return found


def informed(
    estimate: Estimate, request: cli.Request, rows: Iterable[PlannedArm], seconds: float
) -> str:
    """Learn what runs take here, from finished ones and from nets that are timed.

    Returns:
        A line about it.
    """
    loads = {run: load for row in rows for run, load in row.runs.items() if run in row.missing}
    if not loads:
        return "Times: none are needed"
    finished = estimate.read_request(request)
    configs = {load_of(arm.config).family: arm.config for arm in request.arms.values()}
    totals: dict[str, float] = {}
    for load in loads.values():
        if not estimate.knows(load):
            totals[load.family] = totals.get(load.family, 0.0) + load.training
    lacking = sorted(totals, key=lambda family: -totals[family])
    begun = time.monotonic()
    timed = measure(estimate, [configs[f] for f in lacking if f in configs], seconds)
    took = time.monotonic() - begun
    told = [f"{count_label(finished, 'finished run')} in {shown_path(request.results)}"]
    told += [f"{count_label(timed, 'net')} timed here for {took:.0f} s"] if timed else []
    if guessed := len(lacking) - timed:
        told.append(f"{count_label(guessed, 'net')} guessed from the others")
    return f"Times: {', '.join(told)}"


def measure(estimate: Estimate, configs: Sequence[Config], seconds: float) -> int:
    """Time the steps and an evaluation of nets in turn, until some seconds have passed.

    Returns:
        How many nets were timed.
    """
    if not configs or not seconds:
        return 0
    import torch  # slow

    from bnbench.bench.arms import FEWEST as LEAST
    from bnbench.bench.arms import WARM_UP, pace

    timed, deadline = 0, time.monotonic() + seconds
    for number, config in enumerate(configs):
        left, load = deadline - time.monotonic(), load_of(config)
        a_pass = load.seen(1, 2) * load.image_seconds
        images = max(FEWEST, min(SUBSET, int(EVALUATION / a_pass)))
        takes = (WARM_UP + LEAST) * load.step_seconds + 2 * images * a_pass
        if estimate.factor(load) * takes > left:
            continue
        try:
            found = pace(config, BLOCKS, left / (len(configs) - number), images)
        except torch.OutOfMemoryError:
            continue
        image = found.point / load.seen(found.images, 2 * found.images, shared=found.images)
        points = load.evaluations(load.steps)
        _, images = load.evaluated(points)
        probes = (points.total() + 1) * found.probe
        probes += load.end_seconds * estimate.factor(load)
        training = load.steps * found.step + images * image + probes
        estimate.learn(load, training)
        timed += 1
    return timed


def show(
    console: Console,
    experiments: Mapping[str, Sequence[PlannedArm]],
    estimate: Estimate,
    lines: int | None,
) -> None:
    """Print the arms of each experiment, as many as fit into some lines."""
    counted: set[tuple[str, int]] = set()
    for name, rows in experiments.items():
        settings = {str(k): flatten(science(row.config)) for k, row in enumerate(rows)}
        labels = list(arm_labels(settings).values())
        most = len(rows) if lines is None else min(ARMS, max(1, lines // len(experiments)))
        # one line more needs no line that says so
        most = most if len(rows) > most + 1 else len(rows)
        numbers = (Column(name, justify="right", min_width=7) for name in ("done", "time"))
        table = Table(*numbers, "arm", box=None, pad_edge=False)
        beyond = 0.0
        for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
            new = row.missing - counted
            counted |= new
            seconds = sum(estimate.seconds(row.runs[run]) for run in new)
            if number >= most:
                beyond += seconds
                continue
            took = duration_label(seconds) if new else "above" if row.missing else "–"
            done = f"{len(row.runs) - len(row.missing)}/{len(row.runs)}"
            is_tuned = row.config.tune.low is not None
            words = (label or "as by default", "rate to be found" if is_tuned else "")
            table.add_row(done, took, ", ".join(filter(None, words)))
        runs = {run for row in rows for run in row.runs}
        console.print(
            f"\n{name}: {count_label(len(rows), 'arm')}, {count_label(len(runs), 'run')}",
            soft_wrap=True,
        )
        if len(rows) > most:
            rest = count_label(len(rows) - most, "more arm")
            table.add_row("…", duration_label(beyond), f"{rest} (--all lists them)")
        console.print(table)


def conclude(
    console: Console,
    experiments: Mapping[str, Sequence[PlannedArm]],
    estimate: Estimate,
    workers: int | None,
) -> None:
    """Print the sums: runs, steps, and the time of some workers."""
    rows = [row for rows in experiments.values() for row in rows]
    runs = {run: load for row in rows for run, load in row.runs.items()}
    missing = {run for row in rows for run in row.missing}
    jobs: dict[str, float] = {}
    for run in (run for run in runs if run in missing):  # in their order
        jobs[run[0]] = jobs.get(run[0], 0.0) + estimate.seconds(runs[run])
    num_arms = len({arm for arm, _ in runs})
    steps = sum(runs[run].steps for run in missing)
    console.print(
        f"\n{count_label(num_arms, 'arm')}, {count_label(len(runs), 'run')}: "
        f"{len(runs) - len(missing):,} done, {len(missing):,} to train"
        + (f" in {count_label(steps, 'step')}" if missing else ", nothing to do"),
        soft_wrap=True,
    )
    if more := sum(row.more for row in rows):
        console.print(
            f"at most {count_label(more, 'run')} more, where the best learning rate is an end of "
            "its grid",
            soft_wrap=True,
        )
    if missing:
        core = duration_label(sum(jobs.values()))
        told = f"about {core} of one worker"
        if workers:
            took = duration_label(START + last_end(jobs.values(), workers))
            told = f"about {took} with {count_label(workers, 'worker')} ({core} of work)"
        console.print(f"{told}, the report aside", soft_wrap=True)
