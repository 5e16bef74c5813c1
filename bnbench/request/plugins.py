"""Runs plugins: Python files of the user's own that add a norm, a model or a shift.

A plugin has tables of the names and with the rows that the package has (docs/extend/plugin.md):
`NORMS`, `MODELS`, `SHIFTS` and `SEVERITIES`; `OPTIONS` has the keys of its norms and the defaults
of its models. No other module runs what it is given. Nothing here imports torch: a plugin does.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

from bnbench import CONFIGS
from bnbench.config.checks import RequestError, Rule, as_typed, is_line
from bnbench.config.keys import WORDS
from bnbench.config.quoting import folder
from bnbench.config.schema import POPULATION, ModelConfig
from bnbench.request.refusal import allowed, first

GROUPS = {"NORMS": "norm", "MODELS": "model", "SHIFTS": "shift"}  # by table: what chooses its rows
RESERVED = ("name", "plugin", POPULATION)  # keys of a norm that are no options
PLAIN: dict[str, Any] = {  # of a model, where its plugin says nothing else
    "widths": [100, 100, 100],
    "depth": [1],
    "activation": "relu",
    "init": "he",
    "init_scale": 1.0,
    "dropout": 0.0,
    "dropout_place": "blocks",
    "norm_layers": "every",
}
# of these a net's constructor is not told: weights are drawn when it is there, and it puts its
# dropout and its norms where it likes
NOT_CONSTRUCTED = ("init", "init_scale", "dropout_place", "norm_layers")
LEVELS = 5  # of a shift
MAX_NAME = 40
MAX_TEXT = 1000  # characters of an option
EXAMPLES = ((8, 2), (8, 0))  # channels and spatial dimensions that a norm is first made for


@dataclass(frozen=True)
class Option:
    """A key of a plugin's norm or model: its default, and what it may hold."""

    default: Any
    rule: Rule | None = None

    def checked(self, key: str, value: Any) -> Any:
        """Return a value of the type of the default, where the option may hold it.

        Raises:
            RequestError: it may not.
        """
        kind = type(self.default)
        given = [*value] if isinstance(value, Sequence) and not isinstance(value, str) else value
        if kind is float and type(given) is int:
            given = float(given)
        is_allowed = type(given) is kind and (kind is not str or is_line(given, MAX_TEXT))
        words = self.rule[1] if self.rule else WORDS[kind]
        if is_allowed and self.rule:
            try:
                is_allowed = bool(self.rule[0](given))
            except Exception:  # the test is the user's own
                is_allowed = False
        if not is_allowed:
            raise RequestError(f"{key}={as_typed(value)}: expected {words}")
        return given


@dataclass(frozen=True)
class OwnRow:
    """A norm, a model or a shift of a plugin.

    Attributes:
        make: the constructor, or the function of a shift.
        options: its keys; of a model those of `ModelConfig`.
        facts: what is found out of it for the configuration: whether a norm has population
            statistics, the spatial dimensions of a model; of a shift nothing.
        levels: of a shift.
    """

    make: Callable[..., Any]
    options: Mapping[str, Option]
    facts: Mapping[str, Any]
    levels: tuple[float, ...] = ()


@dataclass(frozen=True)
class Plugin:
    """A file of the user's own: its place, the digest of its text, its rows by group and name."""

    path: Path
    digest: str
    rows: Mapping[str, Mapping[str, OwnRow]]

    def recorded(self, shift: str) -> str:
        """Name a shift as tables of results do, so that rows of two texts are never one.

        >>> Plugin(Path(), "sha256:0123456789abcdef", {}).recorded("fog")
        'fog_01234567'
        """
        return f"{shift}_{self.digest.partition(':')[2][:8]}"


def load(path: str) -> Plugin:
    """Run a plugin and check what it has; a text that was run before is not run again.

    Raises:
        RequestError: it is no plugin; one line.
    """
    shown = f"plugins=[{path}]"
    if not path.endswith(".py"):
        raise RequestError(f"{shown}: expected the path of a .py file")
    file = Path(folder(path, "plugins")).absolute()
    if not file.is_file():
        is_there = "it is no file" if file.exists() else "there is no such file"
        raise RequestError(f"{shown}: {is_there}, expected the path of a .py file")
    try:
        text = file.read_bytes()
    except OSError as error:
        raise RequestError(f"{shown}: cannot be read ({error.strerror})") from error
    try:
        return executed(file, text)
    except RequestError as error:
        raise RequestError(f"{shown}: {error}") from error


@cache
def executed(path: Path, text: bytes) -> Plugin:
    """Run the text of a plugin (`RequestError`, without the name of the file)."""
    digest = hashlib.sha256(text).hexdigest()
    module = ModuleType(f"bnbench_plugin_{digest[:16]}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        lines = [frame.lineno for frame in extract_tb(error.__traceback__)[1:]]
        at = error.lineno if isinstance(error, SyntaxError) else lines[0] if lines else None
        place = f" in line {at}" if at else ""
        raise RequestError(f"{told(error)}{place}") from error
    return Plugin(path, f"sha256:{digest[:16]}", rows_of(vars(module)))


def rows_of(names: Mapping[str, Any]) -> dict[str, dict[str, OwnRow]]:
    """Check the tables of a plugin and take their rows (`RequestError`)."""
    tables = {name: table_of(names, name) for name in (*GROUPS, "SEVERITIES", "OPTIONS")}
    if not any(tables[table] for table in GROUPS):
        raise RequestError(f"adds nothing, expected a table {' or '.join(GROUPS)}")
    for table, known in (("SEVERITIES", ("SHIFTS",)), ("OPTIONS", ("NORMS", "MODELS"))):
        for name in tables[table]:
            if not any(name in tables[other] for other in known):
                raise RequestError(f"{table} has {name}, which {' and '.join(known)} has not")
    found: dict[str, dict[str, OwnRow]] = {}
    for table, group in GROUPS.items():
        shipped = {path.stem for path in (CONFIGS / group).glob("*.yaml")}
        found[group] = {}
        for name, make in tables[table].items():
            if name in shipped:
                raise RequestError(f"{table} has {name}, which ships with bnbench")
            if not callable(make):
                raise RequestError(f"{table}[{name!r}] is {make!r}, expected a constructor")
            own = options_in(tables["OPTIONS"].get(name, {}), name)
            found[group][name] = ROW_OF[group](name, make, own, tables["SEVERITIES"].get(name))
    return found


def table_of(names: Mapping[str, Any], table: str) -> dict[str, Any]:
    """A table of a plugin, empty where it has none (`RequestError`)."""
    found = names.get(table, {})
    if not isinstance(found, dict):
        raise RequestError(f"{table} is {type(found).__name__}, expected a dict by name")
    for name in found:
        is_name = isinstance(name, str) and name.isascii() and name.isidentifier()
        if not (is_name and name == name.lower() and name[0] != "_" and len(name) <= MAX_NAME):
            raise RequestError(
                f"{table} has {name!r}, expected a name of at most {MAX_NAME} small letters, "
                "digits and _"
            )
    return found


def options_in(table: Any, name: str) -> dict[str, Option]:
    """The options of a row: each a default, or (default, test, what is expected)."""
    if not isinstance(table, dict):
        raise RequestError(f"OPTIONS[{name!r}] is {type(table).__name__}, expected a dict by key")
    found = {}
    for key, entry in table.items():
        where = f"OPTIONS[{name!r}][{key!r}]"
        if not (isinstance(key, str) and key.isidentifier() and key not in RESERVED):
            raise RequestError(f"{where}: expected a key other than {', '.join(RESERVED)}")
        default, *rest = entry if isinstance(entry, tuple) else (entry,)
        rule: Rule | None = None
        if len(rest) == 2 and callable(rest[0]) and isinstance(rest[1], str):
            rule = (rest[0], rest[1])  # pyright: ignore[reportAssignmentType]
        if (rest and not rule) or type(default) not in WORDS:
            raise RequestError(
                f"{where}: expected a default (true or false, a number, a text, a list), or "
                "(default, test, words for what the test lets pass)"
            )
        option = Option(default, rule)
        try:
            option.checked(where, default)
        except RequestError as error:
            raise RequestError(f"the default of {error}") from error
        found[key] = option
    return found


def norm_row(name: str, make: Callable[..., Any], own: dict[str, Option], _: Any) -> OwnRow:
    """A row of `NORMS`, of which a layer is made to see what it is."""
    lists = [key for key, option in own.items() if isinstance(option.default, list)]
    if lists:
        raise RequestError(f"OPTIONS[{name!r}][{lists[0]!r}]: an option of a norm is no list")
    defaults = {key: option.default for key, option in own.items()}
    try:
        layer = made(make, *EXAMPLES[0], **defaults)
    except RequestError as error:
        try:
            layer = made(make, *EXAMPLES[1], **defaults)  # it may be for vectors alone
        except RequestError:
            raise RequestError(f"NORMS[{name!r}]{error}") from error
    return OwnRow(make, own, {POPULATION: True} if holds_batch_norm(layer) else {})


def model_row(name: str, make: Callable[..., Any], own: dict[str, Option], _: Any) -> OwnRow:
    """A row of `MODELS`, whose options are the defaults of the keys that every model has."""
    keys = [f.name for f in fields(ModelConfig) if f.name != "name"]
    if unknown := [key for key in own if key not in keys]:
        raise RequestError(f"OPTIONS[{name!r}] has {unknown[0]}: {allowed(unknown[0], keys)}")
    options = {key: own.get(key, Option(default)) for key, default in PLAIN.items()}
    for key, option in options.items():
        if type(option.default) is not type(PLAIN[key]):
            expected = WORDS[type(PLAIN[key])]
            raise RequestError(f"OPTIONS[{name!r}][{key!r}]: expected {expected}")
    dims = getattr(make, "spatial_dims", None)
    if type(dims) is not int or dims not in (0, 2):
        raise RequestError(
            f"MODELS[{name!r}].spatial_dims is {dims!r}, expected 0 where its norms see (N, C), or "
            "2 for (N, C, H, W)"
        )
    return OwnRow(make, options, {"spatial_dims": dims})


def shift_row(name: str, make: Callable[..., Any], _: dict[str, Option], levels: Any) -> OwnRow:
    """A row of `SHIFTS` with its levels."""
    is_list = isinstance(levels, tuple | list) and len(levels) == LEVELS
    if not is_list or not all(type(v) in (int, float) and math.isfinite(v) for v in levels):
        raise RequestError(f"SEVERITIES[{name!r}] is {levels!r}, expected five finite numbers")
    return OwnRow(make, {}, {}, tuple(map(float, levels)))


ROW_OF = {"norm": norm_row, "model": model_row, "shift": shift_row}


def made(make: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Construct a layer or a net of a plugin (`RequestError`: what was called, and why not)."""
    call = ", ".join([*map(str, args), *(f"{key}={value!r}" for key, value in options.items())])
    try:
        found = make(*args, **options)
    except Exception as error:
        raise RequestError(f"({call}): {told(error)}") from error
    if not (callable(found) and hasattr(found, "named_modules")):
        raise RequestError(f"({call}) is {type(found).__name__}, expected a torch.nn.Module")
    return found


def holds_batch_norm(layer: Any) -> bool:
    """Whether a layer has the statistics that population policies set: a BatchNorm's."""
    batchnorm = sys.modules.get("torch.nn.modules.batchnorm")
    return batchnorm is not None and any(
        isinstance(module, batchnorm._BatchNorm) and module.running_mean is not None
        for module in layer.modules()
    )


def told(error: BaseException) -> str:
    """An exception by its name and the first line of its text."""
    text = error.msg if isinstance(error, SyntaxError) else first(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
