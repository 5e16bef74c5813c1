"""bnbench: experiments that find out what Batch Normalization really does."""

from pathlib import Path

__version__ = "0.2.0"

# a wheel holds the configs and the reference boards in the package, a checkout beside it
IS_CHECKOUT = not (Path(__file__).parent / "configs").exists()
ROOT = Path(__file__).parents[1 if IS_CHECKOUT else 0]
CONFIGS = ROOT / "configs"
REFERENCE = ROOT / "results" / "reference"
CALL = "make" if IS_CHECKOUT else "bnbench"  # what a subcommand is typed after
BIN = ".venv/bin/" if IS_CHECKOUT else ""  # where programs lie, as typed
