"""What the keys of the configuration may hold, in words."""

from dataclasses import is_dataclass
from enum import Enum
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from bnbench.config.checks import RULES
from bnbench.config.schema import (
    MODEL_CONFIGS,
    NORM_CONFIGS,
    OPTIM_CONFIGS,
    OWN_DATA_CONFIGS,
    Config,
    ShippedDataConfig,
)

ANY = "a value"  # of a key that no more is known of
MAX_WORKERS = 1024  # processes on one machine
N_JOBS = f"an integer >= 1 and <= {MAX_WORKERS}, or -1 for all"
WORDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text", list: "a list"}


def types_of_keys() -> dict[str, Any]:
    """The type of every key, with dots: those of all models, norms and the like."""
    kinds = {
        "model": MODEL_CONFIGS.values(),
        "norm": NORM_CONFIGS.values(),
        "optim": OPTIM_CONFIGS.values(),
        "data": [ShippedDataConfig, *OWN_DATA_CONFIGS.values()],
    }
    found: dict[str, Any] = {}
    for part, kind in get_type_hints(Config).items():
        for cls in kinds.get(part, [kind]):
            hints = get_type_hints(cls) if is_dataclass(cls) else {}
            found |= {f"{part}.{name}": hint for name, hint in hints.items()} or {part: cls}
    return found


TYPES = types_of_keys()
OTHERS = {"hydra.launcher.n_jobs": N_JOBS, "hydra.job.chdir": "false"}  # keys of Hydra
TEXTS = [key for key, kind in TYPES.items() if kind in (str, str | None)]


def expected(key: str) -> str:
    """What a key may hold: its names where they are an enum's, else its range, else its type.

    >>> expected("batch_size"), expected("placement"), expected("seeds[0]")
    ('an integer >= 1', 'one of pre, post', 'a non-empty list of distinct integers >= 0 and < 2^63')
    >>> expected("tune.batches"), expected("shift.names").partition(",")[0]
    ('null or one of reshuffled, frozen, two_classes', 'a list of gaussian_noise')
    """
    key = key.partition("[")[0]
    kind = TYPES.get(key, Any)
    inner = [
        a
        for a in (kind, get_origin(kind), *get_args(kind))
        if isinstance(a, type) and a is not NoneType
    ]
    for cls in inner:
        if issubclass(cls, Enum):
            names = ", ".join(map(str, cls))
            if get_origin(kind) is list:
                return f"a list of {names}"
            return f"{'null or ' if NoneType in get_args(kind) else ''}one of {names}"
    if key in RULES or key in OTHERS:
        return RULES[key][1] if key in RULES else OTHERS[key]
    if parts := [name for name in TYPES if name.startswith(f"{key}.")]:
        return f"values of {', '.join(parts)}"
    null = "null or " if NoneType in get_args(kind) else ""
    return next((null + WORDS[cls] for cls in inner if cls in WORDS), ANY)
