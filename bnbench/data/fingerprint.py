"""What tensors are in a few characters: runs of equal digests started from the same."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from torch import Tensor

LENGTH = 16  # hexadecimal digits: 64 bits tell any number of runs apart


def digest(tensors: Iterable[Tensor]) -> str:
    """The first 16 hexadecimal digits of SHA-256 over types, shapes and values, in order.

    Where the tensors are, and how they lie in memory, does not matter.

    >>> import torch
    >>> digest([torch.zeros(2, 3)]) == digest([torch.zeros(3, 2).T]) != digest([torch.zeros(6)])
    True
    """
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().data)
    return sha.hexdigest()[:LENGTH]


def overlap(splits: Sequence[Tensor]) -> int:
    """How many different images occur in more than one of the splits, each (N, C, H, W).

    >>> import torch
    >>> overlap([torch.arange(5.0).view(5, 1, 1, 1), torch.tensor([3.0, 3, 7]).view(3, 1, 1, 1)])
    1
    """
    contents = (
        {hashlib.sha256(image).digest() for image in images.cpu().contiguous().numpy()}
        for images in splits
    )
    return sum(n > 1 for n in Counter(image for content in contents for image in content).values())
