"""The command that trains an arm again, with as few overrides as there can be, proved by its id.

What an arm has otherwise than the defaults of `configs/` is said. Hydra is not asked: composing
takes it 40 ms, and there are hundreds of arms.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench import CONFIGS
from bnbench.config.arms import arm_id, flatten, science, typed

GROUPS = ("model", "norm", "data", "optim")  # those that an arm's names choose from
REST = {"shift": "none", "train": "default", "track": "default"}
AGAIN = "results=results/again"  # a folder of its own: what is done elsewhere is not trained again


def arm_command(arm: str, settings: Mapping[str, Any], seeds: Sequence[int]) -> str | None:
    """The command for one arm and its seeds; None where none gives it, as of another schema.

    Args:
        arm: its id.
        settings: its science config, as columns of runs.csv.
        seeds: of its runs.
    """
    try:
        names = tuple(str(settings[f"{group}.name"]) for group in GROUPS)
        changed = _changed(settings, _default(names))
        if arm_id(science(typed(_with(_base(names), changed)))) != arm:
            return None
    except (KeyError, OSError, ValueError, OmegaConfBaseException):
        return None
    words = [f"{group}={name}" for group, name in zip(GROUPS, names, strict=True)]
    words += [f"{key}={_word(value)}" for key, value in changed.items()]
    words += [f"seeds={_word(list(seeds))}", AGAIN]
    return shlex.join([".venv/bin/python", "scripts/train.py", *words])


def _changed(settings: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the default.

    What the canonical form leaves out where it is as ever is in neither, or only in `settings`; a
    key that is only in `default` is null.
    """
    given = {
        key: _value(value)
        for key, value in settings.items()
        if isinstance(value, str) or not pd.isna(value)
    }
    keys = [key for key in {**default, **given} if given.get(key) != default.get(key)]
    if {"batch_size", "data.train_images"} & set(keys):  # the default budget is of epochs
        keys = list(dict.fromkeys([*keys, "train.steps"]))
    return {key: given.get(key) for key in keys}


def _with(base: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with some of its keys, with dots, changed."""
    config = {key: dict(part) if isinstance(part, dict) else part for key, part in base.items()}
    for key, value in changed.items():
        group, _, name = key.partition(".")
        node, last = (config[group], name) if name else (config, key)
        node[last] = value
    return config


def _value(cell: Any) -> Any:
    """A cell of runs.csv as the value that it was: lists are JSON, 64.0 is 64."""
    if isinstance(cell, str):
        return json.loads(cell) if cell.startswith("[") else cell
    plain = cell.item() if hasattr(cell, "item") else cell
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


@cache
def _default(names: tuple[str, ...]) -> dict[str, Any]:
    """The canonical form of the defaults with these choices, flat."""
    return flatten(science(typed(_base(names))))


@cache
def _base(names: tuple[str, ...]) -> dict[str, Any]:
    """The defaults with these choices of `GROUPS`, as Hydra would compose them."""
    files = {**dict(zip(GROUPS, names, strict=True)), **REST}
    groups = {key: OmegaConf.load(CONFIGS / key / f"{name}.yaml") for key, name in files.items()}
    composed = OmegaConf.merge(
        OmegaConf.load(CONFIGS / "config.yaml"), OmegaConf.load(CONFIGS / "base_lr.yaml"), groups
    )
    assert isinstance(composed, DictConfig)
    for key in ("defaults", "hydra"):
        composed.pop(key)
    base = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(base, dict)
    return {str(key): value for key, value in base.items()}
