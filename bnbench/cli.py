"""From a command line to checked arms: compose and check every job before anything runs.

Hydra composes and later launches. By itself it would answer a bad request with several lines, exit
code 1 and folders, and might have trained half of it: so the request is read here first. Nothing
here imports torch.
"""

import copy
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from bnbench.checks import RequestError, check, shown
from bnbench.config import Config, arm_id, science, typed
from bnbench.data.files import missing_files
from bnbench.refusal import REFUSED, one_line
from bnbench.schema import Device, TrackMode

OmegaConf.register_new_resolver("default_jobs", lambda device: default_jobs(device), replace=True)

NVIDIA = Path("/proc/driver/nvidia/version")  # there where a driver is loaded; torch is not asked
ADHOC = "adhoc"  # the name of a sweep that no experiment names


@dataclass(frozen=True)
class Arm:
    """One arm of a request, with the overrides that compose it again in a worker."""

    id: str
    config: Config
    overrides: list[str]


@dataclass
class Experiment:
    """The runs that one experiment asks for on one data set."""

    name: str
    data: str
    report: dict[str, Any]
    runs: dict[str, list[int]] = field(default_factory=dict)  # arm id -> seeds


@dataclass
class Request:
    """Everything that one command line asks for, checked."""

    arms: dict[str, Arm]
    experiments: list[Experiment]
    duplicates: int  # jobs that turned out equal to another
    hydra: DictConfig  # the composed configuration that the launcher is made from
    results: Path


def read(overrides: Sequence[str], multirun: bool) -> Request:
    """The checked request of some Hydra overrides. Hydra must be initialised; no file is written.

    Raises:
        RequestError: with the one line to show, for every request that cannot be run.
    """
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, ConfigLoaderImpl)
    arms: dict[str, Arm] = {}
    experiments: dict[tuple[str, str], Experiment] = {}
    jobs_read: list[Arm] = []
    first: DictConfig | None = None
    try:
        for name, base, jobs in sweeps(loader, list(overrides), multirun):
            first = base if first is None else first
            compose = Composer(loader, base)
            for job in jobs:
                arm = tracked(compose(job), job)
                jobs_read.append(arm)
                key = (name, arm.config.data.name)
                if key not in experiments:
                    experiments[key] = Experiment(*key, report=asdict(arm.config.report))
                runs = experiments[key].runs
                runs[arm.id] = sorted({*runs.get(arm.id, []), *arm.config.seeds})
                arms[arm.id] = united(arms[arm.id], arm) if arm.id in arms else arm
        assert first is not None
        check_request(jobs_read)
    except REFUSED as error:
        raise RequestError(one_line(error, loader, list(overrides))) from error
    done = {arm.id: replace(arm, overrides=final_overrides(arm)) for arm in arms.values()}
    results = Path(next(iter(done.values())).config.results)
    return Request(done, list(experiments.values()), len(jobs_read) - len(done), first, results)


def sweeps(
    loader: ConfigLoaderImpl, overrides: list[str], multirun: bool
) -> Iterator[tuple[str, DictConfig, list[list[str]]]]:
    """For each experiment asked for (or none): its name, composed base, and the jobs' overrides."""
    parser = OverridesParser.create(config_loader=loader)
    parsed = parser.parse_overrides(overrides)
    chosen = [o for o in parsed if o.key_or_group == "experiment"]
    rest = [o.input_line for o in parsed if o.key_or_group != "experiment" and o.input_line]
    names: list[str | None] = [None]
    if chosen and chosen[-1].is_sweep_override():
        names = list(chosen[-1].sweep_string_iterator())
    elif chosen and chosen[-1].value() is not None:
        names = [str(chosen[-1].value())]
    for name in names:
        lines = [*([f"experiment={name}"] if name else []), *rest]
        base = loader.load_configuration(
            "config", lines, RunMode.MULTIRUN, validate_sweep_overrides=False
        )
        many = multirun or base.hydra.mode == RunMode.MULTIRUN or swept(base)
        mode = RunMode.MULTIRUN if many else RunMode.RUN
        base = loader.load_configuration("config", lines, mode)
        check_base(base)
        if mode == RunMode.RUN:
            jobs = [lines]
        else:
            jobs = list(grid(parser, base, parser.parse_overrides(lines)))
        yield name or ADHOC, base, jobs


def swept(base: DictConfig) -> bool:
    """Whether an experiment lists several arms."""
    return bool(base.arms) or bool(base.hydra.sweeper.params)


def grid(
    parser: OverridesParser, base: DictConfig, typed_in: list[Override]
) -> Iterator[list[str]]:
    """The union over `arms` of the products of sweeper.params, the arm's keys and the command line.

    Later ones replace earlier ones key by key, so that a value on the command line wins everywhere.
    """
    params = base.hydra.sweeper.params
    everywhere = {} if params is None else plain(params)
    keys = {o.key_or_group for o in typed_in}
    for entry in OmegaConf.to_container(base.arms) or [{}]:
        assert isinstance(entry, dict)
        swept = {k: v for k, v in {**everywhere, **entry}.items() if k not in keys}
        lines = [f"{key}={shown(value)}" for key, value in swept.items()]
        cross = [*parser.parse_overrides(lines), *typed_in]
        for batch in BasicSweeper.split_arguments(cross, max_batch_size=None):
            yield from batch


class Composer:
    """Composes the jobs of one base: Hydra once per choice of groups, then values on a copy.

    Composing takes Hydra about 40 ms a job, setting values on a copy about 5 ms.
    """

    def __init__(self, loader: ConfigLoaderImpl, base: DictConfig):
        self.loader, self.base = loader, base
        self.parser = OverridesParser.create(config_loader=loader)
        self.composed: dict[tuple[str, ...], DictConfig] = {}
        # large, and the same for all jobs of a base
        common = OmegaConf.masked_copy(base, [key for key in ("arms", "report") if key in base])
        self.common = plain(common)

    def __call__(self, job: Sequence[str]) -> Config:
        """The checked configuration of one job."""
        parsed = [o for o in self.parser.parse_overrides(list(job)) if not o.is_hydra_override()]
        is_group = [self.loader.repository.group_exists(o.key_or_group) for o in parsed]
        groups = tuple(str(o.input_line) for o, g in zip(parsed, is_group, strict=True) if g)
        values = [o for o, g in zip(parsed, is_group, strict=True) if not g]
        if groups not in self.composed:
            config = self.loader.load_sweep_config(self.base, list(groups))
            with open_dict(config):
                for key in ("hydra", *self.common):
                    config.pop(key, None)
            self.composed[groups] = config
        config = copy.deepcopy(self.composed[groups])
        own = [o for o in values if o.get_key_element().split(".")[0] not in self.common]
        try:
            self.loader._apply_overrides_to_config(own, config)
        except REFUSED as error:
            raise RequestError(one_line(error, self.loader, job, config)) from error
        return typed({**plain(config), **self.common})


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain nested values, its interpolations resolved."""
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def tracked(config: Config, job: Sequence[str]) -> Arm:
    """The arm of a job, with W&B's environment variables where the command line is silent."""
    modes = {"online": "online", "offline": "offline", "disabled": "csv"}
    keys = {line.split("=")[0].lstrip("+~") for line in job}
    mode = os.environ.get("WANDB_MODE", "")
    if mode and not keys & {"track", "track.mode"}:
        if mode not in modes:
            raise RequestError(f"WANDB_MODE={mode}: expected one of {', '.join(modes)}")
        config.track = replace(config.track, mode=TrackMode(modes[mode]))
    for name in ("project", "entity"):
        value = os.environ.get(f"WANDB_{name.upper()}")
        if value and f"track.{name}" not in keys:
            config.track = replace(config.track, **{name: value})
    check(config)  # what the environment says too
    return Arm(arm_id(science(config)), config, list(job))


def united(one: Arm, other: Arm) -> Arm:
    """One arm that was asked for twice: its seeds and its shifts unite."""
    a, b = one.config, other.config
    shift = replace(
        a.shift,
        names=list(dict.fromkeys([*a.shift.names, *b.shift.names])),
        severities=sorted({*a.shift.severities, *b.shift.severities}),
    )
    if not a.shift.names or not b.shift.names:
        shift = a.shift if a.shift.names else b.shift
    config = replace(a, seeds=sorted({*a.seeds, *b.seeds}), shift=shift)
    return replace(one, config=config)


def final_overrides(arm: Arm) -> list[str]:
    """The overrides that make a worker compose the arm as it was united and resolved here."""
    config = arm.config
    lines = [*arm.overrides, f"seeds={shown(config.seeds)}"]
    for key in ("names", "severities"):
        lines.append(f"shift.{key}={shown(getattr(config.shift, key))}")
    for key in ("mode", "project", "entity"):
        value = getattr(config.track, key)
        lines.append(f"track.{key}={shown(value) if value is None else repr(str(value))}")
    return [*lines, f"hydra.sweep.subdir={arm.id}"]


def check_base(base: DictConfig) -> None:
    """Refuse what would upset the launching of a request (`RequestError`)."""
    if not OmegaConf.is_list(base.arms) or not all(isinstance(a, DictConfig) for a in base.arms):
        raise RequestError(
            f"arms={base.arms}: expected a list of mappings such as [{{norm: none}}]"
        )
    jobs = OmegaConf.select(base, "hydra.launcher.n_jobs")
    if jobs is not None and (not isinstance(jobs, int) or jobs < -1 or jobs == 0):
        raise RequestError(f"hydra.launcher.n_jobs={jobs}: expected an integer >= 1, or -1 for all")
    if base.hydra.job.chdir:
        raise RequestError("hydra.job.chdir=true: expected false, results are relative to here")


def check_request(arms: Sequence[Arm]) -> None:
    """Refuse what only the whole request or the machine can tell (`RequestError`)."""
    for key in ("results", "device", "threads", "track"):
        values = [getattr(arm.config, key) for arm in arms]
        if any(value != values[0] for value in values):
            several = " and ".join(dict.fromkeys(str(getattr(v, "mode", v)) for v in values))
            raise RequestError(f"{key}={several}: cannot be swept, expected one for all arms")
    for name, root in sorted({(arm.config.data.name, arm.config.data.root) for arm in arms}):
        problem = missing_files(name, Path(root))
        if problem:
            raise RequestError(problem)
    if arms[0].config.device == Device.cuda and not NVIDIA.exists():
        raise RequestError("device=cuda: there is no NVIDIA GPU here, expected auto or cpu")
    results = Path(arms[0].config.results)
    for path in (results, results / "runs", results / "experiments", results / "wandb"):
        check_writable(path)


def check_writable(path: Path) -> None:
    """Refuse a folder that cannot be written, by writing in it or where it would be."""
    parent = path
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    try:
        # a real file, since permission bits tell root nothing; it has no name and leaves none
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise RequestError(f"results={path}: cannot be written ({error.strerror})") from error


def default_jobs(device: str) -> int:
    """Workers of a sweep: one per core, or one where there is a GPU for it to train on."""
    if device == "cuda" or (device == "auto" and NVIDIA.exists()):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
