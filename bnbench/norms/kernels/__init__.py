"""What computes a BatchNorm beside the formulas: kernels with the same numbers, but faster."""


class UnavailableError(RuntimeError):
    """A kernel cannot be had here; the message says why."""
