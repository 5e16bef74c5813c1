"""Fills in what a request does not say of the user's own code: what plugins add, and their digests.

A plugin is named on the command line or in a YAML file of the user's own; a results folder never
loads one. Where an arm uses what a plugin has, the digest of the plugin's text is part of the arm,
and its path is not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import ChoiceSweep, Override
from omegaconf import DictConfig, OmegaConf, open_dict

from bnbench.config.checks import RequestError, as_typed, check_range
from bnbench.config.facts import facts
from bnbench.config.quantities import data_features
from bnbench.config.quoting import folder
from bnbench.config.schema import (
    Config,
    NormLayers,
    OwnModelConfig,
    OwnNormConfig,
    Trainable,
    is_flat,
)
from bnbench.request.hydra_internals import Loader, folders_of, offer, options_of, read_file
from bnbench.request.plugins import GROUPS, RESERVED, OwnRow, Plugin, load, made

Maker = Callable[..., Any]


def offer_all(parsed: Sequence[Override], loader: Loader) -> list[Plugin]:
    """Run the plugins that a request names, and offer what they add as choices of groups.

    They have to be known before anything is composed: Hydra knows the choices of a group by name.

    Args:
        parsed: the overrides of the request.
        loader: Hydra's.

    Raises:
        RequestError: a plugin cannot be used; two have the same name; the results folder has one.
    """
    typed = [o for o in parsed if o.key_or_group == "plugins" and not o.is_delete()]
    results = [str(o.value()) for o in parsed if o.key_or_group == "results"][-1:]
    if typed:
        line = str(typed[-1].input_line)
        if typed[-1].is_sweep_override():
            raise RequestError(f"{line}: cannot be swept, expected a list such as [my_norm.py]")
        lists: list[Any] = [typed[-1].value()]
    else:
        lists = []
        for name in chosen_experiments(parsed, loader):
            file = read_file(loader, f"experiment/{name}")
            content = file.config if file is not None else None
            if isinstance(content, DictConfig) and "plugins" in content:
                lists.append(OmegaConf.to_container(content)["plugins"])  # type: ignore[index]
                results = results or [str(content.get("results", "results"))]
    found: dict[Path, Plugin] = {}
    for paths in lists:
        check_places(paths, Path(folder((results or ["results"])[0])), None if typed else loader)
        found |= {plugin.path: plugin for plugin in map(load, paths)}
    offer_rows(list(found.values()))
    return list(found.values())


def chosen_experiments(parsed: Sequence[Override], loader: Loader) -> list[str]:
    """The experiments that are asked for and are there."""
    names: list[Any] = []
    for override in [o for o in parsed if o.key_or_group == "experiment"][-1:]:
        value = override.value()
        if isinstance(value, ChoiceSweep):  # no other sweep is over names
            names = list(override.sweep_string_iterator())
        elif not override.is_delete():
            names = [value]
    return [name for name in map(str, names) if name in options_of(loader, "experiment")]


def offer_rows(plugins: Sequence[Plugin]) -> None:
    """Offer the rows of plugins as choices of their groups; those of two that share a name fail."""
    for group, rows in joined(plugins).items():
        for name, (plugin, row) in rows.items():
            content: dict[str, Any] = {"names": [name], "severities": [1, 2, 3, 4, 5]}
            if group != "shift":
                defaults = {key: option.default for key, option in row.options.items()}
                content = {"name": name, "plugin": plugin.digest, **defaults, **row.facts}
            offer(group, name, content)


def joined(plugins: Iterable[Plugin]) -> dict[str, dict[str, tuple[Plugin, OwnRow]]]:
    """The rows of some plugins, by group and name (`RequestError`: two have the same)."""
    found: dict[str, dict[str, tuple[Plugin, OwnRow]]] = {group: {} for group in GROUPS.values()}
    for plugin in plugins:
        for group, rows in plugin.rows.items():
            for name, row in rows.items():
                if other := found[group].get(name):
                    raise RequestError(
                        f"plugins=[{other[0].path},{plugin.path}]: both have the {group} {name}, "
                        "expected one of the two"
                    )
                found[group][name] = plugin, row
    return found


def check_places(paths: Any, results: Path, loader: Loader | None = None) -> None:
    """Refuse a list of plugins that is none, and what a results folder holds, before it is run.

    Args:
        paths: the value of the key.
        results: the folder of all results.
        loader: Hydra's, where a YAML file names the plugins.

    Raises:
        RequestError: there is such a thing.
    """
    if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
        raise RequestError(f"plugins={as_typed(paths)}: expected a list such as [my_norm.py]")
    check_range("plugins", paths)
    if not paths:
        return
    inside = results.resolve()
    own = folders_of(loader)[1:] if loader else []
    for path in [*(Path(folder(path, "plugins")) for path in paths), *own]:
        if path.resolve().is_relative_to(inside):
            raise RequestError(
                f"plugins={as_typed(paths)}: {path} is in the results folder {results}, which "
                "holds data and never code, expected a file elsewhere"
            )


def fill_in(config: DictConfig, loader: Loader) -> None:
    """Fill in what follows from plugins, where a composed job uses any of theirs.

    Options of its norm are checked, the digests are noted, and shifts get the names by which
    results know them. `plugins` becomes the list of those that are used, by absolute paths.

    Args:
        config: the job, as it was composed.
        loader: Hydra's.

    Raises:
        RequestError: a plugin cannot be used, or not so.
    """
    paths = OmegaConf.to_container(config).get("plugins")  # type: ignore[union-attr]
    if paths is None:
        return  # it was removed, which is told elsewhere
    check_places(paths, Path(folder(str(config.results))))
    rows = joined({plugin.path: plugin for plugin in map(load, paths)}.values())
    used: dict[Path, None] = {}
    with open_dict(config):
        for group in ("norm", "model"):
            part = OmegaConf.to_container(config[group]) if group in config else None
            if not isinstance(part, dict):
                continue
            name = str(part.get("name"))
            if name in rows[group]:
                plugin, row = rows[group][name]
                config[group] = filled(group, {str(k): v for k, v in part.items()}, plugin, row)
                used[plugin.path] = None
            elif "plugin" in part:
                raise RequestError(
                    f"{group}={name}: no plugin has it, expected plugins=[<its file>]"
                )
        shift = OmegaConf.to_container(config.shift) if "shift" in config else None
        names = shift.get("names") if isinstance(shift, dict) else None
        if isinstance(shift, dict) and "own" in shift:
            raise RequestError("shift.own: follows from shift.names, expected no such key")
        mine = [name for name in names or () if name in rows["shift"]]
        if mine and isinstance(names, list):
            check_range("shift.names", names)
            config.shift.names = [name for name in names if name not in mine]
            config.shift.own = [rows["shift"][name][0].recorded(name) for name in mine]
            used |= dict.fromkeys(rows["shift"][name][0].path for name in mine)
        config.plugins = list(map(str, used))


def filled(group: str, part: Mapping[str, Any], plugin: Plugin, row: OwnRow) -> dict[str, Any]:
    """A norm or a model of a plugin with all of its keys, checked (`RequestError`)."""
    name = part["name"]
    known = ["name", "plugin", *row.options, *row.facts]
    if unknown := [key for key in part if key not in known]:
        keys = ", ".join(["name", *row.options])
        raise RequestError(
            f"{group}.{unknown[0]}: no such key with {group}={name}, expected one of {keys}"
        )
    fixed = {"plugin": plugin.digest, **row.facts}
    for key, value in fixed.items():
        if part.get(key, value) != value:
            raise RequestError(
                f"{group}.{key}={as_typed(part[key])}: expected {as_typed(value)}, that of "
                f"{plugin.path}"
            )
    options = {
        key: option.checked(f"{group}.{key}", part.get(key, option.default))
        for key, option in row.options.items()
    }
    return {"name": name, **fixed, **options}


def check_built(config: Config) -> None:
    """Refuse an arm whose norm or net a plugin does not construct, with its options.

    Raises:
        RequestError: it does not; why, in one line.
    """
    own_norm, own_model = own_of(config)
    if own_norm is None and own_model is None:
        return
    model, norm = config.model, config.norm
    options = {k: v for k, v in vars(norm).items() if k not in RESERVED}
    flat = is_flat(vars(model))
    dims = 0 if flat else 2
    if own_norm:
        on_data = model.norm_layers == NormLayers.input
        features = [data_features(facts(vars(config.data)).shape, flat)] if on_data else []
        for width in dict.fromkeys(features or model.widths):
            try:
                layer = made(own_norm, width, dims, **options)
            except RequestError as error:
                raise RequestError(f"norm={norm.name}: {norm.name}{error}") from error
            if config.train.trainable == Trainable.norm and not list(layer.parameters()):
                raise RequestError(
                    f"train.trainable=norm: norm={norm.name} has no parameters, expected a norm "
                    "with an affine map"
                )
    if own_model:
        _, shape, num_classes = facts(vars(config.data))
        keys = ("widths", "depth", "activation", "dropout")
        try:
            made(
                own_model,
                shape,
                num_classes,
                norm=partial(own_norm, spatial_dims=dims, **options) if own_norm else None,
                placement=str(config.placement),
                **{key: getattr(model, key) for key in keys},
            )
        except RequestError as error:
            raise RequestError(f"model={model.name}: {model.name}{error}") from error


# In a worker


def own_of(config: Config) -> tuple[Maker | None, Maker | None]:
    """The constructors of an arm's norm and net that plugins have (`RequestError`)."""
    norms, models, _ = rows(config)
    return norms.get(config.norm.name), models.get(config.model.name)


def rows(
    config: Config,
) -> tuple[dict[str, Maker], dict[str, Maker], dict[str, tuple[Maker, tuple[float, ...]]]]:
    """The rows of plugins that an arm uses: of norms, of models and of shifts with their levels.

    Raises:
        RequestError: a file is not what it was when the request was read.
    """
    plugins = [load(path) for path in config.plugins]
    found: tuple[dict[str, Any], ...] = ({}, {}, {})
    for group, part, table in (("norm", config.norm, found[0]), ("model", config.model, found[1])):
        if isinstance(part, OwnNormConfig | OwnModelConfig):
            own = [p for p in plugins if p.digest == part.plugin and part.name in p.rows[group]]
            if not own:
                raise RequestError(changed(f"{group}={part.name}", part.plugin, config))
            table[part.name] = own[0].rows[group][part.name].make
    recorded = {p.recorded(name): row for p in plugins for name, row in p.rows["shift"].items()}
    for name in config.shift.own:
        if name not in recorded:
            raise RequestError(changed(f"shift.names=[{name}]", name.rpartition("_")[2], config))
        found[2][name] = recorded[name].make, recorded[name].levels
    return found[0], found[1], found[2]


def changed(what: str, digest: str, config: Config) -> str:
    """The line for a plugin that has another text than when the request was read."""
    return (
        f"{what}: plugins={as_typed(config.plugins)} has another text than when the request was "
        f"read, expected that of digest {digest}"
    )
