"""Texts in the quotes that Hydra, a shell and make want, and paths that no shell has read."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bnbench import BIN, CALL, IS_CHECKOUT
from bnbench.config.checks import RULES, RequestError
from bnbench.config.keys import TEXTS

VARIABLES = {"experiment": "EXP", "data": "DATA", "seeds": "SEEDS"}  # of the Makefile


def for_hydra(text: str) -> str:
    """A text in quotes, such that Hydra reads it as it is.

    >>> for_hydra("it's a=b")
    "'it\\\\'s a=b'"
    """
    return QuotedString(text, Quote.single).with_quotes()


def for_shell(word: str) -> str:
    """A word such that bash reads it as it is; in double quotes, which read better, where it can.

    >>> print(for_shell("results='/tmp/my runs'"), for_shell("seeds=[0]"), for_shell("a=$b"))
    "results='/tmp/my runs'" 'seeds=[0]' 'a=$b'
    """
    reads_better = re.search(r"[ ']", word) and not re.search(r'[$`"\\!]', word)
    return f'"{word}"' if reads_better else shlex.quote(word)


def command(words: Sequence[str]) -> str:
    """A command of some words, to be pasted into bash."""
    return " ".join(map(for_shell, words))


def subcommand(name: str, args: Sequence[str] = (), **overrides: str) -> str:
    """A subcommand, to be pasted into bash: of make in a checkout, else of `bnbench`.

    What make is told passes three readers: bash, make itself, and for `ARGS` the shell that make
    starts.

    Args:
        name: of the subcommand.
        args: its other words.
        overrides: of the keys that have a variable in the Makefile (`VARIABLES`); empty ones are
            left out.
    """
    if not IS_CHECKOUT:
        return command([CALL, name, *(f"{k}={v}" for k, v in overrides.items() if v), *args])
    given = {VARIABLES[key]: value for key, value in overrides.items()}
    given |= {"ARGS": " ".join(map(for_shell, args))}
    words = [f"{key}={for_shell(v.replace('$', '$$'))}" for key, v in given.items() if v]
    return " ".join([CALL, name, *words])


def entry_words(script: str, python: str = f"{BIN}python") -> list[str]:
    """The words that start an entry point of `scripts/`; without a checkout, those of `bnbench`."""
    if IS_CHECKOUT:
        return [python, f"scripts/{script}.py"]
    return ["bnbench", *([] if script == "train" else [script.replace("_", "-")])]


def elsewhere(results: Path) -> list[str]:
    """The words that name a results folder to any of the scripts; none for the usual one."""
    if results == Path("results"):
        return []
    is_odd = str(results).startswith(("~", "$"))  # no home is meant
    text = f"./{results}" if is_odd else str(results)
    is_plain = re.fullmatch(r"[\w./%+-]*[A-Za-z/][\w./%+-]*", text, re.ASCII)
    is_text = is_plain and text.lower() != "null"
    return [f"results={text if is_text else for_hydra(text)}"]


def shown_path(path: Path) -> str:
    """A path to be pasted into bash, where no command takes it for an option."""
    return for_shell(f"./{path}" if str(path).startswith("-") else str(path))


def quoted(override: str) -> str:
    """An override with its text, such as a path, in quotes, where Hydra would not read it whole.

    Left as they are: what is in quotes already, and what is no text for Hydra: null, lists,
    interpolations and sweeps.

    Raises:
        RequestError: it might be one text with a comma, or several.

    >>> quoted("plugins=[~/a.py,b.py]")
    "plugins=['~/a.py',b.py]"
    >>> quoted("results=/tmp/a=b"), quoted("results=1e3"), quoted("results=a,b"), quoted("norm=1")
    ("results='/tmp/a=b'", "results='1e3'", 'results=a,b', 'norm=1')
    """
    key, _, text = override.partition("=")
    if key == "plugins" and (items := re.fullmatch(r"\[([^][{}'\"$]+)\]", text)):
        paths = [item.strip() for item in items[1].split(",")]
        words = [p if re.fullmatch(r"[\w./-]+", p, re.ASCII) else for_hydra(p) for p in paths]
        return f"{key}=[{','.join(words)}]"
    if key.lstrip("+") not in TEXTS or not text or text[0] in "'\"" or "${" in text:
        return override
    try:
        parsed = OverridesParser.create().parse_override(override)
        is_text = isinstance(parsed.value(), int | float) and not parsed.is_sweep_override()
    except HydraException as error:
        if "," in text:
            raise RequestError(f"{override}: expected one text{in_quotes(override)}") from error
        is_text = True
    return f"{key}={for_hydra(text)}" if is_text else override


def in_quotes(override: Override | str) -> str:
    """How to type a text that Hydra takes for something else, for the end of a line."""
    line = override if isinstance(override, str) else str(override.input_line)
    key, _, text = line.partition("=")
    if key.lstrip("+") not in TEXTS or text[:1] in ("'", '"'):
        return ""
    return f" (a text with such characters: {for_shell(f'{key}={for_hydra(text)}')})"


def typed_folder(text: str) -> Path:
    """The path of a results folder, from the command line of a script, as Hydra would read it.

    Raises:
        RequestError: it is none.
    """
    line = f"results={text}"
    try:
        parsed = OverridesParser.create().parse_override(quoted(line))
        value = None if parsed.is_sweep_override() else parsed.value()
        path = OmegaConf.create({"results": value}).results
    except (HydraException, OmegaConfBaseException) as error:
        raise RequestError(f"{line}: {str(error).splitlines()[0]}") from error
    is_allowed, words = RULES["results"]
    if not isinstance(path, str) or not is_allowed(path):
        raise RequestError(f"{line}: expected {words}{in_quotes(line)}")
    return Path(folder(path))


def folder(text: str, key: str = "results") -> str:
    """The path of a folder as a shell reads it: `~` is the home of a user.

    Raises:
        RequestError: there is no such user, or the path begins with a variable, which a shell
            replaces and Hydra does not.
    """
    variable = re.match(r"\$\{?(\w+)\}?(?=/|$)(.*)", text)
    if variable and variable[1] in os.environ:
        home = f"~{variable[2]} or " if variable[1] == "HOME" else ""
        named = f"${{oc.env:{variable[1]}}}{variable[2]}"
        raise RequestError(f"{key}={text}: no shell reads this, expected {home}{named}")
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError as error:
        raise RequestError(
            f"{key}={text}: there is no user {text[1:].partition('/')[0] or 'here'} with a home, "
            f"expected ./{text} for a folder of that name"
        ) from error
