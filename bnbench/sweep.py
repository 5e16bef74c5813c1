"""A request from the command line to its results: launch arms through Hydra's launchers.

A single arm is a sweep of one job. The parent never imports torch: it checks the request, starts
the launcher again for what a dead worker left behind, and reads the outcome from the run folders.
"""

import io
import os
import shlex
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig
from rich.console import Console

from bnbench import CONFIGS, cli
from bnbench.config.arms import flatten, science
from bnbench.config.checks import RequestError
from bnbench.config.labels import arm_labels, count_label, duration_label
from bnbench.config.quoting import elsewhere, entry_words, quoted, shown_path, subcommand
from bnbench.config.schema import TrackMode
from bnbench.config.yaml_bounds import check_folders
from bnbench.request import own_code
from bnbench.request.grid import check_overrides
from bnbench.request.hydra_internals import (
    JOB,
    answer,
    argument_parser,
    folders_of,
    initialised,
    offering,
)
from bnbench.request.own_data import images_of, keep_prepared
from bnbench.request.plugins import Plugin
from bnbench.request.provenance import RequestSource
from bnbench.request.rates import write_rates
from bnbench.request.refusal import REFUSED, one_line, print_error
from bnbench.running.estimate import Estimate, time_left
from bnbench.running.launch import Work, of_job, train_missing
from bnbench.running.process import STOPPED, follow, leading
from bnbench.running.progress import Watcher
from bnbench.running.streams import secure
from bnbench.tracking.experiment_dir import (
    experiment_path,
    other_schema_line,
    runs_of_other_schema,
    write_arms,
    write_experiment,
    write_runs,
)
from bnbench.tracking.meta import circumstances, known_meta, note_experiments
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.stored import DamagedError
from bnbench.tracking.upload import attempts
from bnbench.tracking.wandb_environment import not_followed

FRESH = "seeds=fresh"  # what `make claims` is told for other seeds than the committed results'
parent: int | None = None  # the process that leads the sweep; None in its workers


@dataclass
class Outcome:
    """What became of a request."""

    request: cli.Request
    failures: list[tuple[str, int, str]]  # arm, seed, reason
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 when every asked-for run has a result, else 1."""
        return int(bool(self.failures))


def sweep(argv: list[str], fresh: bool = False) -> Outcome | int:
    """Run a command line: what became of it, or the exit code where nothing was to be trained.

    Args:
        argv: the words of the command line.
        fresh: on seeds that the committed results did not use, as `make claims` can.
    """
    parser = argument_parser()
    parser.error = lambda message: sys.exit(print_error(message))
    args = parser.parse_intermixed_args(argv)  # overrides and options in any order
    for flag in ("config_name", "config_path", "experimental_rerun"):
        if getattr(args, flag) is not None:
            return print_error(
                f"--{flag.replace('_', '-')}: expected overrides of configs/ instead"
            )
    ways = ("run", "multirun", "cfg", "info", "shell_completion")
    chosen = [f"--{way.replace('_', '-')}" for way in ways if getattr(args, way)]
    if len(chosen) > 1:
        return print_error(f"{' '.join(chosen)}: expected only one of them")
    if args.package is not None and not args.cfg:
        return print_error("--package: expected only with --cfg")
    if args.resolve and not (args.cfg or args.help):
        return print_error("--resolve: expected only with --cfg")
    if args.resolve and args.cfg == "hydra":
        return print_error("--cfg hydra --resolve: expected --cfg job, or no --resolve")
    if args.shell_completion and not args.overrides:
        return print_error(
            "--shell-completion: expected install=bash, uninstall=bash or query=bash"
        )
    if args.help or args.hydra_help or args.cfg or args.info or args.shell_completion:
        return hydra_itself(args, parser)
    try:
        script = entry_words("claims" if fresh else "train", "python")
        command = shlex.join([*script, *argv, *([FRESH] if fresh else [])])
        read = partial(cli.read, args.overrides, args.multirun, fresh=fresh)
        return carried_out(read, command, args.config_dir)
    except RequestError as error:
        return print_error(str(error))
    except (OSError, DamagedError) as error:  # a full disk, a folder that is gone, or a link
        print(f"bnbench: {error}; what is done is kept", file=sys.stderr)
        return 1


def carried_out(read: Callable[[], cli.Request], command: str, own: str | None = None) -> Outcome:
    """Lead a sweep: train what a request lacks, and write its experiments' tables.

    Args:
        read: reads the request; Hydra is initialised when it is called.
        command: how it was asked for, for the record.
        own: a folder of YAML files beside those that ship.

    Raises:
        RequestError: the request cannot be run.
        OSError: a file cannot be written.
        DamagedError: a file is not what a sweep wrote.
    """
    global parent
    parent = os.getpid()
    with leading(), initialised(CONFIGS, own):
        return run(read, command)


def hydra_itself(args: Namespace, parser: ArgumentParser) -> int:
    """Let Hydra answer --help, --cfg, --info and TAB; what it cannot answer is one line."""
    told = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # it then raises instead of printing
    answered, complaint = io.StringIO(), io.StringIO()
    offered: list[Plugin] = []
    try:
        with initialised(CONFIGS, args.config_dir) as loader:
            check_folders(folders_of(loader))
            if not args.shell_completion:
                args.overrides = list(map(quoted, args.overrides))
                parsed = OverridesParser.create().parse_overrides(args.overrides)
                offered = own_code.offer_all(parsed, loader)
                check_overrides(parsed, loader)
        with offering(), redirect_stdout(answered), redirect_stderr(complaint):
            own_code.offer_rows(offered)  # Hydra initialises itself once more
            answer(args, parser, task, CONFIGS)
    except SystemExit as ending:
        if ending.code:
            return print_error(complaint.getvalue().strip())
    except RequestError as error:
        return print_error(str(error))
    except Exception as error:
        if not isinstance(error, REFUSED) and told == "1":
            raise
        with initialised(CONFIGS, args.config_dir) as loader:
            return print_error(one_line(error, RequestSource(loader, args.overrides)))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if told is not None:
            os.environ["HYDRA_FULL_ERROR"] = told
    sys.stdout.write(answered.getvalue())
    return 0


def task(config: DictConfig) -> dict[int, str]:
    """One job of a launcher: train one arm. Runs in a worker, where torch is imported."""
    is_worker = parent != os.getpid()
    if is_worker:
        secure()
        follow()
    from bnbench.train import own_rows, train_arm

    asked = of_job(config[JOB])
    try:
        with own_rows(*own_code.rows(asked)):
            return train_arm(asked)
    except RequestError as error:  # a plugin is another than that which was asked for
        return dict.fromkeys(asked.seeds, str(error))
    except KeyboardInterrupt:
        if is_worker:
            os._exit(STOPPED)  # raised further, it would reach the leader as the user's Ctrl-C
        raise


def run(read: Callable[[], cli.Request], command: str) -> Outcome:
    """Train what is missing of a request, and write its experiments' tables.

    Where learning rates are to be found, what is wanted next depends on what was trained: the
    request is read again until it wants nothing new.
    """
    console = terminal()
    started, clock_started = datetime.now(UTC), time.monotonic()
    work, todo, number, estimate = None, {}, 0, Estimate()
    while True:
        request, number = read(), number + 1
        work = Work(request, work)
        lacking = work.lacking()
        if number == 1 and any(a.config.track.mode != TrackMode.csv for a in request.arms.values()):
            for line in not_followed(os.environ):
                print_error(line)
        paths = [experiment_path(request.results, e.name, e.data) for e in request.experiments]
        if number == 1 and (others := runs_of_other_schema(paths)):
            console.print(other_schema_line(others), soft_wrap=True)
        if number == 1:
            describe_own_data(request, console)
        if lacking or number == 1:
            describe(request, lacking, number, console)
        write_tables(request)
        describe_experiments(request, command, started, None)
        todo |= {path: arm for arm, paths in lacking.items() for path in paths}
        if lacking:
            if number == 1:
                estimate.read_request(request)
            left = time_left(estimate, request, lacking)
            with Watcher(work, lacking, console, labels(request), left):
                train_missing(work, task)
        if not lacking or request.found == request.tuned:
            break
    failures = [(arm, run.seed, work.reason(run)) for run, arm in todo.items() if work.failed(run)]
    seconds = time.monotonic() - clock_started
    describe_experiments(request, command, started, datetime.now(UTC))
    for experiment in request.experiments:
        write_runs(request.results, experiment.name, experiment.data)
    for run, arm in work.arm_of.items():
        note_experiments(run, arm.config.track.experiments)
    outcome = Outcome(request, failures, seconds)
    conclude(outcome, len(todo), console)
    if not failures:
        keep_rates(request, command, console)
    return outcome


def terminal() -> Console:
    """Where a sweep prints; what an odd encoding lacks becomes a question mark."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # FORCE_COLOR makes rich take a file for a terminal: colours it may have, no moving picture
    moves = None if sys.stdout.isatty() else False
    return Console(
        file=sys.stdout, markup=False, highlight=False, emoji=False, force_interactive=moves
    )


def labels(request: cli.Request) -> dict[str, str]:
    """What people call the arms of a request: as in the report of the first to ask for them."""
    found: dict[str, str] = {}
    for experiment in request.experiments:
        settings = {arm: flatten(science(request.arms[arm].config)) for arm in experiment.runs}
        name = f"{experiment.name}: " if len(request.experiments) > 1 else ""
        found = {arm: name + words for arm, words in arm_labels(settings).items()} | found
    return found


def write_tables(request: cli.Request) -> None:
    """Write arms.csv of every experiment."""
    for experiment in request.experiments:
        path = experiment_path(request.results, experiment.name, experiment.data)
        runs = ((arm, seed) for arm, seeds in experiment.runs.items() for seed in seeds)
        write_arms(path, ((arm, seed, science(request.arms[arm].config)) for arm, seed in runs))


def describe_experiments(
    request: cli.Request, command: str, started: datetime, finished: datetime | None
) -> None:
    """Write experiment.json of every experiment; `finished` is None while they are trained."""
    for experiment in request.experiments:
        facts = {
            "name": experiment.name,
            "data": experiment.data,
            "question": experiment.report["question"],
            "command": command,
            **circumstances(request.results),
            "device": device(request),
            "started": started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds") if finished else None,
            "report": experiment.report,
            "tune": experiment.tune,
            "shifts": experiment.shifts,
        }
        path = experiment_path(request.results, experiment.name, experiment.data)
        write_experiment(path, facts)


def device(request: cli.Request) -> str:
    """What the runs were trained on, as the last of them recorded it."""
    arm = next(reversed(request.arms.values()))
    run = RunFolder.of(request.results, arm.id, arm.config.seeds[-1])
    return str(known_meta(run).get("device", "unknown"))


def describe(
    request: cli.Request, todo: Mapping[str, Sequence[RunFolder]], number: int, console: Console
) -> None:
    """Say what was asked for, what is there already and what is trained now, in which round."""
    for experiment in request.experiments if number == 1 else ():
        num_runs = sum(map(len, experiment.runs.values()))
        console.print(
            f"{experiment.name} on {experiment.data}: "
            f"{count_label(len(experiment.runs), 'arm')}, {count_label(num_runs, 'run')}",
        )
    if request.tuned:
        rates = count_label(request.tuned, "learning rate")
        console.print(f"tuning: round {number}, {request.found} of {rates} found")
    num_runs = sum(len(arm.config.seeds) for arm in request.arms.values())
    num_todo = sum(map(len, todo.values()))
    merged = count_label(request.duplicates, "duplicate arm")
    duplicates = f" ({merged} merged)" if request.duplicates else ""
    console.print(
        f"{count_label(len(request.arms), 'arm')}, {count_label(num_runs, 'run')}{duplicates}: "
        f"{num_runs - num_todo} done already, {num_todo} to train",
    )


def describe_own_data(request: cli.Request, console: Console) -> None:
    """Say what the user's own data are, and keep their prepared images for the workers."""
    sets = {arm.config.data.name: arm.config for arm in request.arms.values()}
    for name, config in sets.items():
        if found := images_of(config):
            console.print(f"{name}: {found.described}", soft_wrap=True)
            if found.lopsided:
                print_error(f"{name}: {found.lopsided}")
            keep_prepared(found, request.results)


def keep_rates(request: cli.Request, command: str, console: Console) -> None:
    """Keep the learning rates that an experiment found for the user's own data."""
    for experiment in request.experiments:
        if experiment.report["base_lr"]:
            configs = [request.arms[arm].config for arm in experiment.runs]
            if line := write_rates(configs, request.results, command):
                console.print(line, soft_wrap=True)


def conclude(outcome: Outcome, num_todo: int, console: Console) -> None:
    """Say what came of it; failures by arm, seed and reason."""
    for arm, seed, why in outcome.failures:
        console.print(f"FAILED {arm} seed {seed}: {why}", soft_wrap=True)
    if outcome.failures:
        console.print(
            f"{len(outcome.failures)} of {num_todo} runs failed; the same command tries them again"
        )
    elif num_todo:
        console.print(
            f"{count_label(num_todo, 'run')} finished in {duration_label(outcome.seconds)}"
        )
    if waiting := not_sent(outcome.request):
        console.print(
            f"{count_label(waiting, 'run')} not on the W&B server yet, upload them with "
            f"{subcommand('sync', elsewhere(outcome.request.results))}",
            soft_wrap=True,
        )
    console.print(f"results: {shown_path(outcome.request.results)}", soft_wrap=True)


def not_sent(request: cli.Request) -> int:
    """How many W&B runs of an online request no server has."""
    arms = list(request.arms.values())
    if arms[0].config.track.mode != TrackMode.online:
        return 0
    asked = {
        RunFolder.of(request.results, arm.id, seed) for arm in arms for seed in arm.config.seeds
    }
    return sum(a.run in asked and not a.is_sent for a in attempts(request.results))
