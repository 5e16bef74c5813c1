"""Composing without reading the same YAML again: what Hydra made of files is kept."""

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig

from bnbench.request import refusal
from bnbench.request.provenance import RequestSource

# Hydra imports its plugins anew when it looks for them: before anything is made of their classes
Plugins.instance()

# as pickles, of which a copy is made in a quarter of the time that `copy.deepcopy` takes
composed: dict[Any, bytes] = {}  # by the files that were chosen
parsed_files: dict[tuple[str, bytes], bytes] = {}  # by their place below configs/, and content
found_damaged: dict[Path, str | None] = {}  # by their folder


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
        if asked.folder not in found_damaged:
            found_damaged[asked.folder] = look(asked)
        return found_damaged[asked.folder]

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


@contextlib.contextmanager
def remembering_files() -> Iterator[None]:
    """Have Hydra parse each content of a YAML file once; what they make together it composes."""
    source = file_source()
    parse = source.load_config

    def load_config(self: Any, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        if not file.is_file():
            return parse(self, config_path)
        key = (config_path, file.read_bytes())
        if key not in parsed_files:
            parsed_files[key] = pickle.dumps(parse(self, config_path))
        found: ConfigResult = pickle.loads(parsed_files[key])
        found.path = f"{self.scheme()}://{self.path}"  # it may have been that of a copy
        return found

    with mock.patch.object(source, "load_config", load_config):
        yield
