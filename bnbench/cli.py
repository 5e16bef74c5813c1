"""From a command line to checked arms: compose and check every job before anything runs.

Hydra composes and later launches. By itself it would answer a bad request with several lines, exit
code 1 and folders, and might have trained half of it: so the request is read here first. Nothing
here imports torch.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig

from bnbench.config.arms import Config, arm_id, flatten, fresh_seed, science
from bnbench.config.checks import RequestError, as_typed, check
from bnbench.config.quoting import folder, in_quotes, quoted
from bnbench.config.schema import SaveWeights, Search, ShiftConfig, TrackMode
from bnbench.config.yaml_bounds import check_folders
from bnbench.request import own_code
from bnbench.request.compose import Composer
from bnbench.request.declared import check_report
from bnbench.request.grid import MAX_JOBS, TOO_MANY, check_overrides, grid, num_values
from bnbench.request.hydra_internals import Loader, current_loader, options_of, parsed_once
from bnbench.request.preflight import check_base, check_request
from bnbench.request.provenance import RequestSource
from bnbench.request.refusal import REFUSED, allowed, one_line
from bnbench.request.tuning import RatePlan, plan
from bnbench.tracking.experiment_dir import ADHOC, FITTING, fits
from bnbench.tracking.wandb_environment import asked, asked_mode, check_server

KEEPING = [SaveWeights.never, SaveWeights.auto, SaveWeights.always]  # the later keeps more


@dataclass(frozen=True)
class Arm:
    """One arm of a request."""

    id: str
    config: Config


@dataclass(frozen=True)
class Job:
    """One job of a request: the arm that is asked for, and the arms that it wants now.

    They are the same but where a learning rate is to be found.
    """

    experiment: str
    asked: Arm
    arms: list[Arm]
    plan: RatePlan | None = None


@dataclass
class Experiment:
    """The runs that one experiment asks for on one data set."""

    name: str
    data: str
    report: dict[str, Any]
    tune: dict[str, Any] | None  # what was tuned, where learning rates are found
    shifts: list[str]  # each with its severity: `contrast-5`
    runs: dict[str, list[int]] = field(default_factory=dict)  # arm id -> seeds


@dataclass
class Request:
    """Everything that one command line asks for, checked."""

    arms: dict[str, Arm]
    experiments: list[Experiment]
    jobs: list[Job]
    duplicates: int  # arms that turned out equal to that of another job
    tuned: int  # arms whose learning rate is to be found
    found: int  # those of them whose search has ended
    hydra: DictConfig  # the composed configuration that the launcher is made from
    results: Path


def read(
    overrides: Sequence[str], multirun: bool, needs_data: bool = True, fresh: bool = False
) -> Request:
    """The checked request of some Hydra overrides. Hydra must be initialised; no file is written.

    Args:
        overrides: as typed.
        multirun: whether a sweep was asked for.
        needs_data: refuse it where the files of its data sets are not there.
        fresh: report on seeds that the committed results did not use, in the place of those asked.

    Raises:
        RequestError: with the one line to show, for every request that cannot be run.
    """
    source = RequestSource(current_loader(), overrides)
    check_folders(source.folders)
    try:
        source.overrides = list(map(quoted, overrides))
        with parsed_once(source.loader):
            jobs = list(checked_jobs(source, multirun, fresh))
        check_request([a.config for job in jobs for a in job.arms], source.bases, needs_data)
        arms, experiments = merged(jobs)
    except Exception as error:
        # Hydra and OmegaConf trip over odd values in ways of their own: all is a bad request here
        if not isinstance(error, REFUSED) and os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise RequestError(one_line(error, source)) from error
    done = {arm.id: asked_by(arm, experiments) for arm in arms.values()}
    results = Path(next(iter(done.values())).config.results)
    duplicates = sum(len({arm.id for arm in job.arms}) for job in jobs) - len(done)
    found: dict[str, bool] = {}
    for job in jobs:
        if job.plan:  # equal searches are one
            key = f"{job.asked.id} {job.asked.config.tune}"
            found[key] = found.get(key, True) and job.plan.is_found
    numbers = (duplicates, len(found), sum(found.values()))
    return Request(done, experiments, jobs, *numbers, source.bases[0], results)


def checked_jobs(source: RequestSource, multirun: bool, fresh: bool = False) -> Iterator[Job]:
    """Every job that is asked for, composed and checked, with the arms that it wants now."""
    parser = OverridesParser.create(config_loader=source.loader)
    parsed = parser.parse_overrides(list(source.overrides))
    own_code.offer_all(parsed, source.loader)
    check_overrides(parsed, source.loader)
    several = [
        str(o.input_line)
        for o in parsed
        if o.is_sweep_override() and o.key_or_group != "experiment"
    ]
    each_data, rest = split_data(parsed)
    names = experiment_names(source.loader, parsed)
    for name, data in product(names, each_data):
        source.job = lines = [*([f"experiment={name}"] if name else []), *rest, *data]
        compose = Composer(source.loader, lines)
        base = compose.base
        source.bases.append(base)
        if isinstance(base.get("results"), str):
            base.results = folder(base.results)
        check_base(base, parsed)
        listed = bool(base.arms) or bool(base.hydra.sweeper.params)
        if several and not (multirun or listed or base.hydra.mode == RunMode.MULTIRUN):
            raise RequestError(f"{several[0]}: several values need -m{in_quotes(several[0])}")
        number = 0
        for own in list(grid(parser, base, parser.parse_overrides(lines))):
            source.job = own
            config = compose(own)
            if fresh:
                config = replace(config, seeds=list(map(fresh_seed, config.seeds)))
            job = planned(name or ADHOC, tracked(config, own))
            number += len(job.arms)
            if number > MAX_JOBS:
                tune = job.asked.config.tune
                ends = f"tune.low={as_typed(tune.low)} tune.high={as_typed(tune.high)}"
                raise RequestError(f"{ends}: {TOO_MANY}")
            yield job


def planned(experiment: str, arm: Arm) -> Job:
    """A job with the arms that it wants now: where its learning rate is to be found, at several."""
    if arm.config.tune.low is None:
        return Job(experiment, arm, [arm])
    wanted = plan(arm.config, Path(arm.config.results))
    configs = [*wanted.grid, wanted.best] if wanted.best else wanted.grid
    return Job(experiment, arm, [Arm(arm_id(science(c)), c) for c in configs], wanted)


def merged(jobs: Iterable[Job]) -> tuple[dict[str, Arm], list[Experiment]]:
    """The distinct arms of some jobs, and the runs that each experiment asks for."""
    arms: dict[str, Arm] = {}
    grouped: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        grouped.setdefault((job.experiment, job.asked.config.data.name), []).append(job)
        for arm in job.arms:
            arms[arm.id] = united(arms[arm.id], arm) if arm.id in arms else arm
    experiments = []
    for key, own in grouped.items():
        report = own[0].asked.config.report
        experiment = Experiment(*key, asdict(report), tuned(own), shifts(own))
        for arm in (arm for job in own for arm in job.arms):
            runs = {*experiment.runs.get(arm.id, []), *arm.config.seeds}
            experiment.runs[arm.id] = sorted(runs)
        # what a rate is tried on may measure less than the arm that is asked for
        known = [*(arms[arm].config for arm in experiment.runs), *(j.asked.config for j in own)]
        check_report(report, [flatten(science(config)) for config in known])
        experiments.append(experiment)
    return arms, experiments


def shifts(jobs: Iterable[Job]) -> list[str]:
    """The shifts that an experiment asks for, each with its severity, whatever others ask for."""
    asked = [job.asked.config.shift for job in jobs]
    found = (f"{name}-{k}" for one in asked for name in shift_names(one) for k in one.severities)
    return list(dict.fromkeys(found))


def shift_names(shift: ShiftConfig) -> list[str]:
    """The shifts of a request: those that ship, then those of plugins."""
    return [*shift.names, *shift.own]


def tuned(jobs: Sequence[Job]) -> dict[str, Any] | None:
    """What an experiment tunes: seeds, least and largest rate, criterion, arms at a found rate.

    The runs of a search for the largest stable rates are reported: they tune nothing.

    Raises:
        RequestError: a job reports on seeds that rates are tuned on, or two have other criteria.
    """
    best = [job for job in jobs if job.asked.config.tune.find == Search.best]
    plans = [job.plan for job in best if job.plan]
    if not plans:
        return None
    by = list(dict.fromkeys(job.asked.config.tune.by for job in best if job.plan))
    if len(by) > 1:
        raise RequestError(f"tune.by={' and '.join(by)}: expected one for all arms that are tuned")
    seeds = sorted({seed for wanted in plans for arm in wanted.grid for seed in arm.seeds})
    for reported in (job.asked.config.seeds for job in jobs):
        if both := sorted({*reported} & {*seeds}):
            raise RequestError(
                f"seeds={as_typed(reported)}: rates are tuned on {both[0]} (tune.seeds="
                f"{as_typed(seeds)}), expected other seeds to report"
            )
    rates = [arm.optim.base_lr for wanted in plans for arm in wanted.grid]
    found = {arm_id(science(wanted.best)) for wanted in plans if wanted.best}
    ends = {"low": min(rates), "high": max(rates)}
    return {"seeds": seeds, **ends, "by": str(by[0]), "arms": sorted(found)}


def experiment_names(loader: Loader, parsed: Sequence[Override]) -> list[Any]:
    """The experiments that are asked for; [None] for none."""
    chosen = [override for override in parsed if override.key_or_group == "experiment"]
    if not chosen:
        return [None]
    last = chosen[-1]
    if last.is_delete():
        raise RequestError(f"{last.input_line}: expected experiment=null for none")
    swept = last.is_sweep_override() and num_values(last)
    names = list(last.sweep_string_iterator()) if swept else [last.value()]
    options = options_of(loader, "experiment")
    for name in names:
        if name is not None and name not in options:
            raise RequestError(f"experiment={name}: {allowed(str(name), options)}")
        if name is not None and not fits(str(name)):
            raise RequestError(f"experiment={name}: expected {FITTING}")
    return names


def split_data(parsed: Sequence[Override]) -> tuple[list[list[str]], list[str]]:
    """What chooses each data set, where there are several, and all other overrides.

    An experiment may have other settings on another data set (configs/on_data/): it is composed for
    each by itself.
    """
    lines = [(o, str(o.input_line)) for o in parsed if o.key_or_group != "experiment"]
    swept = [o for o, _ in lines if o.key_or_group == "data" and o.is_sweep_override()]
    if not swept or not swept[-1].is_discrete_sweep() or not num_values(swept[-1]):
        return [[]], [line for _, line in lines]
    values = swept[-1].sweep_string_iterator()
    rest = [line for override, line in lines if override.key_or_group != "data"]
    return [[f"data={value}"] for value in values], rest


def tracked(config: Config, job: Sequence[str]) -> Arm:
    """The arm of a job, with W&B's environment variables where the command line is silent."""
    keys = {line.split("=")[0].lstrip("+~") for line in job}
    if not keys & {"track", "track.mode"} and (mode := asked_mode()):
        config.track = replace(config.track, mode=mode)
    if config.track.experiments:
        names = as_typed(config.track.experiments)
        raise RequestError(f"track.experiments={names}: follows from experiment, expected that")
    for name in ("project", "entity", "tags", "notes"):
        if f"track.{name}" not in keys and (value := asked(name)):
            config.track = replace(config.track, **{name: value})
    if config.track.mode != TrackMode.csv:
        check_server()
    check(config)  # what the environment says too
    return Arm(arm_id(science(config)), config)


def united(one: Arm, other: Arm) -> Arm:
    """One arm that was asked for twice: seeds and shifts unite, weights are kept if either asks."""
    a, b = one.config, other.config
    shift = replace(
        a.shift,
        names=list(dict.fromkeys([*a.shift.names, *b.shift.names])),
        own=list(dict.fromkeys([*a.shift.own, *b.shift.own])),
        severities=sorted({*a.shift.severities, *b.shift.severities}),
    )
    if not shift_names(a.shift) or not shift_names(b.shift):
        shift = a.shift if shift_names(a.shift) else b.shift
    wish = max(a.train.save_weights, b.train.save_weights, key=KEEPING.index)
    train = replace(a.train, save_weights=wish)
    config = replace(a, seeds=sorted({*a.seeds, *b.seeds}), shift=shift, train=train)
    config.plugins = list(dict.fromkeys([*a.plugins, *b.plugins]))
    return replace(one, config=config)


def asked_by(arm: Arm, experiments: Iterable[Experiment]) -> Arm:
    """An arm that knows the names of the experiments that ask for it."""
    names = [e.name for e in experiments if e.name != ADHOC and arm.id in e.runs]
    track = replace(arm.config.track, experiments=names)
    return replace(arm, config=replace(arm.config, track=track))
