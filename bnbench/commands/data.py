"""Download a data set and check it: what `make data DATA=…` runs.

Torchvision downloads; `bnbench.data.files` decides what is there and whole.
"""

import contextlib
import io
import sys
from http.client import HTTPException
from pathlib import Path

from bnbench.commands.arguments import Parser, folder_argument
from bnbench.config.schema import DATA_SIZES
from bnbench.data.files import FILES, DataError, locate, read_arrays, read_file


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


def main(argv: list[str] | None = None) -> int:
    """Parse, fetch, print one line; 0 when the data are there, 1 when not, 2 for a bad name."""
    parser = Parser(description="Download a data set and check it.")
    parser.add_argument("name", help=", ".join(DATA_SIZES))
    parser.add_argument(
        "--root", type=folder_argument, default=Path("data"), help="default: %(default)s"
    )
    args = parser.parse_args(argv)
    if args.name not in DATA_SIZES:
        print(f"unknown data set {args.name!r}; known are {', '.join(DATA_SIZES)}", file=sys.stderr)
        return 2
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
