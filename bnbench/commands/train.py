"""Train one arm, or with -m a sweep of arms: `python scripts/train.py model=vgg placement=post`."""

import sys
from collections.abc import Sequence

from bnbench.commands.arguments import joined
from bnbench.sweep import sweep, terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and say where to go from here; the exit code is the sweep's."""
    given = joined(sys.argv[1:] if argv is None else argv)
    outcome = sweep(given)
    if isinstance(outcome, int):
        return outcome
    from bnbench.running.ending import end  # pandas and scipy are slow to import

    end(outcome.request, given, bool(outcome.failures), terminal(), None)
    return outcome.exit_code
