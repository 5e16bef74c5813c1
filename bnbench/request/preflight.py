"""What a checked configuration cannot tell: whether this machine can start the whole request.

All is refused before anything is trained or written. Nothing here imports torch.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config import compiler
from bnbench.config.checks import RequestError, as_typed
from bnbench.config.facts import path_key
from bnbench.config.keys import MAX_WORKERS, N_JOBS
from bnbench.config.schema import Backend, Config, Device
from bnbench.data.files import missing_files
from bnbench.request.clusters import check_cluster
from bnbench.request.provenance import key_of
from bnbench.request.refusal import allowed, first
from bnbench.tracking.stored import DamagedError, check_folder

NVIDIA = Path("/proc/driver/nvidia/version")  # there where a driver is loaded; torch is not asked
SILENT = {"version": 1, "root": None, "disable_existing_loggers": False}
INERT: dict[str, Any] = {  # parts of Hydra that start what they name, or set variables
    "hydra.callbacks": {},
    "hydra.job_logging": SILENT,
    "hydra.hydra_logging": SILENT,
    "hydra.job.env_copy": [],
    "hydra.job.env_set": {},  # with what Hydra copied
    "hydra.env": {},
}

OmegaConf.register_new_resolver("default_jobs", lambda device: default_jobs(device), replace=True)
OmegaConf.register_new_resolver("ray_cpus", lambda *facts: ray_cpus(*facts), replace=True)


def check_base(base: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse what would upset the reading or the launching of a sweep (`RequestError`)."""
    # a group that is not there yet is chosen by the jobs
    chosen = base.hydra.runtime.choices
    if lacking := [f.name for f in fields(Config) if f.name not in {*base, *chosen}]:
        raise RequestError(f"{lacking[0]}: missing, it cannot be removed")
    for key in ("experiment", "on_data"):  # whose content belongs at the top
        if key in base:
            raise RequestError(f"{key}: expected `# @package _global_` as its file's first line")
    if not OmegaConf.is_list(base.arms) or not all(isinstance(a, DictConfig) for a in base.arms):
        raise RequestError(
            f"arms={base.arms}: expected a list of mappings such as [{{norm: none}}]"
        )
    if base.hydra.sweeper is None:
        raise RequestError("hydra.sweeper=null: expected a mapping with params")
    check_inert(base)
    if base.hydra.job.chdir:
        raise RequestError("hydra.job.chdir=true: expected false, results are relative to here")
    check_launcher(base, [str(override.input_line) for override in overrides])


def check_inert(config: DictConfig) -> None:
    """Refuse a configuration by which Hydra would run code or set variables (`RequestError`).

    On the command line nothing of the kind can be set; this is for the YAML files.
    """
    for key, want in INERT.items():
        value = OmegaConf.select(config, key)
        if value is not None and value != want:
            raise RequestError(
                f"{key}={as_typed(value)}: expected {as_typed(want)}, no code or variables"
            )
    if (launcher := config.hydra.launcher) is None:
        return
    for option, value in OmegaConf.to_container(launcher, resolve=True).items():  # type: ignore[union-attr]
        if "_target_" in str(value) and option != "_target_":
            raise RequestError(f"hydra.launcher.{option}={value}: expected no _target_ but its own")


def check_launcher(base: DictConfig, overrides: Sequence[str]) -> None:
    """Refuse a launcher that could not start its workers (`RequestError`)."""
    check_cluster(base)
    launcher = base.hydra.launcher
    target = OmegaConf.select(launcher, "_target_")
    known = [f"{c.__module__}.{c.__qualname__}" for c in Plugins.instance().discover(Launcher)]
    if target not in known:
        raise RequestError(f"hydra.launcher._target_={target}: {allowed(str(target), known)}")
    if missing := sorted(OmegaConf.missing_keys(launcher)):
        raise RequestError(f"{missing[0]}=???: ??? is no value, expected one")
    jobs = OmegaConf.select(launcher, "n_jobs")
    if jobs is not None and (type(jobs) is not int or not (1 <= jobs <= MAX_WORKERS or jobs == -1)):
        key = "hydra.launcher.n_jobs"
        typed = next((line for line in reversed(overrides) if key_of(line) == key), "")
        raise RequestError(f"{typed or f'{key}={as_typed(jobs)}'}: expected {N_JOBS}")
    if not target.endswith(".JoblibLauncher"):
        return
    for line in overrides:
        if key_of(line).startswith("hydra.launcher.") and key_of(line) != "hydra.launcher.n_jobs":
            raise RequestError(
                f"{line}: expected hydra.launcher.n_jobs, all that is to be set of this launcher"
            )
    try:
        # as plain values: the plugin's own node has a class of its own, equal but not the same
        plain = OmegaConf.to_container(launcher, resolve=True)
        OmegaConf.merge(OmegaConf.structured(JobLibLauncherConf), plain)
    except OmegaConfBaseException as error:
        raise RequestError(f"hydra.launcher.{error.full_key}: {first(error)}") from error


def check_request(
    configs: Sequence[Config], bases: Sequence[DictConfig], needs_data: bool = True
) -> None:
    """Refuse what only the whole request or the machine can tell (`RequestError`)."""
    for key in ("results", "device", "threads"):
        check_same(key, [getattr(config, key) for config in configs])
    for key in ("mode", "project", "entity", "tags", "notes"):
        name = "track" if key == "mode" else f"track.{key}"
        check_same(name, [getattr(config.track, key) for config in configs])
    for name in sorted({config.data.name for config in configs}):
        own = [config.data for config in configs if config.data.name == name]
        key = path_key(own[0])
        paths = [getattr(data, key) for data in own]
        check_same(f"data.{key}", paths)
        problem = missing_files(name, Path(paths[0])) if needs_data else None
        if problem:
            raise RequestError(problem)
    if configs[0].device == Device.cuda and not NVIDIA.exists():
        raise RequestError("device=cuda: there is no NVIDIA GPU here, expected auto or cpu")
    for config in {getattr(c.norm, "backend", None): c for c in configs}.values():
        check_backend(config)
    results = Path(configs[0].results)
    for base in bases:
        check_same("results", [str(results), str(Path(str(base.results)))])
        check_quiet(base)
    check_writable(results)
    for path in (results / name for name in ("runs", "experiments", "wandb", "data", "base_lr")):
        try:
            check_folder(path, 1)
            check_writable(path)
        except FileNotFoundError:  # it is made where it is needed
            continue
        except DamagedError as error:
            raise RequestError(f"results={results}: cannot be written ({error})") from None


def check_backend(config: Config) -> None:
    """Refuse a BatchNorm backend that could not compute the arm (`RequestError`)."""
    backend = getattr(config.norm, "backend", None)
    on_gpu = config.device == Device.cuda or (config.device == Device.auto and NVIDIA.exists())
    problem = None
    if backend == Backend.triton and not on_gpu:
        problem = "it computes on NVIDIA GPUs and there is none"
    elif backend == Backend.cpp and on_gpu:
        problem = "it computes on the CPU alone (device=cpu)"
    elif backend == Backend.cpp:
        try:
            compiler.check()
        except compiler.CompilerError as error:
            problem = str(error)
    if problem:
        raise RequestError(f"norm.backend={backend}: {problem}, expected reference or native")


def check_same(key: str, values: Sequence[Any]) -> None:
    """Refuse values of a key that are not all the same (`RequestError`)."""
    if any(value != values[0] for value in values):
        several = " and ".join(dict.fromkeys(map(as_typed, values)))
        raise RequestError(f"{key}={several}: cannot be swept, expected one for all arms")


def check_quiet(base: DictConfig) -> None:
    """Refuse a configuration in which Hydra writes files of its own (`RequestError`)."""
    wanted = {
        "hydra.output_subdir": None,
        "hydra.run.dir": f"{base.results}/runs",
        "hydra.sweep.dir": f"{base.results}/runs",
        "hydra.sweep.subdir": ".",
    }
    for key, want in wanted.items():
        value = OmegaConf.select(base, key)
        if value != want:
            raise RequestError(f"{key}={as_typed(value)}: expected {as_typed(want)}")


def check_writable(path: Path) -> None:
    """Refuse a folder that cannot be written, by writing in it or where it would be."""
    parent = path
    try:
        while not is_there(parent):
            parent = parent.parent
        if parent.is_symlink() and not parent.exists():
            reason = f"{parent} is a link to {parent.readlink()}, where there is nothing"
            raise RequestError(f"results={path}: cannot be written ({reason})")
        # a real file, since permission bits tell root nothing; it has no name and leaves none
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise RequestError(f"results={path}: cannot be written ({error.strerror})") from error


def is_there(path: Path) -> bool:
    """Whether there is something under a path, a link to nothing included."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def on_gpu(device: str) -> bool:
    """Whether arms with this `device` are trained on a GPU."""
    return device == "cuda" or (device == "auto" and NVIDIA.exists())


def default_jobs(device: str) -> int:
    """Count the workers of a sweep: one per core, or one where there is a GPU to train on."""
    if on_gpu(device):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ray_cpus(address: str | None, device: str, threads: int) -> int | None:
    """Count the CPUs of the cluster that Ray starts for a sweep; None where it only connects."""
    return default_jobs(device) * threads if address == "local" else None
