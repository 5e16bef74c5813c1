"""The arguments of the scripts that read a results folder."""

import argparse
import os
import sys
from pathlib import Path

from bnbench.config.checks import RequestError
from bnbench.config.quoting import typed_folder
from bnbench.request.refusal import complain


def folder_argument(text: str) -> Path:
    """A folder as an option of argparse, such as `--root`, read as `results=` is."""
    try:
        return typed_folder(text)
    except RequestError as error:
        raise argparse.ArgumentTypeError(str(error).partition("=")[2]) from error


def results_folder(description: str | None) -> Path:
    """The folder that the command line of a script names, which takes nothing else."""
    return parsed(argparse.ArgumentParser(description=description)).results


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of a script, and its results folder as `results=PATH` or `--results PATH`.

    Anything else ends the process with one line and code 2.
    """
    parser.error = lambda message: sys.exit(complain(message))
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
    except FileNotFoundError:  # there are no results yet, which each script says in its own words
        pass
    except OSError as error:
        parser.error(f"results={args.results}: cannot be read ({error.strerror})")
    return args
