"""All that is private to Hydra and used here, each use behind a function with a test of its own.

No other module imports from `hydra._internal` or touches an underscored attribute of Hydra or
OmegaConf, so that an update of Hydra breaks this file alone and its tests say what has changed.
"""

import copy
import pickle
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_hydra, create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

Loader = ConfigLoaderImpl  # of the YAML files
OFFERED = ("norm", "model", "shift")  # groups that plugins add to
JOB = "job"  # the key of what a launcher was handed as a job
OWN = "command-line"  # Hydra's name for where a folder of the user's own comes from


@contextmanager
def initialised(folder: Path, own: str | None = None) -> Iterator[Loader]:
    """Initialise Hydra with the YAML files of a folder, and beside them those of a user's own.

    Yields:
        The loader of the files.
    """
    version.setbase("1.3")
    path = create_config_search_path(str(folder))
    if own is not None:
        place = f"file://{Path(own).absolute()}"
        path.prepend(OWN, place, SearchPathQuery(provider="schema"))
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    Hydra.create_main_hydra2(task_name="train", config_search_path=path)
    try:
        with offering():
            yield current_loader()
    finally:
        GlobalHydra.instance().hydra = before


@contextmanager
def offering() -> Iterator[None]:
    """Take back at the end what was offered inside a `with`."""
    repo = ConfigStore.instance().repo
    before = {group: dict(repo.get(group, {})) for group in OFFERED}
    try:
        yield
    finally:
        # a launcher may have put another store in its place
        ConfigStore.instance().repo.update(before)


def offer(group: str, name: str, content: dict[str, Any]) -> None:
    """Offer a choice of a group that no YAML file has."""
    assert group in OFFERED
    ConfigStore.instance().store(name, content, group)


def folders_of(loader: Loader) -> list[Path]:
    """The folders of the YAML files that a loader reads: bnbench's, and the user's own if any."""
    sources = loader.get_search_path().get_path()
    places = [s.path for name in ("main", OWN) for s in sources if s.provider == name]
    return [Path(str(place).removeprefix("file://")) for place in places]


def current_loader() -> Loader:
    """The loader of the Hydra that is initialised."""
    loader = GlobalHydra.instance().config_loader()
    assert isinstance(loader, Loader)
    return loader


def make_loader(folder: Path) -> Loader:
    """Make a loader of the YAML files of a folder, whichever Hydra is initialised."""
    return Loader(create_config_search_path(str(folder)))


@contextmanager
def parsed_once(loader: Loader) -> Iterator[None]:
    """Parse each YAML file once inside a `with`, however many jobs are composed of it.

    For each of them Hydra parses all files of its choices, and copies the schemas of all plugins
    before it looks for one. No file may change meanwhile.
    """
    repository = loader.repository
    kinds = {type(source) for source in repository.sources if source.scheme() != "structured"}
    before = {kind: kind.load_config for kind in kinds}
    parsed: dict[tuple[str, str], bytes] = {}  # as pickles: Hydra changes what it has read

    def load(self: ConfigSource, config_path: str) -> ConfigResult:
        key = (self.path, config_path)
        if key not in parsed:
            parsed[key] = pickle.dumps(before[type(self)](self, config_path))
        return pickle.loads(parsed[key])

    for kind in kinds:
        kind.load_config = load
    # of its copy Hydra replaces the list of sources, and changes nothing else
    vars(repository)["__deepcopy__"] = lambda _: copy.copy(repository)
    try:
        yield
    finally:
        del vars(repository)["__deepcopy__"]
        for kind, own in before.items():
            kind.load_config = own


def is_group(loader: Loader, key: str) -> bool:
    """Whether a key names a folder of files to choose from, as `norm` does."""
    return loader.repository.group_exists(key)


def options_of(loader: Loader, group: str) -> list[str]:
    """List the files of a group to choose from.

    The loader's own method copies all schemas of all plugins first, which takes longer than to look
    into the folder.
    """
    return loader.repository.get_group_options(group)


def read_file(loader: Loader, name: str) -> ConfigResult | None:
    """Read a YAML file by its path without ending; None where there is none."""
    return loader.repository.load_config(name)


def set_values(config: DictConfig, overrides: Iterable[Override]) -> None:
    """Set in a composed configuration what overrides give keys, not groups."""
    ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)


def jobs_of_product(overrides: list[Override]) -> list[list[str]]:
    """Expand a sweep: the overrides of each job of the product of some values."""
    (batch,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    return [list(job) for job in batch]


class ComposedJobs:
    """Stands for Hydra's loader in launchers and their workers: jobs are composed already.

    Hydra would compose each job once more in its worker, from overrides.
    """

    def load_sweep_config(self, config: DictConfig, job: list[str]) -> DictConfig:
        """Put what a launcher was handed as a job into a copy of its own configuration.

        It becomes bytes there, since a text with `${` would be resolved.
        """
        (text,) = job
        config = copy.deepcopy(config)
        with open_dict(config):
            config[JOB] = text.encode()
        return config


def make_launcher(config: DictConfig, task: TaskFunction) -> Launcher:
    """Make the launcher that a configuration chooses, for one task.

    A job of it is a list of one text, and what the task is called with has it at `JOB`.
    """
    loader: Any = ComposedJobs()
    context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
    return Plugins.instance().instantiate_launcher(
        config=config, task_function=task, hydra_context=context
    )


def error_of(job: JobReturn) -> Any:
    """What a failed job raised; to ask for its value would print and raise it."""
    return job._return_value


def held_by_launcher(error: BaseException, name: str) -> list[Any]:
    """Find the list that a launcher held in a variable when it raised: it hands it to nobody.

    Args:
        error: what it raised.
        name: of the variable.

    Returns:
        The items of the list; none where no launcher's frame has the variable.
    """
    if error.__traceback__ is not None:
        for frame, _ in walk_tb(error.__traceback__):
            if frame.f_globals["__name__"].startswith("hydra_plugins.") and name in frame.f_locals:
                return list(frame.f_locals[name])
    return []


def argument_parser() -> ArgumentParser:
    """Make the parser of Hydra's command line: its options, and overrides."""
    return get_args_parser()


def answer(args: Namespace, parser: ArgumentParser, task: TaskFunction, folder: Path) -> None:
    """Let Hydra do what a command line says, such as `--help`, with the YAML files of a folder."""
    _run_hydra(args, parser, task, str(folder), "config")
