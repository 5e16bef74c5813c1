"""Rebuild W&B runs from CSV: `python scripts/wandb_upload.py [results=results] [--all]`.

Every done run that no W&B server has yet is logged anew from its config.yaml, metrics.csv and
summary.json: runs that were trained without W&B, whose W&B folder is lost, or that lie offline.
"""

from rich.console import Console
from rich.progress import track

from bnbench.commands.arguments import Parser, parsed
from bnbench.config.checks import RULES
from bnbench.request.refusal import print_error
from bnbench.tracking import wandb_log
from bnbench.tracking.run_dir import RunBusyError, State
from bnbench.tracking.upload import PROJECT, found_attempts, trained, upload_from_csv


def main() -> int:
    """Upload, and say what was and what was not; 0 when the server has every done run."""
    parser = Parser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", action="store_true", help="those that a server has, too")
    parser.add_argument("--project", default=PROJECT, help="default: %(default)s")
    parser.add_argument("--entity", help="default: that of the account")
    args = parsed(parser)
    for key in ("project", "entity"):
        is_allowed, words = RULES[f"track.{key}"]
        if not is_allowed(getattr(args, key)):
            parser.error(f"--{key} {getattr(args, key)}: expected {words}")
    found, problems = found_attempts(args.results)
    attempt_of = {attempt.run: attempt for attempt in found if attempt.run}
    waiting = [
        run
        for run in trained(args.results)
        if run.state() == State.done
        and (args.all or run not in attempt_of or not attempt_of[run].is_sent)
    ]
    for problem in problems:
        print_error(problem)
    sent = 0
    console = Console(stderr=True)
    for run in track(waiting, "uploading", console=console, disable=not console.is_terminal):
        try:
            sent += upload_from_csv(
                run, args.project, args.entity, args.results, attempt_of.get(run)
            )
        except (RunBusyError, ValueError) as error:
            print_error(str(error))
        if wandb_log.unreachable:  # it would be the same for all that follow
            break
    print(f"{sent} of {len(waiting)} runs uploaded from CSV")
    return int(sent < len(waiting) or bool(problems))
