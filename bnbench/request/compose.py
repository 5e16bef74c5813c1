"""The one composer: from the overrides of a job to a checked configuration."""

import copy
import pickle
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from bnbench.config.arms import Config, typed
from bnbench.config.checks import RequestError, as_typed
from bnbench.config.facts import path_key
from bnbench.config.quoting import folder
from bnbench.request import own_code, own_data
from bnbench.request.hydra_internals import Loader, is_group, set_values
from bnbench.request.preflight import check_inert

COMMON = ("arms", "report")  # large, and the same for all jobs of a base


class Composer:
    """Composes the jobs of one base: Hydra once per choice of groups, then values on a copy.

    Copies are made of pickles, which takes a quarter of the time of `copy.deepcopy`.

    Attributes:
        base: what Hydra composes of the overrides that all jobs have in common. Where a group is
            swept over, its choice is missing or the default one.
    """

    def __init__(self, loader: Loader, overrides: Sequence[str]):
        self.loader = loader
        self.parser = OverridesParser.create(config_loader=loader)
        parsed = self.parser.parse_overrides(list(overrides))
        groups, values = self._groups_and_values(parsed)
        lines = [*(str(o.input_line) for o in parsed if o.is_hydra_override()), *groups]
        self.composed: dict[tuple[str, ...], bytes] = {}
        try:
            self.base = self._load(lines, RunMode.RUN)
            self.composed[groups] = _without_common(copy.copy(self.base))
        except HydraException:  # a choice is missing, which is left to each job, or all is bad
            self.base = self._load(lines, RunMode.MULTIRUN)
        set_values(self.base, [o for o in values if not o.is_sweep_override()])

    def __call__(self, job: Sequence[str]) -> Config:
        """Compose the checked configuration of one job from all of its overrides.

        Raises:
            RequestError: it is none that can be trained, as `typed` says.
            hydra.errors.HydraException: Hydra cannot compose it.
            omegaconf.errors.OmegaConfBaseException: a key or a type is wrong.
        """
        groups, values = self._groups_and_values(self.parser.parse_overrides(list(job)))
        if groups not in self.composed:
            config = self.loader.load_sweep_config(self.base, list(groups))
            check_inert(config)
            self.composed[groups] = _without_common(config)
        config: DictConfig = pickle.loads(self.composed[groups])
        set_values(config, [o for o in values if o.get_key_element().split(".")[0] not in COMMON])
        forget_rate(config)
        own_code.fill_in(config, self.loader)
        own_data.fill_in(config, job)
        found = typed({**plain(config), **self._common})
        key = path_key(found.data)
        path = folder(getattr(found.data, key), f"data.{key}")
        data = replace(found.data, **{key: path})
        found = replace(found, results=folder(found.results), data=data)
        own_code.check_built(found)
        return found

    def _load(self, lines: list[str], mode: RunMode) -> DictConfig:
        return self.loader.load_configuration("config", lines, mode, validate_sweep_overrides=False)

    @cached_property
    def _common(self) -> dict[str, Any]:
        return plain(OmegaConf.masked_copy(self.base, list(COMMON)))

    def _groups_and_values(
        self, parsed: Sequence[Override]
    ) -> tuple[tuple[str, ...], list[Override]]:
        own = [o for o in parsed if not o.is_hydra_override()]
        chosen = [is_group(self.loader, o.key_or_group) for o in own]
        groups = tuple(str(o.input_line) for o, g in zip(own, chosen, strict=True) if g)
        return groups, [o for o, g in zip(own, chosen, strict=True) if not g]


def _without_common(config: DictConfig) -> bytes:
    """Take out of a configuration what jobs have in common, and pickle the rest.

    So Hydra's own part goes: in a process that has loaded Hydra's plugins twice its classes are no
    longer those of their modules, and pickle refuses them.
    """
    with open_dict(config):
        for key in ("hydra", *COMMON):
            config.pop(key, None)
    return pickle.dumps(config)


def forget_rate(config: DictConfig) -> None:
    """Where a learning rate is to be found, look none up: there may be none in the table.

    Raises:
        RequestError: it is given too.
    """
    if OmegaConf.select(config, "tune.low") is None or "base_lr" not in (config.optim or ()):
        return
    if not OmegaConf.is_interpolation(config.optim, "base_lr"):
        raise RequestError(
            f"optim.base_lr={as_typed(config.optim.base_lr)}: expected none where tune.low and "
            "tune.high have the rate found"
        )
    config.optim.base_lr = 1.0  # any: none of its own is trained at it


def plain(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain nested values, its interpolations resolved."""
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}
