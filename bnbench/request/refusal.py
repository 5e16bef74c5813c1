"""What is wrong with a request, in one line that names the bad value and the allowed ones."""

import difflib
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from bnbench.config.checks import RequestError, as_typed
from bnbench.config.keys import ANY, expected
from bnbench.config.labels import escaped
from bnbench.config.quoting import in_quotes
from bnbench.config.schema import OPTIM_CONFIGS, DataName, ModelName
from bnbench.request.clusters import PLUGINS, not_installed
from bnbench.request.hydra_internals import Loader, is_group, options_of, read_file
from bnbench.request.provenance import KNOWN, RequestSource, key_of, root_of

# what a bad request may raise; OmegaConf asserts where a parent of the key is null
REFUSED = (HydraException, OmegaConfBaseException, ValueError, AssertionError)
LONGEST = 2000  # characters of a line; a longer one loses its middle


def one_line(error: BaseException, source: RequestSource) -> str:
    """What is wrong with a request, in one line: the bad value, the allowed ones, and the file.

    Args:
        error: what Hydra, OmegaConf or this package raised.
        source: how far the request was read.
    """
    try:
        line = explained(error, source)
        if not any(f"{folder.name}/" in line for folder in source.folders):
            line += source.origin(line)
    except Exception:  # what spoils the request may spoil its explanation too
        line = plain_line(first(error) or repr(error), source.overrides)
    return printable(line)


def explained(error: BaseException, source: RequestSource) -> str:
    """The bad value and the allowed ones."""
    causes: list[Any] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    for cause in causes:
        if isinstance(cause, RequestError):
            return str(cause)
        if isinstance(cause, OverrideParseException):
            return f"{cause.override}: {wanted(cause.override, source.loader)}"
        if isinstance(cause, MissingConfigException) and cause.options:
            group, _, name = str(cause.missing_cfg_file).rpartition("/")
            if group == "hydra/launcher" and name in PLUGINS:
                return not_installed(name, PLUGINS[name])
            return f"{group}={name}: {allowed(name, cause.options)}"
    for cause in reversed(causes):
        key = str(getattr(cause, "full_key", ""))
        untuned = re.search(r"'tuned_lr\.(.*)\.(.*)\.(.*)' not found", first(cause))
        if isinstance(cause, InterpolationKeyError) and untuned:
            return untuned_line(*untuned.groups(), models=options_of(source.loader, "model"))
        typed = bool(key) and source.is_typed(key)
        is_set = typed or key in map(key_of, source.job)  # sub-grids set some
        if isinstance(cause, OmegaConfBaseException) and (is_set or root_of(key) in KNOWN):
            return (not typed and spoilt(source)) or key_line(causes, source)
    reason = first(causes[0]) or first(causes[-1]) or repr(error)
    return spoilt(source) or uncomposed(reason, source)


def spoilt(source: RequestSource) -> str | None:
    """The line for a YAML file that spoils whatever is asked for; None where none does."""
    return damaged(source) or source.misshapen()


def wanted(override: str, loader: Loader) -> str:
    """What is expected in the place of an override that Hydra cannot parse."""
    key, text = key_of(override), override.partition("=")[2]
    if not key or "=" not in override:
        return "expected key=value"
    mark = text[:1]
    if mark in ("'", '"') and text.count(mark) % 2:
        end = f", with {mark} at its end"
    else:
        end = in_quotes(override)
    if options := choices(key, loader):
        return allowed(text, options) + end
    unknown = "cannot be parsed, " if expected(key) == ANY else ""
    return f"{unknown}expected {expected(key)}{end}"


def untuned_line(optim: str, model: str, data: str, models: Sequence[str] = ()) -> str:
    """The line for a learning rate that is not in the table of tuned ones, of some models."""
    names = dict.fromkeys([*ModelName, *models])  # those of plugins too
    known = {"optim": list(OPTIM_CONFIGS), "model": list(names), "data": list(DataName)}
    for (part, names), name in zip(known.items(), (optim, model, data), strict=True):
        if name not in names:
            return f"{part}.name={name}: {allowed(name, names)}"
    return (
        f"optim.base_lr: no rate is tuned for model={model} data={data} optim={optim} "
        "(configs/base_lr.yaml), expected optim.base_lr=<rate>"
    )


def uncomposed(reason: str, source: RequestSource) -> str:
    """The line for what cannot be composed: the file that fails by itself, or what was typed."""
    if composing := re.match(r"In '?([\w/]+)'?: (.*)", reason):
        path = source.file(composing[1])
        return f"{source.named(path) if path else composing[1]}: {composing[2]}"
    if path := source.failing():
        return f"{source.named(path)}: {reason}"
    return plain_line(
        reason, [o for o in source.overrides if key_of(o) in reason] or source.overrides
    )


def plain_line(reason: str, guilty: Sequence[str]) -> str:
    """A reason behind the overrides that it may be about."""
    return f"{' '.join(guilty)}: {reason}" if guilty else reason


def key_line(causes: Sequence[Any], source: RequestSource) -> str:
    """The line for a key that does not exist or a value of the wrong type."""
    cause = next(c for c in reversed(causes) if getattr(c, "full_key", None))
    key, reason, text = str(cause.full_key), first(cause), " ".join(map(str, causes))
    # the last one counts; an item of a list is typed with its list
    typed = {key_of(o): o for o in [*source.job, *source.overrides]}
    line = typed.get(key, "")
    lost = re.search(r"Interpolation key '([\w.]+)' not found", reason)
    if lost and not line and root_of(lost[1]) in KNOWN:
        return f"{lost[1]}: missing, it cannot be removed"
    if "missing mandatory value" in text.lower():
        return f"{key}: missing, it cannot be removed"
    unnamed = re.search(r"used to denote a config key .* \$\{([\w.]+)\}$", reason)
    if unnamed and not line:
        return f"{unnamed[1]}: expected a name"
    if "is not in struct" in text or " not in '" in text:
        keys = sorted({*(cause.parent_node or ())} - {"hydra", "_target_"})
        words = allowed(key.rpartition(".")[2], keys) if keys else "there is nothing to set"
        return f"{key}: no such key, {words}"
    choices = re.search(r"Invalid value '(.*)', expected one of \[(.*)\]", reason)
    if not line and choices:
        line = f"{key}={choices[1]}"
    elif not line and (of_list := typed.get(key.partition("[")[0])):
        line = of_list
    elif not line:
        with suppress(Exception):  # it may be what cannot be read
            line = f"{key}={as_typed(OmegaConf.select(source.bases[-1], key))}"
    if choices:
        return f"{line or key}: {allowed(choices[1], choices[2].split(', '))}"
    if "is not a ListConfig" in reason:
        return f"{line or key}: expected a list such as [1,2]"
    words = "" if expected(key) == ANY else f", expected {expected(key)}"
    return f"{line or key}: {reason}{words}{in_quotes(line)}"


def choices(key: str, loader: Loader) -> list[str]:
    """The files that a group can be chosen from; none for what is no group."""
    return options_of(loader, key) if is_group(loader, key) else []


def allowed(name: str, options: Sequence[str]) -> str:
    """The allowed values, and the likeliest one that was meant."""
    close = difflib.get_close_matches(name, options, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"expected one of {', '.join(options)}{hint}"


def damaged(source: RequestSource) -> str | None:
    """The line for the first YAML file that Hydra cannot read, None where it can read all."""
    files = [(path, folder) for folder in source.folders for path in folder.rglob("*.yaml")]
    for path, folder in sorted(files):
        name = source.named(path)
        inner = str(path.relative_to(folder).with_suffix(""))
        try:
            found = read_file(source.loader, inner)
            if found is not None and not isinstance(found.config, DictConfig):
                return f"{name}: expected lines of key: value"
        except Exception as error:  # PyYAML has a dozen kinds, and passes on others
            mark = getattr(error, "problem_mark", None)
            place = f" in line {mark.line + 1}" if mark else ""
            return f"{name}: {getattr(error, 'problem', None) or first(error)}{place}"
    return None


def first(error: BaseException) -> str:
    """The first line of an exception's text."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def printable(text: str) -> str:
    """A text as one line that any terminal shows: what is not printable is escaped."""
    line = escaped(text)
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[:half]} … {line[-half:]}"


def print_error(message: str) -> int:
    """Print the one line of a bad request; returns its exit code."""
    print(f"bnbench: {printable(message)}", file=sys.stderr)
    return 2
