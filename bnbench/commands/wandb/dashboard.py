"""Build the W&B workspaces of experiments: `python scripts/dashboard.py [--exp a,b] [--data d]`.

Each experiment and data set has one. Where this machine is logged in to W&B and the server has the
runs it is saved there, in the place of the one that an earlier call saved; else its specification
is written to <results>/dashboards/ and the runs are to be looked at in the terminal.
"""

import os
import subprocess
import sys
from pathlib import Path

from bnbench import BIN, CALL, IS_CHECKOUT
from bnbench.commands.arguments import Parser, parsed
from bnbench.config.checks import RequestError
from bnbench.config.quoting import shown_path
from bnbench.config.schema import TrackMode
from bnbench.request.refusal import allowed, print_error
from bnbench.tracking.experiment_dir import survey
from bnbench.tracking.upload import found_attempts
from bnbench.tracking.wandb_environment import asked_mode
from bnbench.tracking.wandb_log import account, describe, warn


def main() -> int:
    """Build, save and say where; 0 where every dashboard that was asked for is built."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exp", metavar="A,B", help="experiments; by default all of the results")
    parser.add_argument("--data", help="data set; by default all")
    args = parsed(parser)
    folders, damaged = survey(args.results)
    if not folders and not damaged:
        return print_error(f"{args.results}: no experiment was run there yet ({CALL} sweep)")
    names = args.exp.split(",") if args.exp else []
    for asked, part, flag in ((names, -2, "--exp"), ([args.data] * bool(args.data), -1, "--data")):
        there = sorted({folder.parts[part] for folder in folders})
        for name in asked:
            if name not in there:
                return print_error(f"{flag} {name}: {allowed(name, there)}")
        folders = [folder for folder in folders if not asked or folder.parts[part] in asked]
    try:
        return built(args.results, folders, damaged)
    except ModuleNotFoundError as error:
        make = "`make dashboard` does it, or the extra workspace"
        helps = make if IS_CHECKOUT else "pip install 'bnbench[workspace]' does it"
        return print_error(f"{error.name} is not installed: {helps}")
    except RequestError as error:
        return print_error(str(error))


def built(results: Path, folders: list[Path], damaged: list[str]) -> int:
    """Build the dashboards of some experiments; tell of folders that cannot be read."""
    from bnbench.dashboard.build import build  # needs the extra `workspace`

    login, reason = logged_in()
    tried, unknown = found_attempts(results)
    damaged = list(dict.fromkeys([*damaged, *unknown]))
    for line in damaged:
        print_error(line)
    problems, offline = len(damaged), 0
    for folder in folders:
        try:
            made = build(folder, tried)
        except Exception as error:  # whatever a file makes of it, the others are built
            told = isinstance(error, OSError | ValueError)
            print_error(str(error) if told else f"{folder}: {error!r}")
            problems += 1
            continue
        name, where = made.name, str(made.file)
        if login and made.runs.sent:
            try:
                where = made.save(*login).url
            except Exception as error:  # wandb raises kinds of its own and those of its sockets
                warn(f"{name}: not saved to W&B ({describe(error)}); written to {made.file}")
                problems += 1
        elif login:
            reason = "the runs are not on a server"
        offline += where == str(made.file)
        print(f"{name}: {where}")
        for line in made.runs.lacks():
            print(f"  {line}")
    if offline:
        print(f"not saved to W&B{f': {reason}' * bool(reason)}; the runs in the terminal:")
        print(f"  {BIN}wandb leet {shown_path(results / 'wandb')}")
        if sys.stdin.isatty() and sys.stdout.isatty():
            subprocess.run([sys.executable, "-m", "wandb", "leet", str(results / "wandb")])
    return int(bool(problems))


def logged_in() -> tuple[tuple[str, str] | None, str]:
    """The server and the entity to save to, or None and why there are none.

    Raises:
        RequestError: see `asked_mode`.
    """
    if asked_mode() not in (None, TrackMode.online):
        asked = ("WANDB_DISABLED", "WANDB_MODE")
        return None, " ".join(f"{k}={os.environ[k]}" for k in asked if os.environ.get(k))
    try:
        login = account()
    except Exception as error:  # wandb raises kinds of its own and those of its sockets
        return None, f"the server cannot be used ({describe(error)})"
    return login, "" if login else f"this machine is not logged in ({BIN}wandb login)"
