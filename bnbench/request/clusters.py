"""What Ray and SLURM need beside Hydra's launchers before anything is launched: checks."""

import shutil
import socket
import warnings
from importlib.util import find_spec

from omegaconf import DictConfig, OmegaConf

from bnbench import IS_CHECKOUT
from bnbench.config.checks import RequestError, as_typed

RAY, SUBMITIT = "hydra_ray_launcher", "hydra_submitit_launcher"  # plugins
EXTRAS = {RAY: "ray", SUBMITIT: "slurm"}  # plugin -> our extra
PLUGINS = {  # the launchers that come with a plugin, by Hydra's own names for them
    "submitit_local": SUBMITIT,
    "submitit_slurm": SUBMITIT,
}
ANSWER_SECONDS = 5.0
LEAST = {  # of the options of SLURM that are counts
    "array_parallelism": 1,
    "timeout_min": 1,
    "max_num_timeout": 0,
    "signal_delay_s": 0,
    "cpus_per_task": 1,
    "gpus_per_node": 0,
    "mem_gb": 1,
}

# these files bear the names of the plugins' schemas and are meant to be checked against them
warnings.filterwarnings(
    "ignore", r"\s*'hydra/launcher/(ray|joblib)' is validated against ConfigStore"
)


def plugin(launcher: DictConfig) -> str:
    """Name the plugin that a launcher comes from, such as `hydra_ray_launcher`."""
    return str(OmegaConf.select(launcher, "_target_")).removeprefix("hydra_plugins.").split(".")[0]


def is_slurm(launcher: DictConfig) -> bool:
    """Whether a launcher of submitit hands jobs to SLURM, and does not run them here."""
    return str(launcher._target_).endswith(".SlurmLauncher")


def check_cluster(base: DictConfig) -> None:
    """Refuse a launcher for clusters that could not start here (`RequestError`)."""
    launcher = base.hydra.launcher
    name = plugin(launcher)
    if name not in EXTRAS:
        return
    chosen = base.hydra.runtime.choices["hydra/launcher"]
    if find_spec(f"hydra_plugins.{name}") is None:
        raise RequestError(not_installed(chosen, name))
    if str(launcher._target_).endswith(".RayAWSLauncher"):
        raise RequestError(
            f"hydra/launcher={chosen}: starts machines that do not share the results folder, "
            "expected hydra/launcher=ray, on a Ray cluster that does (docs/clusters.md)"
        )
    if name == RAY:
        check_ray(launcher.ray.init, launcher.ray.remote)
    else:
        check_submitit(launcher, chosen)


def not_installed(launcher: str, plugin: str) -> str:
    """The line for a launcher whose plugin is not there."""
    lacking = f"hydra/launcher={launcher}: {plugin.replace('_', '-')} is not installed, "
    if not IS_CHECKOUT:
        return f"{lacking}pip install 'bnbench[{EXTRAS[plugin]}]' installs it"
    return (
        f"{lacking}`make sweep LAUNCHER={launcher}` installs it "
        f"(or pip install -c requirements.lock -e '.[{EXTRAS[plugin]}]')"
    )


def check_ray(init: DictConfig, remote: DictConfig) -> None:
    """Refuse a Ray cluster that is not there, or on which no arm would ever find its place."""
    where = "hydra.launcher.ray"
    least = {"num_cpus": 1, "num_gpus": 0, "max_retries": -1}
    for key, value in remote.items():
        if key in least and (type(value) not in (int, float) or not least[str(key)] <= value):
            raise RequestError(
                f"{where}.remote.{key}={as_typed(value)}: expected a number >= {least[str(key)]}"
            )
    address, cpus = init.get("address"), init.get("num_cpus")
    if address == "local":
        if type(cpus) is not int or cpus < remote.get("num_cpus", 1):
            raise RequestError(
                f"{where}.init.num_cpus={as_typed(cpus)}: expected an integer >= "
                f"{as_typed(remote.get('num_cpus', 1))}, what one arm takes"
            )
        return
    if cpus is not None:
        raise RequestError(
            f"{where}.init.num_cpus={as_typed(cpus)}: expected null, the cluster at {address} has "
            "its own number"
        )
    host, _, port = str(address).rpartition(":")
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()  # type: ignore[arg-type]
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RequestError(
            f"{where}.init.address={as_typed(address)}: no cluster answers there ({reason}), "
            "expected local or the host:port that `ray start --head` prints"
        ) from error


def check_submitit(launcher: DictConfig, chosen: str) -> None:
    """Refuse options that submitit or SLURM would refuse job by job, and machines without SLURM."""
    from hydra_plugins.hydra_submitit_launcher.config import LocalQueueConf, SlurmQueueConf

    on_slurm = is_slurm(launcher)
    conf = SlurmQueueConf if on_slurm else LocalQueueConf
    schema = {"hydra": {"launcher": OmegaConf.structured(conf)}}
    OmegaConf.merge(schema, {"hydra": {"launcher": OmegaConf.to_container(launcher, resolve=True)}})
    for key, least in LEAST.items():
        if launcher.get(key) is not None and launcher[key] < least:
            raise RequestError(
                f"hydra.launcher.{key}={as_typed(launcher[key])}: expected an integer >= {least}"
            )
    for command in ("sbatch", "srun") if on_slurm else ():
        if shutil.which(command) is None:
            raise RequestError(
                f"hydra/launcher={chosen}: there is no {command} here, expected a machine that "
                "SLURM takes jobs from (hydra/launcher=submitit_local tries it without SLURM)"
            )
