"""Composing without reading the same YAML again: what Hydra made of files is kept."""

import contextlib
import pickle
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any
from unittest import mock

from hydra._internal import defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, ConfigRepository
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.default_element import InputDefault, ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig

from bnbench.request import refusal
from bnbench.request.provenance import RequestSource

# Hydra imports its plugins anew when it looks for them: before anything is made of their classes
Plugins.instance()

# as pickles, of which a copy is made in a quarter of the time that `copy.deepcopy` takes
composed: dict[Any, bytes] = {}  # by the files that were chosen
parsed_files: dict[Any, bytes] = {}  # by their name and content
placed_files: dict[Any, bytes] = {}  # the same, by the key too that they are merged below
heads: dict[Any, bytes] = {}  # the node of Hydra's own, by the files that it is merged of
schemas: dict[int, Any] = {}  # of classes; kept, so that no other gets the same id
found_damaged: dict[tuple[Path, ...], str | None] = {}  # by their folders


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Have Hydra compose each choice of files once, and set values on a copy of that.

    The files must not change meanwhile.
    """
    whole, look = ConfigLoaderImpl._load_configuration_impl, refusal.damaged

    def quick(
        self: ConfigLoaderImpl,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        parsed = OverridesParser.create().parse_overrides(overrides)
        if validate_sweep_overrides:
            self.validate_sweep_overrides_legal(parsed, run_mode, from_shell)
        files, values = [], []
        for override in parsed:
            is_group = self.repository.group_exists(override.key_or_group)
            chooses = is_group or override.is_hydra_override() or override.package is not None
            if chooses or not override.is_sweep_override():  # which Hydra leaves to the jobs
                (files if chooses else values).append(override)
        lines = tuple(str(override.input_line) for override in files)
        key = (str(self.get_search_path()), config_name, lines, run_mode)
        if key not in composed:
            config = whole(self, config_name, list(lines), run_mode, from_shell, False)
            composed[key] = pickle.dumps(config)
        config = pickle.loads(composed[key])
        config.hydra.runtime.cwd = str(Path.cwd())
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        return config

    def damaged(asked: RequestSource) -> str | None:
        if (places := tuple(asked.folders)) not in found_damaged:
            found_damaged[places] = look(asked)
        return found_damaged[places]

    with (
        mock.patch.object(ConfigLoaderImpl, "_load_configuration_impl", quick),
        mock.patch.object(refusal, "damaged", damaged),
    ):
        yield


def file_source() -> Any:
    """Return the class with which Hydra reads files.

    What `import` gave before Hydra looked for its plugins is another.
    """
    return SourcesRegistry.instance().resolve("file")


def content_of(source: Any, name: str) -> Any:
    """What a source of configurations has under a name: equal where it is the same."""
    file = source._normalize_file_name(name)
    if source.scheme() == "file":
        path = Path(source.path, file)
        return ("file", name, path.read_bytes()) if path.is_file() else None
    if source.scheme() != "structured":  # a file of an installed package
        return (source.scheme(), source.path, name)
    try:
        schema = source.store._load(file)
    except ConfigLoadError:
        return None
    schemas[id(schema)] = schema
    return ("structured", name, id(schema))


class Head(ResultDefault):
    """Stands in a list of defaults for those that make the node of Hydra's own."""

    def __init__(self, key: Any):
        super().__init__(config_path="hydra/config")
        self.key = key


def place_of(default: ResultDefault, repo: Any) -> Any:
    """What is merged for an entry of a list of defaults: its content and where it goes.

    None where Hydra is to look itself: it warns where a schema has the name of a file.
    """
    content = getattr(repo.load_config(default.config_path), "content", None)
    schema = content_of(repo.get_schema_source(), str(default.config_path))
    if content is None or schema not in (None, content):
        return None
    return content, default.package, default.primary


@contextlib.contextmanager
def remembering_files() -> Iterator[None]:
    """Have Hydra parse each content of a YAML file once; what they make together it composes.

    Its own node, which is much larger than ours, is merged once for the same contents.
    """
    load, single = ConfigRepository.load_config, ConfigLoaderImpl._load_single_config
    whole = ConfigLoaderImpl._compose_config_from_defaults_list
    choices = defaults_list._create_interpolation_map

    def load_config(self: ConfigRepository, config_path: str) -> ConfigResult | None:
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        key = None if source is None else content_of(source, config_path)
        if source is None or key is None:
            return load(self, config_path)
        if key not in parsed_files:
            parsed_files[key] = pickle.dumps(load(self, config_path))
        found: Any = pickle.loads(parsed_files[key])
        if source.scheme() == "file":
            found.path = f"file://{source.path}"  # it may have been that of a copy
        found.content = key
        return found

    def load_single(
        self: ConfigLoaderImpl, default: ResultDefault, repo: CachingConfigRepository
    ) -> ConfigResult:
        if isinstance(default, Head):
            return ConfigResult("", "", pickle.loads(heads[default.key]), {})
        if (place := place_of(default, repo)) is None:
            return single(self, default, repo)
        if place not in placed_files:
            placed_files[place] = pickle.dumps(single(self, default, repo))
        found: ConfigResult = pickle.loads(placed_files[place])
        return found

    def compose(
        self: ConfigLoaderImpl, defaults: list[ResultDefault], repo: CachingConfigRepository
    ) -> DictConfig:
        own = list(takewhile(lambda one: str(one.config_path).startswith("hydra/"), defaults))
        key = tuple(place_of(one, repo) for one in own)
        if None in key:
            return whole(self, defaults, repo)
        if key not in heads:
            heads[key] = pickle.dumps(whole(self, own, repo))
        return whole(self, [Head(key), *defaults[len(own) :]], repo)

    def choices_if_used(overrides: Any, defaults: Sequence[InputDefault], has_self: bool) -> Any:
        used = any(one.is_interpolation() for one in defaults)
        return choices(overrides, list(defaults), has_self) if used else None

    with (
        mock.patch.object(ConfigRepository, "load_config", load_config),
        mock.patch.object(ConfigLoaderImpl, "_load_single_config", load_single),
        mock.patch.object(ConfigLoaderImpl, "_compose_config_from_defaults_list", compose),
        mock.patch.object(defaults_list, "_create_interpolation_map", choices_if_used),
    ):
        yield
