"""Train one run in a process that is killed at the k-th file operation, for every k in turn.

`python crash_points.py FOLDER OVERRIDE…`: FOLDER/calm is what an undisturbed process leaves, and
FOLDER/<k> what one leaves that was killed at its k-th operation and whose run was then asked for
again. With W&B only operations on `OF_WANDB` count. Prints how many k there were.
"""

import os
import signal
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import hydra

from bnbench import CONFIGS, cli
from bnbench.config.schema import TrackMode
from bnbench.train import train_arm

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir"}
# between changes of these W&B is told something; at the others a run with W&B is as one without
OF_WANDB = ("meta.json", "summary.json")


def requested(results, overrides):
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3", job_name="train"):
        (arm,) = cli.read([*overrides, f"results={results}"], False).arms.values()
    return arm.config


def killed_at(number, results, names):
    """Have this process killed before its number-th change of a file in the results.

    Only files count whose name has one of `names` in it.
    """
    count = 0

    def hook(event, arguments):
        nonlocal count
        if event not in CHANGES or not str(arguments[0]).startswith(f"{results}/runs"):
            return
        if not any(name in Path(arguments[0]).name for name in names):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_child(config, number=None):
    """Train in a process of its own; whether it came to its end."""
    if not (child := os.fork()):
        if number:
            names = ("",) if config.track.mode == TrackMode.csv else OF_WANDB
            killed_at(number, config.results, names)
        train_arm(config)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main(folder, overrides):
    config = requested(folder / "calm", overrides)
    # what is imported and loaded now need not be by every child; W&B is not begun, only imported
    if config.track.mode != TrackMode.csv:
        import_module("wandb")
    warm = replace(config, results=str(folder / "warm"), track=replace(config.track, mode="csv"))
    train_arm(warm)
    assert in_child(config)
    number, ended = 0, False
    while not ended:
        number += 1
        config = replace(config, results=str(folder / str(number)))
        ended = in_child(config, number)
        assert in_child(config)
    print(number - 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
