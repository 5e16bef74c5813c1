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

from bnbench.config import RequestError

REFUSED = (HydraException, OmegaConfBaseException, ValueError)  # what a bad request may raise


def one_line(error: BaseException, loader: ConfigLoaderImpl, overrides: Sequence[str]) -> str:
    """What is wrong with a request, in one line: the bad value and the allowed ones."""
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
            return key_line(cause, causes, loader, overrides)
    if first(causes[0]).startswith("Ambiguous value for argument"):
        return f"{first(causes[0]).split(chr(39))[1]}: several values need -m"
    return f"{' '.join(overrides)}: {first(causes[0]) or first(causes[-1])}"


def key_line(
    cause: Any,
    causes: Sequence[BaseException],
    loader: ConfigLoaderImpl,
    overrides: Sequence[str],
) -> str:
    """The line for a key that does not exist or a value of the wrong type."""
    key = str(cause.full_key)
    text = " ".join(map(str, causes))
    if "is not in struct" in text or " not in '" in text:
        parent, _, name = key.rpartition(".")
        return f"{key}: no such key, {allowed(name, keys_at(parent, loader, overrides))}"
    line = typed_as(key, overrides)
    if choices := re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", first(cause)):
        return f"{line}: {allowed(choices[1], choices[2].split(', '))}"
    if "is not a ListConfig" in first(cause):
        return f"{line}: expected a list such as [1,2]"
    return f"{line}: {first(cause)}"


def keys_at(parent: str, loader: ConfigLoaderImpl, overrides: Sequence[str]) -> list[str]:
    """The keys that the configuration has at a place, for the groups that were asked for."""
    groups = [line for line in overrides if loader.repository.group_exists(line.split("=")[0])]
    for lines in (groups, []):
        try:
            config = loader.load_configuration("config", list(lines), RunMode.RUN)
        except REFUSED:
            continue
        node = OmegaConf.select(config, parent) if parent else config
        return sorted(str(k) for k in node if k != "hydra") if isinstance(node, DictConfig) else []
    return []


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
