"""Where a value of a request comes from: the command line, the environment or a YAML file."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_origin

from hydra.core.default_element import ResultDefault
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench.config.checks import as_typed
from bnbench.config.schema import Config
from bnbench.request.hydra_internals import Loader, placed_content, read_file

KNOWN = {"hydra", *(f.name for f in fields(Config))}
MAPPINGS = (  # what holds keys itself; parents first
    *("hydra", "hydra.sweeper", "hydra.sweeper.params", "hydra.launcher"),
    *(f.name for f in fields(Config) if is_dataclass(f.type) or get_origin(f.type) is dict),
)
RATE = "${tuned_lr.${optim.name}.${model.name}.${data.name}}"  # what optim.base_lr looks up
VARIABLES = {f"track.{name}": f"WANDB_{name.upper()}" for name in ("mode", "project", "entity")}


@dataclass
class RequestSource:
    """How far a request has been read: knows where each of its values comes from.

    Attributes:
        loader: Hydra's, to ask which groups and keys there are.
        overrides: the request as it was typed.
        bases: what has been composed of it, one for each experiment.
        job: the overrides of the job that is being read, those of sub-grids among them.
    """

    loader: Loader
    overrides: Sequence[str]
    bases: list[DictConfig] = field(default_factory=list)
    job: Sequence[str] = ()

    @property
    def folder(self) -> Path:
        """The folder of the YAML files."""
        sources = self.loader.get_search_path().get_path()
        return Path(next(s.path for s in sources if s.provider == "main").removeprefix("file://"))

    def is_typed(self, key: str) -> bool:
        """Whether an override names this key, one of its parents, or one of its children."""
        # what stands in a group is set by the file that an override chooses
        given = [split(k) for k in map(key_of, self.overrides) if not self._is_group(k)]
        return any(all(a == b for a, b in zip(split(key), k, strict=False)) for k in given)

    def origin(self, line: str) -> str:
        """Name where the first value of a refusal comes from, unless it has just been typed.

        Args:
            line: `key=value: …` or `key: …`. Where two values do not fit together, nothing tells
                which of them was meant otherwise.

        Returns:
            The file or the variable in brackets, or "".
        """
        if path := self._looking_up(line):
            return f" ({self.named(path)})"
        match = re.match(r"(.+?)(?:=(.*?))?: ", line)  # a damaged key may hold anything else
        if match is None:
            return ""
        key, value = match.groups()
        # else its content is bad, which is typed by its parts alone
        is_choice = self._is_group(key) and (
            ": expected one of" in line or value == self._choices().get(key, "")
        )
        is_chosen = is_choice and key in map(key_of, self.overrides)
        if is_chosen or self.is_typed(key) or self.is_typed("arms"):  # arms set any key
            return ""
        if os.environ.get(VARIABLES.get(key, "")):
            return f" (from {VARIABLES[key]})"
        path = self.file_of(key, is_choice)
        return f" ({self.named(path)})" if path else ""

    def file_of(self, key: str, is_choice: bool) -> Path | None:
        """Find the YAML file that gives a key its value; None for what is no key.

        It is the last file in the order of composition that sets the key or a parent of it, to
        anything; sub-grids come after all else. A value that no file sets is lacking in the file
        that is chosen for its group, or in `config.yaml`.

        Args:
            key: with dots; of a group, such as `norm`, too.
            is_choice: of a group: the file that chooses it is meant, not the one that is chosen.
        """
        layers = self.layers()
        key = key.partition("[")[0]  # an item of a list is set with its list
        for path, content in reversed(layers):
            swept = grid_keys(content)
            if key in swept or any(key.startswith(f"{k}.") for k in swept if not self._is_group(k)):
                return path
        if is_choice:
            return next(filter(lambda path: chooses(path, key), self.choosing), self.choosing[-1])
        for path, content in reversed(layers):
            if sets(content, key):
                looked_up = key == "optim.base_lr" and RATE in str(content)
                return self.folder / "base_lr.yaml" if looked_up else path
        group = "hydra/launcher" if key.startswith("hydra.launcher.") else root_of(key)
        chosen = self.folder / group / f"{self._choices().get(group)}.yaml"
        if root_of(key) not in KNOWN:
            return None
        return chosen if chosen.exists() else self.folder / "config.yaml"

    def misleading(self) -> Path | None:
        """Find the YAML file whose `defaults` cannot be followed; None where all can."""
        choices = self._choices()
        lines: list[str] = []
        for path, group in zip(reversed(self.choosing), ("", "experiment", "data"), strict=True):
            if group and choices.get(group):
                lines.append(f"{group}={choices[group]}")
            try:
                self.loader.compute_defaults_list("config", lines, RunMode.RUN)
            except Exception:  # Hydra's own, OmegaConf's and plain ones
                return path if path.exists() else None
        return None

    def spoiling(self) -> Path | None:
        """Find the first YAML file in the order of composition that does not compose."""
        composed = OmegaConf.create()
        for default in self._defaults():
            try:
                composed.merge_with(placed_content(self.loader, default))
            except Exception:
                return self._path(default)
        return None

    def misshapen(self) -> str | None:
        """Write the line for the last file with an unknown key or a value where keys belong.

        Hydra and OmegaConf trip over these wherever they first look for what is not there.
        """
        for path, content in reversed(self.layers()):
            for key in MAPPINGS:
                value = content
                for part in key.split("."):
                    value = value.get(part, {}) if isinstance(value, dict) else {}
                if not isinstance(value, dict) and value != "???":
                    return f"{self.named(path)}: {key}={as_typed(value)}: expected keys and values"
            if unknown := [key for key in content if key not in KNOWN]:
                names = ", ".join(sorted(KNOWN))
                return f"{self.named(path)}: {unknown[0]}: no such key, expected one of {names}"
        return None

    def layers(self) -> list[tuple[Path, Any]]:
        """List the YAML files in the order of composition, each with its content at its place."""
        return [
            (path, self._content(default))
            for default in self._defaults()
            if (path := self._path(default)).exists()  # some are Hydra's own
        ]

    @property
    def choosing(self) -> list[Path]:
        """The YAML files that may choose others, the strongest first."""
        choices = self._choices()
        name = choices.get("experiment")
        files = (f"on_data/{choices.get('data')}/{name}", f"experiment/{name}", "config")
        return [self.folder / f"{file}.yaml" for file in files]

    def named(self, path: Path) -> str:
        """A YAML file as the user knows it."""
        return str(path.relative_to(self.folder.parent))

    def _path(self, default: ResultDefault) -> Path:
        """The file of an item of the defaults list, or the one that puts it in another's place."""
        path = str(default.config_path)
        own = path.rpartition("/")[0].replace("/", ".")
        if not own.startswith(str(default.package)):  # it, a parent of it, or "" for the root
            found = read_file(self.loader, path)
            if found is not None and found.header["package"] is None:
                path = str(default.parent)
        return self.folder / f"{path}.yaml"

    def _content(self, default: ResultDefault) -> Any:
        try:
            content = placed_content(self.loader, default)
        # Hydra looks something up in `hydra`, which is no mapping, or finds what it does not allow
        except (HydraException, OmegaConfBaseException):
            found = read_file(self.loader, str(default.config_path))
            assert found is not None
            content = found.config
        return OmegaConf.to_container(content)

    def _looking_up(self, line: str) -> Path | None:
        """The last file that looks up the key that is told to be missing, unless it was typed."""
        lost = re.search(r"Interpolation key '([^']+)' not found", line)
        if lost is None:
            return None
        use = re.compile(rf"\$\{{[^}}]*{re.escape(lost[1])}")
        if any(map(use.search, self.overrides)):
            return None
        uses = (path for path, content in reversed(self.layers()) if use.search(str(content)))
        return next(uses, None)

    def _defaults(self) -> list[ResultDefault]:
        lines = [line for line in self.job or self.overrides if self._is_group(key_of(line))]
        for groups in (lines, []):
            with suppress(HydraException):  # one that is chosen is not there
                found = self.loader.compute_defaults_list("config", groups, RunMode.MULTIRUN)
                return found.defaults
        return []

    def _choices(self) -> dict[str, str]:
        # not `dict`, which raises where a choice is missing
        found = OmegaConf.to_container(self.bases[-1].hydra.runtime.choices) if self.bases else {}
        assert isinstance(found, dict)
        choices = {str(group): str(name) for group, name in found.items()}
        lines = self.job or self.overrides
        return choices | {key_of(line): line.partition("=")[2] for line in lines}

    def _is_group(self, key: str) -> bool:
        return (self.folder / key).is_dir()


def split(key: str) -> list[str]:
    """The parts of a key: `shift.names[0]` is `shift`, `names` and `0]`."""
    return re.split(r"[.[/]", key)


def root_of(key: str) -> str:
    """The part of the configuration that a key stands in."""
    return split(key)[0]


def key_of(override: str) -> str:
    """The key or group of an override."""
    return override.partition("=")[0].lstrip("+~")


def sets(content: Any, key: str) -> bool:
    """Whether a configuration gives a key a value, or takes it away with what it stands in."""
    if not isinstance(content, dict):
        return True
    inner = [k for k in content if f"{key}.".startswith(f"{k}.")]  # a damaged one has dots
    return not key or any(sets(content[k], key[len(str(k)) + 1 :]) for k in inner)


def grid_keys(content: Any) -> set[str]:
    """The keys that the sub-grids of a configuration set."""
    found: set[str] = set()
    with suppress(Exception):  # there are none, or odd ones
        found |= {*content["hydra"]["sweeper"]["params"]}
    with suppress(Exception):
        found |= {key for arm in content["arms"] for key in arm}
    return found


def chooses(path: Path, group: str) -> bool:
    """Whether a file chooses one of a group among its defaults."""
    with suppress(Exception):  # it is damaged or not there
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
        return re.search(rf"\b{re.escape(group)}\b", str(content["defaults"])) is not None
    return False
