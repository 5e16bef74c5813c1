"""The summary of a W&B run, by key, as it is logged when the run is done."""

from collections.abc import Mapping
from typing import Any

from bnbench.config.points import shift_key
from bnbench.config.quantities import peak_rate
from bnbench.tracking.csv_log import read_shifts
from bnbench.tracking.run_dir import RunFolder

RATE = "learning_rate"  # in the summary: no single key of the configuration is the rate of an arm


def wandb_summary(
    run: RunFolder, science: Mapping[str, Any], summary: Mapping[str, Any]
) -> dict[str, Any]:
    """What the W&B run of a done run has as its summary: summary.json, the rate and shifts.csv.

    Shifts belong to the end of a run, not to a step, so they are not in the history, which has the
    points of metrics.csv and no others.
    """
    optim = science["optim"]
    rate = peak_rate(
        optim["base_lr"], optim["lr_mult"], optim.get("lr_scaling", "none"), science["batch_size"]
    )
    shifts = {
        shift_key(shift, severity, policy, metric): float(value)
        for shift, severity, policy, metric, value in read_shifts(run, summary)
    }
    return {**summary, RATE: rate, **shifts}
