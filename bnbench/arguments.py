"""The arguments of the scripts that read a results folder."""

import argparse
import sys
from pathlib import Path

from bnbench.refusal import complain


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
    args.results = Path(args.results)
    return args
