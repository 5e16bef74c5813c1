"""bnbench: experiments that find out what Batch Normalization really does."""

from pathlib import Path

__version__ = "0.1.0"

ROOT = Path(__file__).parents[1]  # the checkout
CONFIGS = ROOT / "configs"
