"""The W&B run of a run: the same points as metrics.csv, under keys `split/metric[/layer]`.

The only importer of wandb, and a lazy one: it costs half a second. CSV is the record; a W&B server
or process that fails costs seconds and a warning, never the run. Every attempt carries the tag
`interrupted` until it has ended, since a process that is killed cannot add one.
"""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bnbench import CALL, __version__
from bnbench.config.checks import MAX_TAG
from bnbench.config.points import metric_key
from bnbench.config.schema import FAILED, INTERRUPTED, MARKS, TrackMode
from bnbench.tracking.csv_log import Point
from bnbench.tracking.stored import WANDB, DamagedError, check_folder, content
from bnbench.tracking.wandb_environment import own_environment
from bnbench.tracking.wandb_file import DEPTH, records
from bnbench.tracking.whole_files import plain

if TYPE_CHECKING:
    from wandb import Run, Settings

START_SECONDS, END_SECONDS = 5, 10  # what a server that does not answer may cost
BUSY_SECONDS = 60  # what W&B's own process may need on a busy machine, where no server is asked
WRITTEN_SECONDS = 0.005  # between looks at a file that W&B is still writing
LATER = f"all of it lies on disk, `{CALL} sync` uploads it later"
unreachable = False  # no server answered this process once: asking at every run would cost seconds


@dataclass(frozen=True)
class Identity:
    """What a W&B run is named and described by, and where it goes."""

    mode: TrackMode
    project: str
    entity: str | None
    results: Path
    arm: str
    seed: int
    science: Mapping[str, Any]
    experiments: Sequence[str] = ()  # that ask for the arm
    tags: Sequence[str] = ()  # the user's own
    notes: str | None = None
    git_commit: str | None = None  # of the code

    @property
    def name(self) -> str:
        """The name that W&B shows."""
        return f"{self.arm}/seed-{self.seed}"

    @property
    def described(self) -> dict[str, Any]:
        """What meta.json has of it, from which the W&B run can be made anew."""
        return {
            "experiments": [*self.experiments],
            "tags": [*self.tags],
            "notes": self.notes,
        }

    @property
    def all_tags(self) -> list[str]:
        """The tags that W&B shows: what the run is, what asks for it, and the user's own."""
        arm = plain(self.science)
        kinds = (arm["model"]["name"], arm["norm"]["name"], arm["placement"], arm["data"]["name"])
        tags = dict.fromkeys([*kinds, *map(as_tag, self.experiments), *self.tags])
        return [tag for tag in tags if tag not in MARKS]


def as_tag(experiment: str) -> str:
    """The tag of an experiment, whose name may be longer than W&B takes."""
    return experiment[:MAX_TAG]


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
            with suppress(FileNotFoundError):  # W&B makes it
                check_folder(identity.results / "wandb", 1)
            with own_environment(identity.results):
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
            metric_key(split, metric, layer): value
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
            warn(f"{self.name} did not reach the W&B server in {END_SECONDS} s: {LATER}")
        except Exception as error:
            self.give_up(error)
            return False
        else:
            self.mark_sent()
        return is_written(Path(self.run.dir).parent / f"run-{self.run.id}.wandb")

    def mark_sent(self) -> None:
        """Mark the run where the server has it, and say so where it has not."""
        assert self.run is not None
        if self.run.offline:
            return
        folder = Path(self.run.dir).parent
        # a server that refuses in mid-run is told of here and nowhere else
        if "fatal error" in (folder / "logs" / "debug-internal.log").read_text(encoding="utf-8"):
            warn(f"the W&B server refused {self.name}: {LATER}")
        else:
            mark(folder, self.run.id)

    def give_up(self, error: Exception) -> None:
        """Go on without W&B, and let the process's next run start a W&B service of its own."""
        import wandb

        self.run = None
        warn(f"W&B failed for {self.name} ({describe(error)}); metrics.csv goes on")
        with suppress(Exception):
            wandb.teardown()


def start(identity: Identity) -> "Run":
    """Start a W&B run below `results/wandb`; where no server can be had, an offline one."""
    global unreachable
    import wandb

    options: dict[str, Any] = {
        "id": secrets.token_hex(8),
        "resume": "never",
        "dir": str(identity.results),
        "project": identity.project,
        "entity": identity.entity,
        "name": identity.name,
        "group": identity.arm,
        "job_type": "train",
        "tags": [*identity.all_tags, INTERRUPTED],
        "notes": identity.notes,
        "config": {
            **plain(identity.science),
            "arm": identity.arm,
            "seed": identity.seed,
            "experiments": [*identity.experiments],
            "git_commit": identity.git_commit,
            "bnbench_version": __version__,
        },
    }
    if identity.mode == TrackMode.online and not unreachable:
        try:
            return wandb.init(mode="online", settings=lean(START_SECONDS, END_SECONDS), **options)
        except wandb.Error as error:
            unreachable = True
            for shell in folders(identity.results, options["id"]):
                shutil.rmtree(shell)
            options["id"] = secrets.token_hex(8)  # wandb takes the first one for a run in use
            warn(
                f"W&B cannot be reached ({describe(error)}), {identity.name} and what follows is "
                f"logged offline: {LATER}"
            )
    return wandb.init(mode="offline", settings=lean(BUSY_SECONDS, BUSY_SECONDS), **options)


def lean(start: float, end: float) -> "Settings":
    """Settings for a W&B run that keeps to itself and describes no machine.

    Args:
        start: how long its start may take, in seconds.
        end: how long its end may take.
    """
    import wandb

    return wandb.Settings(
        reinit="create_new",  # a run of its own even where an earlier one was not finished
        silent=True,
        console="off",
        init_timeout=start,
        finish_timeout=end,
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


def folders(results: Path, wandb_id: str) -> list[Path]:
    """Where W&B keeps a run on disk: at most one folder, online or offline."""
    found = (results / "wandb").glob(f"*run-*-{wandb_id}")
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def marker(folder: Path, wandb_id: str) -> Path:
    """The file whose presence says that the server has what a W&B folder holds."""
    return folder / f"run-{wandb_id}.wandb.synced"


def mark(folder: Path, wandb_id: str) -> None:
    """Mark a run that the server has, as `wandb sync` marks those that it has uploaded."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    os.close(os.open(marker(folder, wandb_id), flags, 0o666))


def is_whole(results: Path, wandb_id: str) -> bool:
    """Whether W&B's own file holds a run to its end: it has then lost its tag `interrupted`."""
    files = [folder / f"run-{wandb_id}.wandb" for folder in folders(results, wandb_id)]
    known = []
    for file in files:
        with suppress(FileNotFoundError, DamagedError):
            known += [facts] if (facts := read_facts(file)) else []
    return any(not {INTERRUPTED, FAILED} & set(facts["tags"]) for facts in known)


def read_facts(file: Path) -> dict[str, Any] | None:
    """What a W&B file says last of its run: id, place, tags, and how many numbers under shifts.

    None where it says nothing.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it is no file of W&B.
    """
    found = read_records(file)
    facts = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    if not facts:
        return None
    run, summaries = facts[-1], [item for record in found for item in record.summary.update]
    return {
        "id": run.run_id,
        "project": run.project,
        "entity": run.entity,
        "tags": list(run.tags),
        "shifts": len({item.key for item in summaries if item.key.startswith("shift")}),
    }


def read_records(file: Path) -> list[Any]:
    """The readable records of a W&B file, the first of which is a header.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it is no file of W&B.
    """
    from google.protobuf.message import DecodeError
    from wandb.proto import wandb_internal_pb2

    record = vars(wandb_internal_pb2)["Record"]  # made at import, unknown to type checkers
    try:
        return [record.FromString(part) for _, part in records(content(file, WANDB, DEPTH))]
    except DecodeError:
        raise DamagedError(f"{file}: a record is not W&B's") from None


def is_written(file: Path) -> bool:
    """Whether W&B has written a run to its end, for which `finish` does not wait."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        last = read_records(file)[-1:]
        if last and last[0].WhichOneof("record_type") == "exit":
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(WRITTEN_SECONDS)


def mark_interrupted(facts: Mapping[str, Any]) -> None:
    """Tag a run on the server, which has it in part, as one that another run replaces.

    Raises:
        wandb.Error: the server does not do it.
    """
    import wandb

    with own_environment(), TemporaryDirectory() as folder:
        run = wandb.init(
            mode="online",
            id=facts["id"],
            resume="allow",
            dir=folder,
            project=facts["project"],
            entity=facts["entity"] or None,
            tags=[*facts["tags"], INTERRUPTED],
            settings=lean(START_SECONDS, END_SECONDS),
        )
        run.finish()


def add_experiments(entity: str, project: str, wandb_id: str, names: Sequence[str]) -> bool:
    """Tag a run that the server has with experiments, and add them to its configuration.

    Returns:
        False where the server has no such run any more.

    Raises:
        Exception: the server does not do it; wandb raises kinds of its own.
    """
    import wandb
    from wandb.apis.public.runs import RunNotFoundError
    from wandb.errors import CommError

    with TemporaryDirectory() as folder, own_environment(folder=folder):
        try:
            run = wandb.Api(timeout=START_SECONDS).run(f"{entity}/{project}/{wandb_id}")
        except CommError as error:
            if isinstance(error.exc, RunNotFoundError):
                return False
            raise
        run.tags.extend(tag for tag in map(as_tag, names) if tag not in {*run.tags, *MARKS})
        known = run.config.get("experiments", [])
        run.config["experiments"] = [*known, *(name for name in names if name not in known)]
        run.update()
    return True


def account() -> tuple[str, str] | None:
    """The server that this machine is logged in to and the account's entity; None without a key.

    Nothing is asked for in the terminal.

    Raises:
        Exception: the server does not answer or refuses the key; wandb raises kinds of its own.
    """
    import wandb
    from wandb.sdk.lib import wbauth

    with own_environment():
        host = wandb.setup().settings.base_url
        if not wbauth.authenticate_session(
            host=host, source="bnbench", prompt=False, update_session=False
        ):
            return None
        entity = wandb.Api(timeout=START_SECONDS).default_entity
    if not entity:
        raise wandb.Error(f"{host} knows no entity of this account")
    return host, entity


def describe(error: Exception) -> str:
    """The first line of an error, or its kind where it has no text."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def warn(text: str) -> None:
    """Say on stderr what W&B lacks."""
    print(f"WARNING: {text}", file=sys.stderr)
