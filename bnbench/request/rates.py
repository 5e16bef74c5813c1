"""The learning rates of nets without norm on the user's own data: `<results>/base_lr/`.

What `configs/base_lr.yaml` is for the data sets that are known by name. A table is known by the
digest of the data, wherever they lie and whatever they are called.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bnbench.config.arms import science
from bnbench.config.checks import RequestError, check_rates
from bnbench.config.schema import OPTIM_CONFIGS, Config, OwnDataConfig
from bnbench.request.tuning import best_place, mean_score
from bnbench.tracking.stored import DamagedError, content, make_folder
from bnbench.tracking.whole_files import write_whole

FOLDER = "base_lr"
MOST = 10_000  # bytes of a table
WORDS = "expected tuned_lr with a rate for each optimiser and model, or no such file"

Rates = dict[str, dict[str, float]]  # by optimiser and model


def rates_file(results: Path, digest: str) -> Path:
    """The file of the learning rates for the data with a digest."""
    return results / FOLDER / f"{digest.partition(':')[2]}.yaml"


def read_rates(results: Path, digest: str) -> Rates:
    """Read the user's own learning rates; {} where there are none.

    Raises:
        RequestError: the file is not what was written.
    """
    file = rates_file(results, digest)
    try:
        told = yaml.safe_load(content(file, MOST, depth=1))
        table = told["tuned_lr"]
        for optim, models in table.items():
            if optim not in OPTIM_CONFIGS or not all(isinstance(name, str) for name in models):
                raise ValueError(optim)
            for name, rate in models.items():
                if not isinstance(rate, int | float):
                    raise ValueError(name)
                check_rates(rate, f"tuned_lr.{optim}.{name}")
        if told["digest"] != digest:
            raise ValueError(digest)
    except FileNotFoundError:
        return {}
    except DamagedError as error:
        raise RequestError(str(error)) from error
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError, yaml.YAMLError):
        raise RequestError(f"{file}: not what was written, {WORDS}") from None
    return table


def best_rates(configs: Sequence[Config], results: Path) -> Rates:
    """Find the best of the rates that some arms were trained at, by optimiser and model.

    It is the one with the highest mean accuracy on all validation images at the end; of equals the
    smallest. Nets with arms that differ in more than the rate, or lack results, are left out.
    """
    nets: dict[tuple[str, str], dict[str, list[Config]]] = {}
    for config in configs:
        canonical = science(config)
        del canonical["optim"]["base_lr"]
        alike = nets.setdefault((canonical["optim"]["name"], canonical["model"]["name"]), {})
        alike.setdefault(json.dumps(canonical, sort_keys=True), []).append(config)
    found: Rates = {}
    for (optim, model), alike in nets.items():
        arms = sorted(next(iter(alike.values())), key=lambda config: config.optim.base_lr)
        scores = [score for arm in arms if (score := mean_score(arm, results)) is not None]
        if len(alike) == 1 and len(scores) == len(arms):
            found.setdefault(optim, {})[model] = arms[best_place(scores)].optim.base_lr
    return found


def write_rates(configs: Sequence[Config], results: Path, command: str) -> str | None:
    """Write the best rates of some arms into the user's own table.

    Args:
        configs: the arms, all on the same data.
        results: the folder of all results.
        command: that trained them.

    Returns:
        A line that says so; None where the data have a column in `configs/base_lr.yaml`.
    """
    data = configs[0].data
    if not isinstance(data, OwnDataConfig):
        return None
    if not (new := best_rates(configs, results)):
        return "learning rates: none kept, the arms of each net differ in more than the rate"
    file = rates_file(results, data.digest)
    try:
        before = read_rates(results, data.digest)
    except RequestError:  # a damaged one makes way
        before = {}
    table = {name: before.get(name, {}) | new.get(name, {}) for name in {**before, **new}}
    make_folder(file.parent, depth=1)
    write_whole(file, as_yaml(table, data, command), depth=1)
    told = [f"{m} {rate:g}" for models in new.values() for m, rate in models.items()]
    return f"learning rates: {', '.join(told)}, which optim.base_lr now is on {data.name} ({file})"


def as_yaml(table: Mapping[str, Mapping[str, Any]], data: OwnDataConfig, command: str) -> str:
    """The content of a table of learning rates."""
    lines = [
        f"# The learning rates tuned for nets without norm on {data.name}, last by",
        f"#   {command}",
        f"digest: {data.digest}",
        "tuned_lr:",
    ]
    for optim, models in sorted(table.items()):
        lines += [f"  {optim}:", *(f"    {name}: {rate!r}" for name, rate in models.items())]
    return "\n".join(lines) + "\n"
