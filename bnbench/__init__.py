"""bnbench: experiments that find out what Batch Normalization really does."""

__version__ = "0.1.0"
