"""The jobs of a request: which overrides may be given, and what grid of jobs they span.

A grid is counted before it is expanded: `seeds=range(0,1000000000)` is a slip, not a sweep.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from bnbench.checks import RequestError, shown

MAX_JOBS = 10_000  # of one experiment; to read so many takes a minute
TOO_MANY = f"expected at most {MAX_JOBS:,} jobs in a sweep"
# What may be set of Hydra itself. The rest decides what files it writes and what code it runs.
OPEN = re.compile(r"hydra/launcher|hydra\.launcher(\.[a-z][\w-]*)+|hydra\.mode|hydra\.job\.chdir")
OPEN_WORDS = "hydra/launcher, hydra.launcher.<option> and hydra.mode"
FLEETING = re.compile(r"\$\{\s*(now|hydra)\s*:")  # other values in every process that composes


def check_overrides(overrides: Sequence[Override], swept: bool = False) -> None:
    """Refuse overrides that would move parts of the configuration or change Hydra itself.

    Args:
        overrides: as they were parsed.
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
        if key == "scale":  # optional in Hydra's eyes: an unknown one would be passed over
            raise RequestError(f"{line}: follows from data and experiment, expected those")
        is_hydra = key == "hydra" or override.is_hydra_override()
        is_whole = key.split(".")[0] in ("arms", "report") or (swept and key == "experiment")
        if (is_hydra or is_whole) and (swept or override.is_sweep_override()):
            raise RequestError(f"{line}: cannot be swept, expected one value for all arms")
        if key.split(".")[0] == "tune" and override.is_sweep_override():
            raise RequestError(f"{line}: cannot be swept, expected one value; arms may have theirs")
        if not is_hydra:
            continue
        if override.is_delete() or not OPEN.fullmatch(key) or "_target_" in line:
            raise RequestError(f"{line}: expected no more of Hydra itself than {OPEN_WORDS}")


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
    products: list[list[Override]] = []
    for entry in OmegaConf.to_container(base.arms) or [{}]:
        assert isinstance(entry, dict)
        swept = {k: v for k, v in {**everywhere, **entry}.items() if k not in keys}
        of_arm = parser.parse_overrides([f"{key}={shown(value)}" for key, value in swept.items()])
        check_overrides(of_arm, swept=True)
        products.append([*of_arm, *typed_in])
    check_size(products)
    for product in products:
        for batch in BasicSweeper.split_arguments(product, max_batch_size=None):
            yield from batch


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
