"""An orderly beginning and end of a launch on Ray or SLURM, around Hydra's launchers."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from omegaconf import DictConfig, OmegaConf

from bnbench.request.clusters import RAY, SUBMITIT, is_slurm, plugin
from bnbench.request.hydra_internals import held_by_launcher


@contextmanager
def attended(launcher: DictConfig) -> Iterator[None]:
    """Attend a launch on a cluster: nothing of the launch goes on unseen when the launcher raises.

    Launchers raise at the first arm that is lost for good, while others are trained: these are
    waited for. Where the sweep is stopped, so are its jobs.
    """
    name = plugin(launcher)
    try:
        if name == RAY:
            start_ray(launcher)
        yield
    except Exception as error:
        if name == RAY:
            import ray

            if jobs := held_by_launcher(error, "runs"):
                ray.wait(jobs, num_returns=len(jobs), fetch_local=False)
        elif name == SUBMITIT:
            for job in held_by_launcher(error, "jobs"):
                job.wait()
            # its first line ends in mid-sentence, with the path of the answer that is not there
            raise RuntimeError(" ".join(str(error).splitlines()[:2])) from error
        raise
    except BaseException as stopped:
        if is_slurm(launcher):
            arrays = {job.job_id.partition("_")[0] for job in held_by_launcher(stopped, "jobs")}
            subprocess.run(["scancel", *sorted(arrays)], check=False)
        raise
    finally:
        if name == RAY:
            import ray

            ray.shutdown()


def start_ray(launcher: DictConfig) -> None:
    """Start Ray, or connect to it, before its launcher does, and keep our handler of SIGTERM."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported unasked
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "Raylet is terminated")  # 30 lines of dump
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    options = OmegaConf.to_container(launcher.ray.init, resolve=True)
    assert isinstance(options, dict)
    ray.init(**{str(key): value for key, value in options.items()})
    signal.signal(signal.SIGTERM, handler)
