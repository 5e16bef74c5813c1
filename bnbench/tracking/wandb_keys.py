"""The summary of a W&B run, by key, as it is logged when the run is done."""

from collections.abc import Mapping
from typing import Any

from bnbench.config.points import metric_key
from bnbench.config.quantities import peak_rate
from bnbench.tracking.csv_log import read_shifts
from bnbench.tracking.run_dir import RunFolder

RATE = "learning_rate"  # in the summary: no single key of the configuration is the rate of an arm
PLAIN = ("ema", "none")  # the net as it is, with population statistics or without


def shift_key(shift: str, severity: int, policy: str, metric: str) -> str:
    """The summary key of a number of shifts.csv.

    >>> shift_key("blur", 3, "ema", "accuracy"), shift_key("blur", 3, "precise", "loss")
    ('shift/accuracy/blur-3', 'shift@precise/loss/blur-3')
    """
    split = "shift" if policy in PLAIN else f"shift@{policy}"
    return metric_key(split, metric, f"{shift}-{severity}")


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
