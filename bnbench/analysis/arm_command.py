"""The command that trains an arm again, with as few overrides as there can be, proved by its id.

What an arm has otherwise than the defaults of `configs/` is said. Hydra is not asked: composing
takes it 40 ms, and there are hundreds of arms.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config import arm_id, flatten, science, typed

CONFIGS = Path(__file__).parents[2] / "configs"
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
        lines = [f"{key}={value}" for key, value in changed.items()]
        again = OmegaConf.merge(_base(names), OmegaConf.from_dotlist(lines))
        assert isinstance(again, DictConfig)
        if arm_id(_science(again)) != arm:
            return None
    except (KeyError, OSError, ValueError, OmegaConfBaseException):
        return None
    chosen = [f"{group}={name}" for group, name in zip(GROUPS, names, strict=True)]
    words = [*chosen, *lines, f"seeds={_word(list(seeds))}", AGAIN]
    return shlex.join([".venv/bin/python", "scripts/train.py", *words])


def _changed(settings: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, str]:
    """The settings that are not the default, in the syntax of the command line.

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
    return {key: _word(given.get(key)) for key in keys}


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


def _science(config: DictConfig) -> dict[str, Any]:
    """The canonical form of a composed configuration."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return science(typed({str(key): value for key, value in plain.items()}))


@cache
def _default(names: tuple[str, ...]) -> dict[str, Any]:
    """The canonical form of the defaults with these choices, flat."""
    return flatten(_science(_base(names)))


@cache
def _base(names: tuple[str, ...]) -> DictConfig:
    """The defaults with these choices of `GROUPS`, as Hydra would compose them."""
    root = OmegaConf.load(CONFIGS / "config.yaml")
    rates = OmegaConf.load(CONFIGS / "base_lr.yaml")
    files = {**dict(zip(GROUPS, names, strict=True)), **REST}
    groups = {key: OmegaConf.load(CONFIGS / key / f"{name}.yaml") for key, name in files.items()}
    base = OmegaConf.merge(root, rates, groups)
    assert isinstance(base, DictConfig)
    for key in ("defaults", "hydra"):
        base.pop(key, None)
    return base
