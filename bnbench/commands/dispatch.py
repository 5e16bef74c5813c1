"""Run a subcommand of `bnbench`: `bnbench sweep experiment=placement`, or `bnbench model=mlp`.

A subcommand is a module of this room, those about W&B of `wandb/` in it, and what follows its name
is read by its `main`. Without a name the words are those of `train`.
"""

import os
import sys
from importlib import import_module

from bnbench import __version__
from bnbench.commands.arguments import with_experiments
from bnbench.request.refusal import allowed, print_error
from bnbench.running.streams import enter

COMMANDS = (
    *("sweep", "plan", "claims", "report", "status", "compare", "cite", "data", "check"),
    *("gallery", "bench", "sync", "dashboard", "wandb-upload", "bench-gpu", "train"),
)
IN_WANDB = {"sync", "dashboard", "wandb-upload"}
COMPLETION = {"-sc", "--shell-completion"}


def command() -> int:
    """Be the entry point of the command `bnbench`; returns its exit code."""
    return enter(main)


def main() -> int:
    """Run the subcommand that the command line names; returns its exit code."""
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"bnbench {__version__}")
        return 0
    if COMPLETION & {*words}:
        complete_subcommand()
    name, rest = "train", words or ["--help"]
    if words and words[0] in COMMANDS:
        name, rest = words[0], words[1:]
    elif words and words[0][:1].isalpha() and words[0].replace("-", "_").isidentifier():
        return print_error(f"{words[0]}: {allowed(words[0], COMMANDS)}, or key=value")
    if name in ("sweep", "plan"):
        rest = with_experiments(rest)
    sys.argv = [f"bnbench {name}", *rest]  # what argparse calls the program
    return import_module(module_of(name)).main()


def module_of(name: str) -> str:
    """Name the module of a subcommand.

    >>> module_of("wandb-upload")
    'bnbench.commands.wandb.wandb_upload'
    """
    room = "wandb." if name in IN_WANDB else ""
    return f"bnbench.commands.{room}{name.replace('-', '_')}"


def complete_subcommand() -> None:
    """Offer the subcommands for the first word to TAB, and hide the name from Hydra's completion.

    The shell hands the typed line over in `COMP_LINE`; Hydra completes the overrides in it.
    """
    first, *rest = os.environ.get("COMP_LINE", "").split(" ")
    if len(rest) == 1:
        print(*(name for name in COMMANDS if name.startswith(rest[0])))
    elif rest and rest[0] in COMMANDS:
        os.environ["COMP_LINE"] = " ".join([first, *rest[1:]])
