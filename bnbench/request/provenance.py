"""Where a value of a request comes from: the command line, the environment or a YAML file."""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_origin

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bnbench.config.checks import as_typed
from bnbench.config.schema import Config
from bnbench.request.hydra_internals import Loader, folders_of, read_file

KNOWN = {"hydra", *(f.name for f in fields(Config))}
MAPPINGS = (  # what holds keys itself; parents first
    *("hydra", "hydra.sweeper", "hydra.sweeper.params", "hydra.launcher"),
    *(f.name for f in fields(Config) if is_dataclass(f.type) or get_origin(f.type) is dict),
)
FOLLOWED = ("mode", "project", "entity", "tags", "notes")
VARIABLES = {f"track.{name}": f"WANDB_{name.upper()}" for name in FOLLOWED}


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
    def folders(self) -> list[Path]:
        """The folders of the YAML files: bnbench's, and the user's own if any."""
        return folders_of(self.loader)

    def file(self, name: str) -> Path | None:
        """Find a YAML file by its path without ending; None where there is none."""
        paths = [folder / f"{name}.yaml" for folder in self.folders]
        return next((path for path in paths if path.exists()), None)

    def is_typed(self, key: str) -> bool:
        """Whether an override names this key, one of its parents, or one of its children."""
        # what stands in a group is set by the file that an override chooses
        given = [split(k) for k in map(key_of, self.overrides) if not self._is_group(k)]
        return any(all(a == b for a, b in zip(split(key), k, strict=False)) for k in given)

    def origin(self, line: str) -> str:
        """Name in brackets where a value comes from; nothing where it has just been typed.

        Of a line `key=value: …` or `key: …` it is the first value: where two do not fit together,
        nothing tells which of them was meant otherwise.
        """
        lost = re.search(r"Interpolation key '([^']+)' not found", line)
        match = re.match(r"(.+?)(?:=(.*?))?: ", line, re.S)  # a damaged key may hold anything else
        use = re.compile(rf"\$\{{[^}}]*{re.escape(lost[1])}" if lost else r"(?!)")
        if match is None or any(map(use.search, self.overrides)):
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
        path = (lost and self.mentioning(lost[1])) or self.file_of(key, is_choice)
        return f" ({self.named(path)})" if path else ""

    def file_of(self, key: str, is_choice: bool = False) -> Path | None:
        """Find the YAML file that gives a key its value; None for what is no key.

        It is the last file in the order of composition that sets the key or a parent of it, to
        anything; sub-grids come after all else. A value that no file sets is lacking in the file
        that is chosen for its group, or in `config.yaml`. With `is_choice` the file is meant that
        chooses one of the group that `key` is, not the one that is chosen.
        """
        layers = self.layers()
        key = key.partition("[")[0]  # an item of a list is set with its list
        for path, content in reversed(layers):
            swept = grid_keys(content)
            if key in swept or any(key.startswith(f"{k}.") for k in swept if not self._is_group(k)):
                return path
        for path, content in reversed(layers):
            if sets(content, key) and not is_choice:
                return path
        if is_choice or root_of(key) not in KNOWN:
            return self.mentioning(key)
        group = "hydra/launcher" if key.startswith("hydra.launcher.") else root_of(key)
        return self.file(f"{group}/{self._choices().get(group)}") or self.file("config")

    def mentioning(self, name: str) -> Path | None:
        """Find the last YAML file that has a name in its `defaults` or in an interpolation."""
        use = re.compile(rf"\b{re.escape(name)}\s*[:}},]")
        paths = [*self.choosing, *(path for path, _ in reversed(self.layers()))]
        return next((p for p in paths if use.search(p.read_text(encoding="utf-8"))), None)

    def failing(self) -> Path | None:
        """Find the first of the YAML files that choose others with which Hydra cannot compose."""
        choices = self._choices()
        for number, path in enumerate(reversed(self.choosing)):
            lines = [f"{group}={choices[group]}" for group in ("experiment", "data")[:number]]
            try:
                self.loader.load_configuration("config", lines, RunMode.RUN)
            except Exception:  # Hydra's own, OmegaConf's and plain ones
                return path
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
        chosen = [line for line in self.job or self.overrides if self._is_group(key_of(line))]
        defaults, found = [], []
        for lines in ([], chosen):
            with suppress(HydraException):  # one that is chosen is not there
                listed = self.loader.compute_defaults_list("config", lines, RunMode.MULTIRUN)
                defaults = listed.defaults
        for default in defaults:
            path = self.file(str(default.config_path))
            if path is not None:  # some are Hydra's own
                file = read_file(self.loader, str(default.config_path))
                assert file is not None
                content = OmegaConf.to_container(file.config)
                group = str(Path(str(default.config_path)).parent)
                package = file.header["package"] or group
                for part in reversed(re.findall(r"\w+", package.replace("_global_", ""))):
                    content = {part: content}
                found.append((path, content))
        return found

    @property
    def choosing(self) -> list[Path]:
        """The YAML files that may choose others, the strongest first."""
        choices = self._choices()
        name = choices.get("experiment")
        files = (f"on_data/{choices.get('data')}/{name}", f"experiment/{name}", "config")
        return [path for file in files if (path := self.file(file))]

    def named(self, path: Path) -> str:
        """A YAML file as the user knows it."""
        folder = next(folder for folder in self.folders if folder in path.parents)
        return str(path.relative_to(folder.parent))

    def _choices(self) -> dict[str, str]:
        # not `dict`, which raises where a choice is missing
        found = OmegaConf.to_container(self.bases[-1].hydra.runtime.choices) if self.bases else {}
        assert isinstance(found, dict)
        choices = {str(group): str(name) for group, name in found.items()}
        lines = self.job or self.overrides
        return choices | {key_of(line): line.partition("=")[2] for line in lines}

    def _is_group(self, key: str) -> bool:
        return any((folder / key).is_dir() for folder in self.folders)


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
