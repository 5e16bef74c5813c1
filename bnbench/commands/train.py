"""Train one arm, or with -m a sweep of arms: `python scripts/train.py model=vgg placement=post`."""

import sys
from collections.abc import Sequence

from bnbench.running.streams import enter
from bnbench.sweep import sweep, terminal


def command() -> int:
    """The entry point of the command `bnbench`; returns its exit code."""
    return enter(main)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and say where to go from here; the exit code is the sweep's."""
    given = sys.argv[1:] if argv is None else list(argv)
    outcome = sweep(given)
    if isinstance(outcome, int):
        return outcome
    from bnbench.running.ending import end  # pandas and scipy are slow to import

    end(outcome.request, given, bool(outcome.failures), terminal(), None)
    return outcome.exit_code
