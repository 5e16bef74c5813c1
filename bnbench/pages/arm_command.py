"""The command that trains an arm again, with as few overrides as there can be, proved by its id.

What an arm has otherwise than the defaults of `configs/` is said.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd

from bnbench import CONFIGS
from bnbench.config.arms import arm_id, flatten, science
from bnbench.config.quoting import entry_words
from bnbench.request.compose import Composer
from bnbench.request.grid import check_overrides
from bnbench.request.hydra_internals import make_loader
from bnbench.request.refusal import REFUSED

GROUPS = ("model", "norm", "data", "optim")  # those that an arm's names choose from
AGAIN = "results=results/again"  # a folder of its own: what is done elsewhere is not trained again
LONGEST = 1000  # characters of the changed settings; to parse more takes long


def arm_command(arm: str, settings: Mapping[str, Any], seeds: Sequence[int]) -> str | None:
    """Write the command for one arm and its seeds; None where none gives it.

    None gives an arm of another schema, or one whose settings somebody has written by hand.

    Args:
        arm: its id.
        settings: its science config, as columns of runs.csv.
        seeds: of its runs.
    """
    try:
        choices = tuple(f"{group}={settings[f'{group}.name']}" for group in GROUPS)
        changed = _changed(settings, _default(choices))
        words = [*choices, *(f"{key}={_word(value)}" for key, value in changed.items())]
        if len("".join(words)) > LONGEST:
            return None
        again = science(_composer()(words))
    except (KeyError, RecursionError, *REFUSED):
        return None
    # another key, such as results, is no setting of an arm, and its id does not tell of it
    if arm_id(again) != arm or not changed.keys() <= flatten(again).keys():
        return None
    words += [f"seeds={_word(list(seeds))}", AGAIN]
    return shlex.join([*entry_words("train"), *words])


def _changed(settings: Mapping[str, Any], default: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the settings that are not the default.

    Keys that `science` omits at their default may be missing on either side. A key that only
    `default` has is set to null.
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


def _value(cell: Any) -> Any:
    """Read a cell of runs.csv as the value that it was: lists are JSON, 64.0 is 64."""
    if isinstance(cell, str):
        return json.loads(cell) if cell.startswith("[") else cell
    plain = cell.item() if hasattr(cell, "item") else cell
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def _word(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


@cache
def _default(choices: tuple[str, ...]) -> dict[str, Any]:
    """The canonical form of the defaults with these choices of `GROUPS`, flat."""
    compose = _composer()
    check_overrides(compose.parser.parse_overrides(list(choices)), compose.loader)
    return flatten(science(compose(choices)))


@cache
def _composer() -> Composer:
    return Composer(make_loader(CONFIGS), [])
