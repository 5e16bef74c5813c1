"""Draw the gallery: train what its runs lack, measure, draw, and say what was written.

python scripts/gallery.py                        # on the embedded digits
python scripts/gallery.py data=fashion_mnist     # other overrides are those of scripts/train.py
"""

import sys
from datetime import UTC, datetime

from bnbench.commands.arguments import command_facts
from bnbench.config.quoting import shown_path
from bnbench.request.refusal import print_error
from bnbench.sweep import device, sweep


def main() -> int:
    """Train, draw and show; 0 where every run has a result and every picture is written."""
    argv = sys.argv[1:]
    started = datetime.now(UTC)
    # its histograms are numbers for a picture, hundreds at a step: no curves to compare in W&B
    outcome = sweep(["experiment=gallery", "track=csv", *argv])
    if isinstance(outcome, int):
        return outcome
    if outcome.failures:
        return outcome.exit_code
    request = outcome.request

    # slow to import: seaborn, and torch
    import torch

    from bnbench.gallery.make import make, write_index

    torch.set_num_threads(1)
    exit_code = 0
    try:
        for experiment in request.experiments:
            configs = {arm: request.arms[arm].config for arm in experiment.runs}
            pictures, problems = make(request.results, experiment.data, configs)
            folder = request.results / "gallery" / experiment.data
            facts = command_facts("gallery", argv, request.results, device(request), started)
            write_index(folder, pictures, facts)
            for picture in pictures:
                print(f"{shown_path(folder / picture.files[0])}: {picture.title}")
            print(f"gallery: {shown_path(folder / 'index.md')}")
            for problem in problems:
                print_error(problem)
                exit_code = 1
    except (OSError, ValueError) as error:  # a full disk, damaged files
        print_error(str(error))
        return 1
    return exit_code
