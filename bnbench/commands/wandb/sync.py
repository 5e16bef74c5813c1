"""Upload the W&B runs that no server has yet: `python scripts/sync.py [results=results]`."""

from bnbench.commands.arguments import results_folder
from bnbench.config.labels import escaped
from bnbench.request.refusal import print_error
from bnbench.tracking.upload import sync


def main() -> int:
    """Upload, and say what was and what was not; 0 when the server has everything."""
    sent, unsent, complaints = sync(results_folder(__doc__))
    for line in complaints:
        print_error(line)
    print(f"{len(sent)} W&B runs uploaded, {len(unsent)} not")
    for attempt in unsent:
        print(f"not uploaded: {escaped(str(attempt.folder))}")
    return int(bool(unsent or complaints))
