"""Upload the W&B runs on disk to a server, whole and once.

`wandb sync` uploads, but its exit code says nothing, it appends to an earlier upload of the same
id, takes a run in training for a whole one, and stops at an empty file. So it is given only ended,
readable runs, with a new id for one that may have arrived in part, and success is read from the
marker files that it leaves.
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
from bnbench.tracking.rebuild import note_wandb_id, rebuild
from bnbench.tracking.run_dir import RunFolder, State
from bnbench.tracking.shapes import ARM, SEED
from bnbench.tracking.stored import DamagedError, check_folder, content
from bnbench.tracking.wandb_environment import KEPT
from bnbench.tracking.wandb_file import cut_torn_end, is_readable
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
BATCH = 100  # folders for one call of `wandb sync`
# a server that does not answer costs seconds, not the half hour that wandb would try
IMPATIENT = {
    "WANDB_X_GRAPHQL_RETRY_MAX": "1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_GRAPHQL_TIMEOUT_SECONDS": "5",
    "WANDB_ERROR_REPORTING": "false",
}


@dataclass(frozen=True)
class Attempt:
    """One W&B run on disk: its folder, its id there, and the run that it logs.

    Attributes:
        run: the folder of that run; None for an attempt that a later one has replaced.
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
        """Whether a server may have a part of the W&B run."""
        state_file = self.folder / f"{self.file.name}.syncstate"
        return self.folder.name.startswith("run-") or os.path.lexists(state_file)

    @property
    def is_sent(self) -> bool:
        """Whether a server has the W&B run."""
        return os.path.lexists(marker(self.folder, self.id))

    def mark(self) -> None:
        """Mark the W&B run as sent."""
        mark(self.folder, self.id)


def attempts(results: Path) -> list[Attempt]:
    """List the W&B runs on disk, oldest first; `run` is None if no meta.json names the id."""
    return found_attempts(results)[0]


def found_attempts(results: Path) -> tuple[list[Attempt], list[str]]:
    """List the W&B runs on disk, oldest first, and a line for each unreadable meta.json.

    If there is such a line, an attempt without a run may belong to that run.
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
        except FileNotFoundError:  # a link to nowhere, or a folder removed a moment ago
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
    folders.sort(key=lambda folder: folder.name.partition("run-")[2])  # which begins with a date
    found = [(folder, folder.name.rpartition("-")[2]) for folder in folders]
    return [Attempt(folder, name, run_of.get(name)) for folder, name in found], problems


def trained(results: Path) -> list[RunFolder]:
    """List the folders of runs of a results folder, by name, without names that are no arm's."""
    there = results.glob("runs/*/seed-*")
    fitting = (p for p in there if ARM.fullmatch(p.parent.name) and SEED.fullmatch(p.name[5:]))
    return sorted(map(RunFolder, fitting))


def sync(results: Path) -> tuple[list[Attempt], list[Attempt], list[str]]:
    """Upload the W&B runs that no server has yet.

    Returns:
        The uploaded runs, the ones that could not be uploaded, and the complaints of wandb.
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
                if not cut_torn_end(attempt.file):
                    attempt.mark()  # killed before W&B had written anything
                    continue
            except DamagedError as error:
                complaints.append(str(error))
                continue
        if not attempt.was_tried:
            plain.append(attempt)
        elif attempt.run is None:
            attempt.mark()  # the server has a part of the attempt, marked as interrupted
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
    """Upload a W&B run under a new id, and mark the part on the server as interrupted.

    Returns:
        The complaints of wandb.
    """
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
        note_wandb_id(attempt.run, new, folder=attempt.id)
    return complaints


def wandb_sync(group: Sequence[Attempt], *options: str) -> list[str]:
    """Call `wandb sync`; return the lines in which it complains."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") or k in KEPT}
    with tempfile.TemporaryDirectory() as logs:  # named after the user, so not kept
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
    """Log a done run anew, from its files alone.

    Args:
        run: the run's folder.
        project: the W&B project to log to.
        entity: the owner of the project; None for the account's own.
        results: the results folder.
        old: the present W&B run of the run, which no upload shall take any more.

    Returns:
        Whether the server has the new W&B run.

    Raises:
        RunBusyError: the run is being trained.
        ValueError: a file is not what a run writes; one line that names the file.
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
    """Retire an old W&B run.

    Mark it as uploaded, so that `sync` skips it, and tag it `interrupted` on the server.
    """
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
    """Read the configuration of a run, and check that its arm is named after it."""
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
    if read_meta(run).get("schema") == SCHEMA:  # other versions of the schema name arms otherwise
        try:
            name = arm_id({str(key): value for key, value in science.items()})
        except (KeyError, TypeError, ValueError, AttributeError):
            name = None
        if name != run.arm:
            raise DamagedError(f"{file}: not the configuration of {run.arm}")
    return {str(key): value for key, value in science.items()}
