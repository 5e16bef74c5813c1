"""Download a data set and check it, or say what data of your own are.

python scripts/data.py fashion_mnist
python scripts/data.py folder data.root=photos       # other overrides are those of scripts/train.py
python scripts/data.py npz data.file=mine.npz

Torchvision downloads; `bnbench.data.files` decides what is there and whole.
"""

import contextlib
import io
import sys
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from bnbench import CONFIGS, cli
from bnbench.commands.arguments import Parser, folder_argument
from bnbench.config.checks import RequestError
from bnbench.config.schema import DATA_SIZES, OWN_DATA_CONFIGS
from bnbench.data.files import FILES, DataError, locate, read_arrays, read_file
from bnbench.request.hydra_internals import initialised
from bnbench.request.own_data import images_of
from bnbench.request.refusal import print_error


def discard_wrong(name: str, root: Path) -> None:
    """Delete the wrong files of a data set that lie under the root, and no others.

    Torchvision takes an unpacked idx file for a good one if it only exists.
    """
    for file in FILES[name]:
        with contextlib.suppress(DataError):
            path = locate(file, root)
            try:
                read_file(path, file)
            except DataError:
                if path.resolve().is_relative_to(root.resolve()):
                    path.unlink()


def download(name: str, root: Path) -> None:
    """Download a data set into torchvision's layout, without what torchvision prints."""
    from torchvision import datasets

    kinds = {
        "mnist": datasets.MNIST,
        "fashion_mnist": datasets.FashionMNIST,
        "cifar10": datasets.CIFAR10,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        kinds[name](root, download=True)


def fetch(name: str, root: Path) -> str:
    """Make sure that a data set is there and whole; returns the line that says so."""
    if name not in FILES:
        return f"{name}: nothing to download, it comes with the installation"
    outcome = "already there"
    try:
        _, labels = read_arrays(name, root)
    except DataError:
        discard_wrong(name, root)
        download(name, root)
        _, labels = read_arrays(name, root)
        outcome = "downloaded"
    folder = locate(FILES[name][0], root).parent
    return f"{name}: {outcome}, {len(labels):,} images in {folder}, every file checked"


def describe(kind: str, overrides: Sequence[str]) -> int:
    """Say what data of the user's own are, or what is wrong with them; writes nothing."""
    words = [f"data={kind}", *overrides, "optim.base_lr=1"]  # any: nothing is trained
    try:
        with initialised(CONFIGS):
            arms = cli.read(words, multirun=False).arms
        for config in (arm.config for arm in arms.values()):
            if found := images_of(config):
                print(f"{config.data.name}: {found.described}; {found.digest}")
                if found.lopsided:
                    print_error(f"{config.data.name}: {found.lopsided}")
    except RequestError as error:
        return print_error(str(error))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Parse, fetch, print one line; 0 when the data are there, 1 when not, 2 for a bad name."""
    parser = Parser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("name", help=", ".join([*DATA_SIZES, *OWN_DATA_CONFIGS]))
    parser.add_argument(
        "--root", type=folder_argument, default=Path("data"), help="default: %(default)s"
    )
    parser.add_argument("overrides", metavar="data.key=value", nargs="*", help="of your own data")
    args = parser.parse_intermixed_args(argv)
    if args.name in OWN_DATA_CONFIGS:
        return describe(args.name, args.overrides)
    if args.name not in DATA_SIZES:
        known = ", ".join([*DATA_SIZES, *OWN_DATA_CONFIGS])
        print(f"unknown data set {args.name!r}; known are {known}", file=sys.stderr)
        return 2
    if args.overrides:
        parser.error(f"{args.overrides[0]}: expected --root PATH and nothing else")
    try:
        print(fetch(args.name, args.root))
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        print(f"{args.name} could not be downloaded: {reason}", file=sys.stderr)
        return 1
    return 0
