"""The jobs of a request: which overrides may be given, and what grid of jobs they span.

A grid is counted before it is expanded: `seeds=range(0,1000000000)` is a slip, not a sweep.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString, RangeSweep
from omegaconf import DictConfig, OmegaConf

from bnbench.config.checks import RequestError, as_typed
from bnbench.config.keys import expected
from bnbench.config.quoting import in_quotes
from bnbench.request.clusters import PLUGINS
from bnbench.request.hydra_internals import Loader, jobs_of_product
from bnbench.request.refusal import allowed, choices

MAX_JOBS = 10_000  # of one experiment; to read so many takes a minute
TOO_MANY = f"expected at most {MAX_JOBS:,} jobs in a sweep"
# What may be set of Hydra itself. The rest decides what files it writes and what code it runs.
OPEN = re.compile(r"hydra/launcher|hydra\.launcher(\.[a-z][\w-]*)+|hydra\.mode|hydra\.job\.chdir")
OPEN_WORDS = "hydra/launcher, hydra.launcher.<option> and hydra.mode"
FLEETING = re.compile(r"\$\{\s*(now|hydra)\s*:")  # other values in every process that composes


def check_overrides(overrides: Sequence[Override], loader: Loader, swept: bool = False) -> None:
    """Refuse overrides that would move parts of the configuration or change Hydra itself.

    Args:
        overrides: as they were parsed.
        loader: Hydra's, to ask which groups there are.
        swept: they stand in a sub-grid, where only what an arm has of its own can be set.

    Raises:
        RequestError: with the first such override.
    """
    for override in overrides:
        key, line = override.key_or_group, str(override.input_line)
        if override.package is not None:
            raise RequestError(f"{line}: no part can be moved, expected {key}=<value>")
        if fleeting := FLEETING.search(line):
            raise RequestError(f"{line}: {fleeting[1]} differs in each worker, expected a value")
        options = choices(key, loader)
        words = allowed("", options) if options else f"expected {expected(key)}"
        if not key:
            raise RequestError(f"{line}: expected key=value")
        if has_no_value(line):
            raise RequestError(f"{line}: ??? is no value, {words}")
        if key == "on_data":  # optional in Hydra's eyes: an unknown one would be passed over
            raise RequestError(f"{line}: follows from data and experiment, expected those")
        is_hydra = key == "hydra" or override.is_hydra_override()
        if options and (not is_hydra or OPEN.fullmatch(key)):
            check_choice(override, options)
        is_whole = key.split(".")[0] in ("arms", "report", "plugins") or (
            swept and key == "experiment"
        )
        if (is_hydra or is_whole) and (swept or override.is_sweep_override()):
            words = "cannot be swept, expected one value for all arms"
            raise RequestError(f"{line}: {words}{in_quotes(override)}")
        if key.split(".")[0] == "tune" and override.is_sweep_override():
            raise RequestError(f"{line}: cannot be swept, expected one value; arms may have theirs")
        if not is_hydra:
            continue
        if override.is_delete() or not OPEN.fullmatch(key) or "_target_" in line:
            raise RequestError(f"{line}: expected no more of Hydra itself than {OPEN_WORDS}")


def check_choice(override: Override, options: Sequence[str]) -> None:
    """Refuse to add a group, to remove it, and to choose what is none of its files.

    Raises:
        RequestError: with the line of it.
    """
    key, line = override.key_or_group, str(override.input_line)
    if override.is_add() or override.is_force_add():
        raise RequestError(f"{line}: expected {line.lstrip('+')}")
    if override.is_delete():
        if key in ("experiment", "hydra/launcher"):  # said elsewhere what is expected instead
            return
        raise RequestError(f"{line}: cannot be removed, {allowed('', options)}")
    given = override.value()
    if isinstance(given, Glob):  # of what there is
        return
    for name in given.list if isinstance(given, ChoiceSweep) else [given]:
        text = name.text if isinstance(name, QuotedString) else name
        is_none = text is None and key == "experiment"  # which need not be chosen
        is_installable = key == "hydra/launcher" and text in list(PLUGINS)
        if not (is_none or is_installable or text in list(options)):
            told = f"{key}={as_typed(text)}" if isinstance(given, ChoiceSweep) else line
            raise RequestError(f"{told}: {allowed(str(text), options)}")


def has_no_value(line: str) -> bool:
    """Whether an override has OmegaConf's mark of a missing value in it.

    >>> has_no_value("train=???"), has_no_value("seeds=[0,???]"), has_no_value("a=who???")
    (True, True, False)
    """
    parts = re.split(r"[,:(){}\[\]]", line.partition("=")[2])
    return any(part.strip(" '\"") == "???" for part in parts)


def grid(
    parser: OverridesParser, base: DictConfig, typed_in: Sequence[Override]
) -> Iterator[list[str]]:
    """The union over `arms` of the products of sweeper.params, the arm's keys and the command line.

    Later ones replace earlier ones key by key, so that a value on the command line wins everywhere.

    Raises:
        RequestError: there are more than `MAX_JOBS` jobs, or none.
    """
    params = base.hydra.sweeper.params or OmegaConf.create()
    everywhere = OmegaConf.to_container(params, resolve=True)
    assert isinstance(everywhere, dict)
    keys = {o.key_or_group for o in typed_in}
    loader = parser.config_loader
    assert isinstance(loader, Loader)
    products: list[list[Override]] = []
    for entry in OmegaConf.to_container(base.arms) or [{}]:
        assert isinstance(entry, dict)
        swept = {k: v for k, v in {**everywhere, **entry}.items() if k not in keys}
        of_arm = parser.parse_overrides([f"{key}={typed(value)}" for key, value in swept.items()])
        check_overrides(of_arm, loader, swept=True)
        products.append([*of_arm, *typed_in])
    check_size(products)
    for product in products:
        yield from jobs_of_product(product)


def typed(value: object) -> str:
    """A value of a sub-grid as on the command line, where 1.0 is no integer."""
    if isinstance(value, list):
        return f"[{','.join(map(typed, value))}]"
    return repr(value) if isinstance(value, float) else as_typed(value)


def check_size(products: Sequence[Sequence[Override]]) -> None:
    """Refuse a union of products with more than `MAX_JOBS` jobs in all (`RequestError`)."""
    total = 0
    for product in products:
        # as in Hydra, of several values for one key the last counts
        last = {override.get_key_element(): override for override in product}
        sweeps = [override for override in last.values() if override.is_sweep_override()]
        total += math.prod(map(num_values, sweeps))
        if total > MAX_JOBS:
            lines = " ".join(str(override.input_line) for override in sweeps)
            raise RequestError(f"{lines}: {TOO_MANY}")


def num_values(override: Override) -> int:
    """How many values an override sweeps over, without making them.

    Raises:
        RequestError: there are more than `MAX_JOBS`, or none.
    """
    sweep, line = override.value(), override.input_line
    if not override.is_discrete_sweep():
        raise RequestError(f"{line}: expected values that can be counted, such as choice(1,2)")
    try:
        # the range itself, since to shuffle it all its values would be made
        values = sweep.range() if isinstance(sweep, RangeSweep) else override.sweep_iterator()
        number = sum(1 for _ in islice(values, MAX_JOBS + 1))
    except (ArithmeticError, ValueError) as error:
        raise RequestError(f"{line}: expected a range of finite numbers and a step") from error
    if not number:
        raise RequestError(f"{line}: there is no such value, expected at least one")
    if number > MAX_JOBS:
        raise RequestError(f"{line}: {TOO_MANY}")
    return number
