"""The W&B run of a run: the same points as metrics.csv, under keys `split/metric[/layer]`.

The only importer of wandb, and a lazy one: it costs half a second. CSV is the record; a W&B server
or process that fails costs seconds and a warning, never the run. Every attempt carries the tag
`interrupted` until it has ended, since a process that is killed cannot add one.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnbench import __version__
from bnbench.schema import TrackConfig, TrackMode
from bnbench.tracking.csv_log import Point
from bnbench.tracking.run_dir import plain

if TYPE_CHECKING:
    from wandb import Run

INTERRUPTED, FAILED = "interrupted", "failed"  # tags
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
START_SECONDS, END_SECONDS = 5, 10  # what a server that does not answer may cost
unreachable = False  # no server answered this process once: asking at every run would cost seconds


@dataclass(frozen=True)
class Identity:
    """What a W&B run is named and described by, and where it goes."""

    track: TrackConfig
    results: Path
    arm: str
    seed: int
    science: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name that W&B shows."""
        return f"{self.arm}/seed-{self.seed}"


class WandbLog:
    """One W&B run, never merged with another: a restarted run gets a new one.

    Nothing here raises: where W&B fails, the run goes on without it and `close` says so.

    Attributes:
        id: the random id that W&B knows the run by; None where none could be started.
    """

    def __init__(self, identity: Identity):
        self.name = identity.name
        self.run: Run | None = None
        self.id: str | None = None
        try:
            with own_environment():
                self.run = start(identity)
                self.id = self.run.id
                self.run.define_metric("samples", hidden=True)
                self.run.define_metric("*", step_metric="samples")
        except Exception as error:  # wandb raises kinds of its own and those of its sockets
            self.give_up(error)

    def write(self, step: int, samples: int, point: Point) -> None:
        """Log one evaluation point: all its values at one step."""
        if self.run is None:
            return
        values = {
            "/".join(filter(None, (split, metric, layer))): value
            for (split, layer, metric), value in point.items()
        }
        try:
            # committed at once: wandb would hold the row back until the next one
            self.run.log({"samples": samples, **values}, step=step, commit=True)
        except Exception as error:
            self.give_up(error)

    def close(self, summary: Mapping[str, Any] | None, tag: str = INTERRUPTED) -> bool:
        """End the run; whether W&B has it whole.

        Args:
            summary: of a run that is done; None for one that is not.
            tag: what marks one that is not.
        """
        global unreachable
        if self.run is None:
            return False
        try:
            if summary is not None:
                self.run.summary.update(plain(summary))
            own = tuple(name for name in self.run.tags or () if name != INTERRUPTED)
            self.run.tags = own if summary is not None else (*own, tag)
            self.run.finish(exit_code=int(summary is None))
        except TimeoutError:
            unreachable = True
            warn(f"{self.name} did not reach the W&B server in {END_SECONDS} s and lies on disk")
        except Exception as error:
            self.give_up(error)
            return False
        return True

    def give_up(self, error: Exception) -> None:
        """Go on without W&B, and let the process's next run start a W&B service of its own."""
        import wandb

        self.run = None
        warn(f"W&B failed for {self.name} ({describe(error)}); metrics.csv goes on")
        with contextlib.suppress(Exception):
            wandb.teardown()


def start(identity: Identity) -> "Run":
    """Start a W&B run below `results/wandb`; where no server can be had, an offline one."""
    global unreachable
    import wandb

    science, track = plain(identity.science), identity.track
    settings = wandb.Settings(
        reinit="create_new",  # a run of its own even where an earlier one was not finished
        silent=True,
        console="off",
        init_timeout=START_SECONDS,
        finish_timeout=END_SECONDS,
        finish_timeout_raises=True,
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
        "dir": str(identity.results),
        "project": track.project,
        "entity": track.entity,
        "name": identity.name,
        "group": identity.arm,
        "job_type": "train",
        "tags": [
            science["model"]["name"],
            science["norm"]["name"],
            science["placement"],
            science["data"]["name"],
            INTERRUPTED,
        ],
        "config": {
            **science,
            "arm": identity.arm,
            "seed": identity.seed,
            "bnbench_version": __version__,
        },
        "settings": settings,
    }
    if track.mode == TrackMode.online and not unreachable:
        try:
            return wandb.init(mode="online", **options)
        except wandb.Error as error:
            unreachable = True
            for shell in folders(identity.results, options["id"]):
                shutil.rmtree(shell)
            warn(
                f"W&B cannot be reached ({describe(error)}); {identity.name} and what follows is "
                "logged offline, `make sync` uploads it later"
            )
    return wandb.init(mode="offline", **options)


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


def folders(results: Path, wandb_id: str) -> list[Path]:
    """Where W&B keeps a run on disk: at most one folder, online or offline."""
    return [path for path in (results / "wandb").glob(f"*run-*-{wandb_id}") if path.is_dir()]


def is_whole(results: Path, wandb_id: str) -> bool:
    """Whether W&B's own file holds a run to its end: it has then lost its tag `interrupted`."""
    for folder in folders(results, wandb_id):
        # wandb's reader, since its files have no other documented one
        command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
        answer = subprocess.run(
            [*command, str(folder / f"run-{wandb_id}.wandb")], capture_output=True, check=False
        )
        records = map(json.loads, answer.stdout.splitlines())
        runs = [record["run"] for record in records if record["type"] == "run"]
        if runs and not {INTERRUPTED, FAILED} & set(runs[-1].get("tags", ())):
            return True
    return False


def describe(error: Exception) -> str:
    """The first line of an error, or its kind where it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def warn(text: str) -> None:
    """Say on stderr what W&B lacks."""
    print(f"WARNING: {text}", file=sys.stderr)
