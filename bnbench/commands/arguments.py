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
from bnbench.config.quoting import typed_folder
from bnbench.request.refusal import print_error
from bnbench.tracking.meta import circumstances


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


def command_facts(
    script: str, argv: Sequence[str], results: Path, device: str, started: datetime
) -> dict[str, Any]:
    """How what a command writes came about: its command line, the machine, from when to now."""
    return {
        "command": shlex.join(["python", f"scripts/{script}.py", *argv]),
        **circumstances(results),
        "device": f"{device}, {os.cpu_count()} cores",
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
