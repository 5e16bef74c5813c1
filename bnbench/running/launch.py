"""Launching what a request lacks until each of its runs has a result or has failed."""

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from bnbench.cli import Arm, Request
from bnbench.config.arms import asked_shifts, typed
from bnbench.config.facts import path_key
from bnbench.config.schema import Config
from bnbench.request.clusters import RAY, SUBMITIT, plugin
from bnbench.request.compose import COMMON
from bnbench.request.hydra_internals import error_of, make_launcher
from bnbench.request.preflight import default_jobs
from bnbench.request.refusal import first
from bnbench.running.clusters import attended
from bnbench.tracking.csv_log import read_shifts
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.stored import DamagedError, make_folder
from bnbench.tracking.whole_files import write_whole

DEATHS = 2  # an arm whose worker died this often is failed
LAUNCHES = 2  # launches in a row that touch no run, after which those runs have failed
WAIT_SECONDS = 0.5
VISIBLE_SECONDS = 60.0  # what a network disk may take to show here what was written elsewhere
ELSEWHERE = (
    "trained, but in a results folder that is not this one: share the folder between the machines, "
    "or copy the run here"
)


class Work:
    """What a request still lacks, read from the run folders.

    Args:
        request: what is asked for.
        earlier: the work of the previous tuning round; runs that failed in it are not tried again.
    """

    def __init__(self, request: Request, earlier: "Work | None" = None):
        self.request = request
        self.arm_of = {
            RunFolder.of(request.results, arm.id, seed): arm
            for arm in request.arms.values()
            for seed in arm.config.seeds
        }
        # why runs failed, where their folders may not say it
        self.reasons: dict[RunFolder, str] = dict(earlier.reasons) if earlier else {}
        # errors of earlier sweeps say nothing about this one
        self.stale = {run: modified(run.error) for run in self.arm_of}
        self.stale |= earlier.stale if earlier else {}

    def settled(self, run: RunFolder) -> bool:
        """Whether a run has its result, unharmed, and every shift that is asked for."""
        return is_settled(run, self.arm_of[run].config, restore=True)

    def failed(self, run: RunFolder) -> bool:
        """Whether a run has failed in this sweep."""
        return run in self.reasons or modified(run.error) not in (None, self.stale[run])

    def fail(self, run: RunFolder, reason: str) -> None:
        """Record that a run failed outside its own process."""
        self.reasons[run] = reason
        with suppress(OSError, DamagedError):  # a full disk, a folder that is a link
            make_folder(run.path)
            write_whole(run.error, reason + "\n")

    def reason(self, run: RunFolder) -> str:
        """Why a run failed: in this sweep's words, or the last line of its error file."""
        return self.reasons[run] if run in self.reasons else run.last_error()

    def lacking(self) -> dict[str, list[RunFolder]]:
        """The runs that are neither settled nor failed, by arm."""
        found: dict[str, list[RunFolder]] = {}
        for run, arm in self.arm_of.items():
            if not self.failed(run) and not self.settled(run):
                found.setdefault(arm.id, []).append(run)
        return found


def is_settled(run: RunFolder, config: Config, restore: bool = False) -> bool:
    """Whether a run of an arm has its result, unharmed, and every shift that is asked for.

    Args:
        run: its folder.
        config: of the arm.
        restore: write a file anew whose torn end is known.
    """
    if not os.path.lexists(run.summary):  # as of most runs of a sweep that is watched
        return False
    try:
        summary = run.read_result(restore=restore)
    except (FileNotFoundError, DamagedError):
        return False
    asked = asked_shifts(config)
    return not asked or asked <= {row[:3] for row in read_shifts(run, summary)}


def num_workers(launcher: DictConfig) -> int | None:
    """How many arms a launcher trains at once; None where a cluster decides it."""
    if (jobs := OmegaConf.select(launcher, "n_jobs")) is not None:
        return jobs if jobs > 0 else default_jobs("cpu")
    if plugin(launcher) == RAY:
        cpus = launcher.ray.init.get("num_cpus")
        return cpus and max(1, int(cpus // max(1, launcher.ray.remote.get("num_cpus") or 1)))
    return None if plugin(launcher) == SUBMITIT else 1


def train_missing(work: Work, task: TaskFunction) -> None:
    """Launch arms until nothing is lacking.

    A worker that is killed takes the whole launch with it. The arms that it broke are launched
    again one at a time, after all others, so that blame for a second death falls on one arm. A
    launch that touched nothing is tried once more, since a worker may die while it starts; then
    its runs fail.
    """
    deaths: Counter[str] = Counter()
    fruitless = 0
    while lacking := work.lacking():
        clean = [arm for arm in lacking if not deaths[arm]]
        group = clean or list(lacking)[:1]
        # when a run was begun tells one attempt at it from the next
        before = {run: modified(run.config) for arm in group for run in lacking[arm]}
        died = launch(work, [work.request.arms[arm] for arm in group], task)
        left = [run for runs in work.lacking().values() for run in runs if run in before]
        # what another sweep is training is waited for
        left = [run for run in left if not wait_for(run)]
        broken = [run for run in left if modified(run.config) != before[run]]
        for arm in {work.arm_of[run].id for run in broken}:
            deaths[arm] += 1
        fruitless = fruitless + 1 if len(left) == len(before) and not broken else 0
        for run in left:
            if run in broken and deaths[work.arm_of[run].id] >= DEATHS:
                work.fail(run, f"the worker process died {DEATHS} times: {died}")
            elif fruitless == LAUNCHES:
                work.fail(run, f"the launcher failed: {died or 'it returned without training'}")


def wait_for(run: RunFolder) -> bool:
    """Wait while another process trains a run; whether there was one."""
    waited = False
    while run.state() == State.running:
        waited = True
        time.sleep(WAIT_SECONDS)
    return waited


def launch(work: Work, arms: Sequence[Arm], task: TaskFunction) -> str | None:
    """Run arms through the chosen Hydra launcher; why it gave up, or None when it ran them all."""
    os.environ["OMP_NUM_THREADS"] = str(arms[0].config.threads)
    config = launcher_config(work.request)
    launcher = make_launcher(config, task)
    jobs = [[as_job(arm.config)] for arm in arms]
    try:
        with attended(config.hydra.launcher):
            returns: Sequence[JobReturn] = launcher.launch(jobs, 0)
    except Exception as error:  # joblib and Ray raise kinds of their own when a worker is killed
        return first(error) or type(error).__name__
    lacking, deadline = work.lacking(), time.monotonic() + VISIBLE_SECONDS
    for arm, job in zip(arms, returns, strict=True):
        for run in lacking.get(arm.id, []):
            if job.status == JobStatus.FAILED:  # outside a run: a run records its own error
                work.fail(run, repr(error_of(job)))
                continue
            word = job.return_value[run.seed]
            if word == State.done:
                if not appears(work, run, deadline):
                    work.fail(run, ELSEWHERE)
            elif word != State.running:
                work.fail(run, word)
    return None


def launcher_config(request: Request) -> DictConfig:
    """What launchers and workers read of a request's configuration; each job takes it along."""
    config = request.hydra
    config = OmegaConf.masked_copy(config, [str(key) for key in config if key not in COMMON])
    config.results = str(request.results.absolute())  # a worker may have started elsewhere
    return config


def as_job(config: Config) -> str:
    """The configuration of an arm as a launcher hands it to a worker, with absolute paths."""
    key = path_key(config.data)
    data = replace(config.data, **{key: str(Path(getattr(config.data, key)).absolute())})
    results = str(Path(config.results).absolute())
    return json.dumps(asdict(replace(config, results=results, data=data)))


def of_job(text: str | bytes) -> Config:
    """Read in a worker the configuration that a launcher was handed.

    Raises:
        RequestError: it is none that can be trained, as `typed` says.
    """
    return typed(json.loads(text))


def appears(work: Work, run: RunFolder, deadline: float) -> bool:
    """Whether a run that was trained elsewhere is seen here; a network disk may be late."""
    while not work.settled(run) and time.monotonic() < deadline:
        time.sleep(WAIT_SECONDS)
    return work.settled(run)


def modified(file: Path) -> int | None:
    """A file's time of change in nanoseconds, None where there is no file."""
    try:
        return file.lstat().st_mtime_ns
    except OSError:
        return None
