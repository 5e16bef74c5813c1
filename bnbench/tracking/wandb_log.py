"""The W&B run of a run: the same points as metrics.csv, under keys `split/metric[/layer]`.

The only importer of wandb, and a lazy one: it costs half a second. CSV is the record; a W&B server
that fails costs seconds and a warning, never the run.
"""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench import __version__
from bnbench.schema import TrackConfig, TrackMode
from bnbench.tracking.csv_log import Point
from bnbench.tracking.run_dir import plain

if TYPE_CHECKING:
    from wandb import Run


# whom to talk to and with which key; what describes a run comes from its configuration alone
KEPT = {
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_CACHE_DIR",
    "WANDB_CONFIG_DIR",
    "WANDB_CREDENTIALS_FILE",
    "WANDB_DATA_DIR",
    "WANDB_IDENTITY_TOKEN_FILE",
}
unreachable = False  # no server answered this process once: asking at every run would cost seconds


class WandbLog:
    """One W&B run, never merged with another: a restarted run gets a new one."""

    def __init__(
        self, track: TrackConfig, results: Path, arm: str, seed: int, science: Mapping[str, Any]
    ):
        self.run = start(track, results, arm, seed, plain(science))
        self.run.define_metric("samples", hidden=True)
        self.run.define_metric("*", step_metric="samples")

    @property
    def id(self) -> str:
        """The random id that W&B knows the run by."""
        return self.run.id

    def write(self, step: int, samples: int, point: Point) -> None:
        """Log one evaluation point: all its values at one step."""
        values = {
            "/".join(filter(None, (split, metric, layer))): value
            for (split, layer, metric), value in point.items()
        }
        self.run.log({"samples": samples, **values}, step=step)

    def close(self, summary: Mapping[str, Any] | None) -> None:
        """Finish the run: with its summary as done, with None as failed (exit code 1)."""
        if summary is not None:
            self.run.summary.update(plain(summary))
        self.run.finish(exit_code=int(summary is None))


def start(track: TrackConfig, results: Path, arm: str, seed: int, science: dict[str, Any]) -> "Run":
    """Start a W&B run below `results/wandb`; where no server can be had, an offline one."""
    with own_environment():
        return start_in_own_environment(track, results, arm, seed, science)


@contextmanager
def own_environment() -> Iterator[None]:
    """Hide the WANDB_ variables that would describe a run: WANDB_RUN_ID would give all one id."""
    hidden = {k: v for k, v in os.environ.items() if k.startswith("WANDB_") and k not in KEPT}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def start_in_own_environment(
    track: TrackConfig, results: Path, arm: str, seed: int, science: dict[str, Any]
) -> "Run":
    """Start a W&B run that is described by its arguments alone."""
    global unreachable
    import wandb

    settings = wandb.Settings(
        reinit="create_new",  # a run of its own even where an earlier one was not finished
        silent=True,
        console="off",
        init_timeout=10,
        finish_timeout=10,
        x_transaction_log_flush_interval=1.0,  # what a killed run may lose, in seconds
        # lean: what follows costs time at every start, and none of it belongs in a shared record
        host="",
        username="",
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    options: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "resume": "never",
        "dir": str(results),
        "project": track.project,
        "entity": track.entity,
        "name": f"{arm}/seed-{seed}",
        "group": arm,
        "job_type": "train",
        "tags": [
            science["model"]["name"],
            science["norm"]["name"],
            science["placement"],
            science["data"]["name"],
        ],
        "config": {**science, "arm": arm, "seed": seed, "bnbench_version": __version__},
        "settings": settings,
    }
    if track.mode == TrackMode.online and not unreachable:
        try:
            return wandb.init(mode="online", **options)
        except wandb.Error as error:
            unreachable = True
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            print(
                f"WARNING: W&B cannot be reached ({reason}); {arm}/seed-{seed} and what follows is "
                "logged offline, `make sync` uploads it later",
                file=sys.stderr,
            )
    return wandb.init(mode="offline", **options)
