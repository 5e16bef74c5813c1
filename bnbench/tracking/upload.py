"""Upload the W&B runs on disk to a server, whole and once.

`wandb sync` uploads, but its exit code says nothing, it appends to an earlier upload of the same
id, takes a run in training for a whole one, and stops at an empty file. So it is given only ended,
readable runs of which no server has a part, and success is read from the marker files that it
leaves. Other done runs are logged anew from their CSV files. Experiments that asked for a run after
it had ended are added to what the server has of it.
"""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from bnbench import BIN
from bnbench.config.arms import arm_id
from bnbench.config.schema import SCHEMA, TrackMode
from bnbench.config.yaml_bounds import check_flat
from bnbench.tracking import wandb_log
from bnbench.tracking.meta import forget_lacking, known_meta, read_meta
from bnbench.tracking.rebuild import rebuild
from bnbench.tracking.run_dir import RunBusyError, RunFolder, State
from bnbench.tracking.shapes import ARM, SEED
from bnbench.tracking.stored import DamagedError, check_folder, content
from bnbench.tracking.wandb_environment import KEPT
from bnbench.tracking.wandb_file import cut_torn_end, is_readable
from bnbench.tracking.wandb_log import (
    Identity,
    account,
    add_experiments,
    describe,
    mark,
    mark_interrupted,
    marker,
    read_facts,
    warn,
)

PROJECT = "bnbench"
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
        run_of[meta.get("wandb_id")] = run
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
    whole, again = [], []
    found, complaints = found_attempts(results)
    for attempt in found:
        if attempt.is_sent or (attempt.run is None and complaints):
            continue
        now = attempt.run.state() if attempt.run else None
        if now == State.done:
            is_whole = not attempt.was_tried and is_readable(attempt.file)
            (whole if is_whole else again).append(attempt)
        elif now != State.running:
            try:
                if attempt.was_tried or not cut_torn_end(attempt.file):
                    # the server has a part, marked as interrupted, or there is nothing to have
                    attempt.mark()
                else:
                    whole.append(attempt)
            except DamagedError as error:
                complaints.append(str(error))
    for start in range(0, len(whole), BATCH):
        complaints += wandb_sync(whole[start : start + BATCH])
    sent = [attempt for attempt in whole if attempt.is_sent]
    for attempt in again:
        if not wandb_log.unreachable:  # it would be the same for all that follow
            try:
                sent += [attempt] * upload_from_csv(attempt.run, None, None, results, attempt)
            except (RunBusyError, ValueError) as error:
                complaints.append(str(error))
    unsent = [attempt for attempt in [*whole, *again] if attempt not in sent]
    return sent, unsent, complaints + tag_later(found)


def tag_later(found: Sequence[Attempt]) -> list[str]:
    """Tag the W&B runs that a server has with the experiments that asked for them later.

    Returns:
        A line for each run with which it cannot be done, or for all of them.
    """
    lacking = [
        (attempt, attempt.run, names)
        for attempt in found
        if attempt.run
        and attempt.is_sent
        and (meta := known_meta(attempt.run)).get("wandb_id") == attempt.id
        and (names := meta.get("wandb_lacks"))
    ]
    if not lacking:
        return []
    told = f"{len(lacking)} W&B runs are not tagged with an experiment that asked for them later"
    try:
        if (login := account()) is None:
            return [f"{told}: this machine is not logged in ({BIN}wandb login)"]
    except Exception as error:  # wandb raises kinds of its own and those of its sockets
        return [f"{told}: {describe(error)}"]
    complaints = []
    for attempt, run, names in lacking:
        try:
            facts = read_facts(attempt.file) or {}
            place = facts.get("entity") or login[1], facts.get("project") or PROJECT
            add_experiments(*place, attempt.id, names)  # or it was deleted there
            forget_lacking(run, names)
        except Exception as error:
            words = f"not tagged with {', '.join(names)} on the server"
            complaints.append(f"{attempt.folder}: {words} ({describe(error)})")
    return complaints


def wandb_sync(group: Sequence[Attempt]) -> list[str]:
    """Call `wandb sync`; return the lines in which it complains."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_") or k in KEPT}
    with tempfile.TemporaryDirectory() as logs:  # named after the user, so not kept
        answer = subprocess.run(
            [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online"]
            + [str(attempt.folder.absolute()) for attempt in group],
            capture_output=True,
            text=True,
            check=False,
            env={**kept, **IMPATIENT, "WANDB_DIR": logs},
        )
    lines = (answer.stdout + answer.stderr).splitlines()
    return [line for line in lines if "rror" in line or "ERROR" in line]


def upload_from_csv(
    run: RunFolder, project: str | None, entity: str | None, results: Path, old: Attempt | None
) -> bool:
    """Log a done run anew, from its files alone.

    Args:
        run: the run's folder.
        project: the W&B project to log to; None for that of the present W&B run, and its owner.
        entity: the owner of the project; None for the account's own.
        results: the results folder.
        old: the present W&B run of the run, which no upload shall take any more.

    Returns:
        Whether the server has the new W&B run.

    Raises:
        RunBusyError: the run is being trained.
        ValueError: a file is not what a run writes; one line that names the file.
    """
    facts = None
    with suppress(FileNotFoundError, DamagedError):
        facts = read_facts(old.file) if old else None
    if project is None and facts:
        project, entity = facts["project"], facts["entity"] or None
    with run.locked():
        summary = run.read_result()
        science = read_science(run)
        to = (TrackMode.online, project or PROJECT, entity, results)
        is_whole = rebuild(run, Identity(*to, run.arm, run.seed, science), summary)
        if old:
            retire(old, facts)
    wandb_id = known_meta(run).get("wandb_id")
    return is_whole and any(a.is_sent for a in attempts(results) if a.id == wandb_id)


def retire(old: Attempt, facts: Mapping[str, Any] | None) -> None:
    """Mark an old W&B run as uploaded, so that `sync` skips it, and as interrupted on the server.

    Args:
        old: the W&B run.
        facts: what its file says of it; None where that cannot be read.
    """
    may_be_there = old.is_sent or old.was_tried
    old.mark()
    if facts and may_be_there:
        try:
            mark_interrupted({**facts, "id": old.id})
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
