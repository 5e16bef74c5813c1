"""What lies on disk goes to a W&B server, whole and once.

`wandb sync` uploads, but its exit code says nothing, it appends to what it has uploaded before,
takes a run that still trains for whole, and one empty file stops all others: so it is given what is
ended and readable, a new id where some of it may have arrived, and believed only by its markers.
"""

import io
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from bnbench.config.arms import arm_id
from bnbench.config.schema import SCHEMA, TrackMode
from bnbench.config.yaml_bounds import check_flat
from bnbench.tracking.meta import known_meta, read_meta
from bnbench.tracking.rebuild import note, rebuild
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.shapes import ARM, SEED
from bnbench.tracking.stored import DamagedError, check_folder, content
from bnbench.tracking.wandb_environment import KEPT
from bnbench.tracking.wandb_file import is_readable, mend
from bnbench.tracking.wandb_log import (
    Identity,
    describe,
    mark,
    mark_interrupted,
    marker,
    read_facts,
    warn,
)

FROM_CSV = "scripts/wandb_upload.py uploads the run from its metrics.csv"
BATCH = 100  # folders that one `wandb sync` is given
# a server that does not answer costs seconds, not the half hour that wandb would try
IMPATIENT = {
    "WANDB_X_GRAPHQL_RETRY_MAX": "1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_GRAPHQL_TIMEOUT_SECONDS": "5",
    "WANDB_ERROR_REPORTING": "false",
}


@dataclass(frozen=True)
class Attempt:
    """One W&B run on disk: its folder, its id there, and the run whose it is.

    Attributes:
        run: the folder of the run; None for an attempt that another one has replaced.
    """

    folder: Path
    id: str
    run: RunFolder | None

    @property
    def file(self) -> Path:
        """W&B's transaction log."""
        return self.folder / f"run-{self.id}.wandb"

    @property
    def was_tried(self) -> bool:
        """Whether a server may have some of it."""
        state_file = self.folder / f"{self.file.name}.syncstate"
        return self.folder.name.startswith("run-") or os.path.lexists(state_file)

    @property
    def is_sent(self) -> bool:
        """Whether a server has it."""
        return os.path.lexists(marker(self.folder, self.id))

    def mark(self) -> None:
        """Mark it as sent."""
        mark(self.folder, self.id)


def attempts(results: Path) -> list[Attempt]:
    """The W&B runs on disk, oldest first; those of runs that do not say their ids have no run."""
    return found_attempts(results)[0]


def found_attempts(results: Path) -> tuple[list[Attempt], list[str]]:
    """The W&B runs on disk, oldest first, and a line for each run that does not say which is its.

    Where there is one, an attempt without a run may be its.
    """
    run_of, problems = {}, []
    try:
        check_folder(results / "runs", 1)
    except FileNotFoundError:
        pass
    except DamagedError as error:
        problems.append(str(error))
    for run in trained(results):
        try:
            check_folder(run.path)
            meta = read_meta(run)
        except FileNotFoundError:  # a link to nowhere; or it was there a moment ago
            continue
        except DamagedError as error:
            problems.append(str(error))
            continue
        run_of[meta.get("wandb_folder") or meta.get("wandb_id")] = run
    try:
        check_folder(results / "wandb", 1)
    except FileNotFoundError:
        return [], problems
    except DamagedError as error:
        return [], [*problems, str(error)]
    folders = [p for p in results.glob("wandb/*run-*") if p.is_dir() and not p.is_symlink()]
    found = [(folder, folder.name.rpartition("-")[2]) for folder in sorted(folders, key=date)]
    return [Attempt(folder, name, run_of.get(name)) for folder, name in found], problems


def trained(results: Path) -> list[RunFolder]:
    """The folders of runs of a results folder, by name; an odd name is none that training gave."""
    there = results.glob("runs/*/seed-*")
    fitting = (p for p in there if ARM.fullmatch(p.parent.name) and SEED.fullmatch(p.name[5:]))
    return sorted(map(RunFolder, fitting))


def date(folder: Path) -> str:
    """The part of a W&B folder's name that says when it was made."""
    return folder.name.partition("run-")[2]


def sync(results: Path) -> tuple[list[Attempt], list[Attempt], list[str]]:
    """Upload what no server has yet.

    Returns:
        What has been uploaded, what has not, and what wandb said of that.
    """
    plain, again, damaged = [], [], []
    found, complaints = found_attempts(results)
    for attempt in found:
        if attempt.is_sent or (attempt.run is None and complaints):
            continue
        now = attempt.run.state() if attempt.run else None
        if now == State.running:
            continue
        if now == State.done:
            if not is_readable(attempt.file):
                damaged.append(attempt)
                continue
        else:
            try:
                if not mend(attempt.file):
                    attempt.mark()  # killed before W&B had written anything
                    continue
            except DamagedError as error:
                complaints.append(str(error))
                continue
        if not attempt.was_tried:
            plain.append(attempt)
        elif attempt.run is None:
            attempt.mark()  # the server has what it got of it, marked as interrupted
        else:
            again.append(attempt)
    complaints += [f"{attempt.file}: damaged; {FROM_CSV}" for attempt in damaged]
    for start in range(0, len(plain), BATCH):
        complaints += wandb_sync(plain[start : start + BATCH])
    for attempt in again:
        complaints += upload_again(attempt)
    tried = [*plain, *again]
    sent = [attempt for attempt in tried if attempt.is_sent]
    unsent = [*damaged, *(attempt for attempt in tried if not attempt.is_sent)]
    return sent, unsent, complaints


def upload_again(attempt: Attempt) -> list[str]:
    """Upload under a new id what a server may have in part, and mark that part; complaints."""
    new = secrets.token_hex(8)
    try:
        facts = read_facts(attempt.file)
        if facts is None:
            return [f"{attempt.file}: it names no run"]
        mark_interrupted(facts)
    except Exception as error:  # wandb raises kinds of its own and those of its sockets
        return [f"{attempt.folder}: {describe(error)}"]
    complaints = wandb_sync([attempt], "--id", new)
    if attempt.is_sent and attempt.run is not None:
        note(attempt.run, new, folder=attempt.id)
    return complaints


def wandb_sync(group: Sequence[Attempt], *options: str) -> list[str]:
    """Call `wandb sync`; the lines in which it complains."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") or k in KEPT}
    with tempfile.TemporaryDirectory() as logs:  # whose names hold the user's
        answer = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", *options]
            + [str(attempt.folder.absolute()) for attempt in group],
            capture_output=True,
            text=True,
            check=False,
            env={**kept, **IMPATIENT, "WANDB_DIR": logs},
        )
    lines = (answer.stdout + answer.stderr).splitlines()
    return [line for line in lines if "rror" in line or "ERROR" in line]


def upload_from_csv(
    run: RunFolder, project: str, entity: str | None, results: Path, old: Attempt | None
) -> bool:
    """Log a done run anew, from its files alone, to a W&B server.

    Args:
        run: its folder.
        project: where to, of `entity`, or of the account's own where that is None.
        entity: see there.
        results: the results folder.
        old: the W&B run that it has now, which no upload shall take any more.

    Returns:
        Whether the server has it.

    Raises:
        RunBusyError: the run is being trained.
        ValueError: a file is not what a run writes; one line that names it.
    """
    with run.locked():
        summary = run.read_result()
        science = read_science(run)
        if old is not None:
            replace(old, run)
        identity = Identity(TrackMode.online, project, entity, results, run.arm, run.seed, science)
        if not rebuild(run, identity, summary):
            return False
    wandb_id = known_meta(run)["wandb_id"]
    return any(attempt.is_sent for attempt in attempts(results) if attempt.id == wandb_id)


def replace(old: Attempt, run: RunFolder) -> None:
    """Take a W&B run out of comparisons: no upload takes it, and on a server it is tagged."""
    facts = None
    with suppress(FileNotFoundError, DamagedError):
        facts = read_facts(old.file) if old.is_sent or old.was_tried else None
    old.mark()
    if facts is None:
        return
    try:
        mark_interrupted({**facts, "id": known_meta(run).get("wandb_id") or facts["id"]})
    except Exception as error:  # wandb raises kinds of its own and those of its sockets
        warn(f"{old.folder}: the server may show it beside its successor ({describe(error)})")


def read_science(run: RunFolder) -> dict[str, Any]:
    """The configuration of a run, which its arm is named after."""
    file = run.config
    try:
        text = content(file).decode()
        check_flat(text)
        science = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)))
    except DamagedError:
        raise
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DamagedError(f"{file}: {next(iter(str(error).splitlines()), 'unreadable')}") from None
    if not isinstance(science, dict):
        raise DamagedError(f"{file}: expected the configuration of a run")
    if read_meta(run).get("schema") == SCHEMA:  # other versions name their arms in other ways
        try:
            name = arm_id({str(key): value for key, value in science.items()})
        except (KeyError, TypeError, ValueError, AttributeError):
            name = None
        if name != run.arm:
            raise DamagedError(f"{file}: not the configuration of {run.arm}")
    return {str(key): value for key, value in science.items()}
