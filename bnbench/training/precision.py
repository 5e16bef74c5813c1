"""The precision of products of float32 matrices and of convolutions, the same for every run.

A GPU can round the factors to TF32, whose mantissa has 10 bits in the place of 23, and torch lets
convolutions do so unless it is told otherwise. That is a relative error of up to 5e-4 each, where
layers are compared to a few roundings of float32, arms by small differences, and runs of a GPU
with those of a CPU, which has no TF32.
"""

from typing import Any

import torch


def use_float32() -> None:
    """Set products to full float32 in this process; by torch's defaults only some are."""
    torch.set_float32_matmul_precision("highest")  # torch.backends.cuda.matmul.allow_tf32, too
    torch.backends.cudnn.allow_tf32 = False


def precision() -> dict[str, Any]:
    """Ask torch for the precision that this process computes with, as meta.json has it."""
    return {
        "matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }
