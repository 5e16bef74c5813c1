"""What several commands read from their command line, and what they note of themselves."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from bnbench.config.checks import RequestError
from bnbench.config.quoting import entry_words, typed_folder
from bnbench.request.refusal import print_error
from bnbench.tracking.meta import circumstances

DEFAULT_EXPERIMENTS = "experiment=placement,lr_mult,batch_size,shift,sigmoid"  # of the Makefile
OWN_CONFIGS = ("--config-dir", "-cd")


class Parser(argparse.ArgumentParser):
    """A parser that refuses in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        """End the process with the line and code 2."""
        sys.exit(print_error(message))


def folder_argument(text: str) -> Path:
    """A folder as an option of argparse, such as `--root`, read as `results=` is."""
    try:
        return typed_folder(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error).partition("=")[2]) from error


def results_folder(description: str | None) -> Path:
    """The folder that a command line names, which takes nothing else."""
    return parsed(Parser(description=description)).results


def parsed(parser: Parser) -> argparse.Namespace:
    """The arguments of a command, and its results folder as `results=PATH` or `--results PATH`.

    Anything else ends the process with one line and code 2.
    """
    parser.add_argument("--results", metavar="PATH", default="results", help="default: %(default)s")
    parser.add_argument("overrides", metavar="results=PATH", nargs="*", help="the same")
    args = parser.parse_intermixed_args()
    for override in args.overrides:
        key, _, args.results = override.partition("=")
        if key != "results" or not args.results:
            parser.error(f"{override}: expected results=PATH and nothing else")
    try:
        args.results = typed_folder(args.results)
    except RequestError as error:
        parser.error(str(error))
    try:
        with os.scandir(args.results):
            pass
    except FileNotFoundError:  # there are no results yet, which each command says in its own words
        pass
    except OSError as error:
        parser.error(f"results={args.results}: cannot be read ({error.strerror})")
    return args


def with_experiments(words: Sequence[str]) -> list[str]:
    """Add the default experiments to the words of a command line, where they are meant.

    They are meant where none is named, no claims are, no sweep by hand is asked for (`-m`), and no
    question for help is; as the Makefile has it.
    """
    named = any(word.lstrip("+~").startswith(("experiment=", "claims=")) for word in words)
    by_hand = not {"-m", "--multirun", "-h", "--help", "-sc"}.isdisjoint(words)
    return [*words] if named or by_hand else [DEFAULT_EXPERIMENTS, *words]


def joined(words: Sequence[str]) -> list[str]:
    """Join an option with its value, so that each word of a command line can be told by itself.

    >>> joined(["--config-dir", "mine", "experiment=own"])
    ['--config-dir=mine', 'experiment=own']
    """
    found: list[str] = []
    for word in words:
        if found and found[-1] in OWN_CONFIGS:
            found[-1] = f"{OWN_CONFIGS[0]}={word}"
        else:
            found.append(word)
    return found


def command_facts(
    script: str, argv: Sequence[str], results: Path, device: str, started: datetime
) -> dict[str, Any]:
    """How what a command writes came about: its command line, the machine, from when to now."""
    return {
        "command": shlex.join([*entry_words(script, "python"), *argv]),
        **circumstances(results),
        "device": f"{device}, {os.cpu_count()} cores",
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
