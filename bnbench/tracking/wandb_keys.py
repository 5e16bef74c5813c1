"""What a W&B run says, by key: its summary as it is logged, and the keys that its file holds."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bnbench.config.arms import flatten, peak_rate
from bnbench.tracking.csv_log import read_shifts
from bnbench.tracking.run_dir import DamagedError
from bnbench.tracking.wandb_log import read_records

RATE = "learning_rate"  # in the summary: no single key of the configuration is the rate of an arm
PLAIN = ("ema", "none")  # the net as it is, with population statistics or without


@dataclass
class Logged:
    """The keys under which W&B runs have something: of the history, summary and configuration."""

    history: set[str] = field(default_factory=set)
    summary: set[str] = field(default_factory=set)
    config: set[str] = field(default_factory=set)

    def add(self, other: "Logged") -> None:
        """Add the keys of other runs."""
        self.history |= other.history
        self.summary |= other.summary
        self.config |= other.config


def shift_key(shift: str, severity: int, policy: str, metric: str) -> str:
    """The summary key of a number of shifts.csv.

    >>> shift_key("blur", 3, "ema", "accuracy"), shift_key("blur", 3, "precise", "loss")
    ('shift/accuracy/blur-3', 'shift@precise/loss/blur-3')
    """
    split = "shift" if policy in PLAIN else f"shift@{policy}"
    return f"{split}/{metric}/{shift}-{severity}"


def wandb_summary(
    path: Path, science: Mapping[str, Any], summary: Mapping[str, Any]
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
        for shift, severity, policy, metric, value in read_shifts(path, summary)
    }
    return {**summary, RATE: rate, **shifts}


def read_logged(file: Path) -> Logged:
    """The keys that a W&B file holds; what a history has, W&B's summary has too: its last value.

    Raises:
        FileNotFoundError: it is not there.
        DamagedError: it is no file of W&B, or holds a value that is not JSON.
    """
    logged = Logged()
    try:
        for record in read_records(file):
            add(record, logged)
    except DamagedError:
        raise
    except (ValueError, RecursionError):
        raise DamagedError(f"{file}: a value is not JSON") from None
    logged.summary |= logged.history
    return logged


def add(record: Any, logged: Logged) -> None:
    """Add the keys of one record of a W&B file.

    Raises:
        ValueError: a value is not JSON.
    """
    match record.WhichOneof("record_type"):
        case "history":
            logged.history |= set(names(record.history.item))
        case "summary":
            logged.summary |= set(nested(record.summary.update))
        case "config":
            logged.config |= set(nested(record.config.update))
        case "run":
            logged.config |= set(nested(record.run.config.update))
            logged.summary |= set(nested(record.run.summary.update))


def names(items: Iterable[Any]) -> Iterable[str]:
    """The keys of records, which have one name or a path of several."""
    return (item.key or ".".join(item.nested_key) for item in items)


def nested(items: Iterable[Any]) -> Iterable[str]:
    """The keys of records and those below them, with dots."""
    for item, name in zip(items, names(items), strict=True):
        value = json.loads(item.value_json)
        yield from flatten({name: value}) if isinstance(value, dict) else (name,)
