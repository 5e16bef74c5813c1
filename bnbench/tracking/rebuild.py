"""Rebuild a W&B run from the files of a run: CSV is the record, W&B its mirror."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bnbench.tracking.csv_log import read_points
from bnbench.tracking.meta import known_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.wandb_keys import wandb_summary
from bnbench.tracking.wandb_log import Identity, WandbLog, is_whole
from bnbench.tracking.whole_files import as_json, write_whole

FROM_META = ("experiments", "tags", "notes", "git_commit")


def rebuild(run: RunFolder, identity: Identity, summary: Mapping[str, Any]) -> bool:
    """Log a trained run to a new W&B run and note its id in meta.json.

    What meta.json says of the run describes it, whatever the identity says. W&B shows the times of
    the rebuilding.

    Returns:
        Whether W&B has the whole run.

    Raises:
        DamagedError: metrics.csv is not what the run wrote; one line that names the file.
    """
    points = read_points(run, summary)
    meta = known_meta(run)
    log = WandbLog(replace(identity, **{key: meta[key] for key in FROM_META if key in meta}))
    note_wandb_id(run, log.id)  # first, so that a killed attempt is known and can be redone
    for step, samples, point in points:
        log.write(step, samples, point)
    whole = log.close(wandb_summary(run, identity.science, summary))
    if not whole:
        note_wandb_id(run, None)
    return whole


def ensure_in_wandb(run: RunFolder, identity: Identity, summary: Mapping[str, Any]) -> bool:
    """Rebuild the W&B run from CSV unless W&B already has a complete one.

    Returns:
        Whether a complete one exists afterwards.
    """
    wandb_id = known_meta(run).get("wandb_id")
    if wandb_id and is_whole(identity.results, wandb_id):
        return True
    return rebuild(run, identity, summary)


def note_wandb_id(run: RunFolder, wandb_id: str | None) -> None:
    """Write the id of a run's new W&B run, which lacks nothing, into meta.json; None for none."""
    meta = known_meta(run)
    meta.pop("wandb_lacks", None)
    write_whole(run.meta, as_json({**meta, "wandb_id": wandb_id}))
