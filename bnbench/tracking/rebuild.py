"""A W&B run made anew from the files of a run: CSV is the record, W&B its mirror."""

from collections.abc import Mapping
from typing import Any

from bnbench.tracking.csv_log import read_points
from bnbench.tracking.meta import known_meta
from bnbench.tracking.run_dir import RunFolder
from bnbench.tracking.wandb_keys import wandb_summary
from bnbench.tracking.wandb_log import Identity, WandbLog, is_whole
from bnbench.tracking.whole_files import as_json, write_whole


def rebuild(run: RunFolder, identity: Identity, summary: Mapping[str, Any]) -> bool:
    """Log a trained run to a new W&B run and note its id in meta.json; whether W&B has it whole.

    Times that W&B shows are those of the rebuilding.

    Raises:
        DamagedError: metrics.csv is not what the run wrote; one line that names it.
    """
    points = read_points(run, summary)
    log = WandbLog(identity)
    note(run, log.id)  # first: an attempt that is killed is then known, and made anew
    for step, samples, point in points:
        log.write(step, samples, point)
    whole = log.close(wandb_summary(run, identity.science, summary))
    if not whole:
        note(run, None)
    return whole


def ensure(run: RunFolder, identity: Identity, summary: Mapping[str, Any]) -> bool:
    """See to it that W&B has a trained run whole and once; whether it has."""
    wandb_id = known_meta(run).get("wandb_id")
    if wandb_id and is_whole(identity.results, wandb_id):
        return True
    return rebuild(run, identity, summary)


def note(run: RunFolder, wandb_id: str | None, folder: str | None = None) -> None:
    """Write down which W&B run is that of a run.

    Args:
        run: its folder.
        wandb_id: the id that the server knows it by, or will.
        folder: the id in the name of its folder on disk, where that is another.
    """
    meta = {**known_meta(run), "wandb_id": wandb_id, "wandb_folder": folder or wandb_id}
    write_whole(run.meta, as_json(meta))
