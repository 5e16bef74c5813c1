"""What is wrong with a request, in one line that names the bad value and the allowed ones."""

import difflib
import re
import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from bnbench.checks import RequestError

# what a bad request may raise; OmegaConf asserts where a parent of the key is null
REFUSED = (HydraException, OmegaConfBaseException, ValueError, AssertionError)


def one_line(
    error: BaseException,
    loader: ConfigLoaderImpl,
    overrides: Sequence[str],
    config: DictConfig | None = None,
) -> str:
    """What is wrong with a request, in one line: the bad value and the allowed ones.

    Args:
        error: what Hydra, OmegaConf or this package raised.
        loader: Hydra's, to ask which keys there are.
        overrides: the request as it was typed.
        config: what the overrides were applied to, where that much is known.
    """
    causes: list[Any] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for cause in causes:
        if isinstance(cause, RequestError):
            return str(cause)
        if isinstance(cause, OverrideParseException):
            return f"{cause.override}: cannot be parsed ({first(cause)})"
        if isinstance(cause, MissingConfigException) and cause.options is not None:
            group, _, name = str(cause.missing_cfg_file).rpartition("/")
            return f"{group}={name}: {allowed(name, cause.options)}"
    for cause in reversed(causes):
        if isinstance(cause, InterpolationKeyError) and "tuned_lr" in str(cause):
            *_, optim, model, data = first(cause).split("'")[1].split(".")
            return (
                f"optim.base_lr: no rate is tuned for model={model} data={data} optim={optim} "
                "(configs/base_lr.yaml), expected optim.base_lr=<rate>"
            )
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            return key_line(cause, causes, overrides, config or composed(loader, overrides))
    if first(causes[0]).startswith("Ambiguous value for argument"):
        return f"{first(causes[0]).split(chr(39))[1]}: several values need -m"
    return f"{' '.join(overrides)}: {first(causes[0]) or first(causes[-1])}"


def key_line(
    cause: Any, causes: Sequence[BaseException], overrides: Sequence[str], config: DictConfig
) -> str:
    """The line for a key that does not exist or a value of the wrong type."""
    key = str(cause.full_key)
    text = " ".join(map(str, causes))
    if "is not in struct" in text or " not in '" in text:
        parent, _, name = key.rpartition(".")
        return f"{key}: no such key, {allowed(name, keys_at(parent, config))}"
    line = typed_as(key, overrides)
    if choices := re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", first(cause)):
        return f"{line}: {allowed(choices[1], choices[2].split(', '))}"
    if "is not a ListConfig" in first(cause):
        return f"{line}: expected a list such as [1,2]"
    return f"{line}: {first(cause)}"


def keys_at(parent: str, config: DictConfig) -> list[str]:
    """The keys that a configuration has at a place."""
    node = OmegaConf.select(config, parent) if parent else config
    return sorted(str(k) for k in node if k != "hydra") if isinstance(node, DictConfig) else []


def composed(loader: ConfigLoaderImpl, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the groups that were asked for, without the values."""
    groups = [line for line in overrides if loader.repository.group_exists(line.split("=")[0])]
    try:
        return loader.load_configuration("config", groups, RunMode.RUN)
    except REFUSED:
        return loader.load_configuration("config", [], RunMode.RUN)


def typed_as(key: str, overrides: Sequence[str]) -> str:
    """An override as the user typed it, or else its key."""
    return next((o for o in overrides if o.split("=")[0].lstrip("+") == key), key)


def allowed(name: str, options: Sequence[str]) -> str:
    """The allowed values, and the likeliest one that was meant."""
    close = difflib.get_close_matches(name, options, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"expected one of {', '.join(options)}{hint}"


def first(error: BaseException) -> str:
    """The first line of an exception's text."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def complain(message: str) -> int:
    """Print the one line of a bad request and return the exit code for it."""
    print(f"bnbench: {message}", file=sys.stderr)
    return 2
