"""Short hashes of tensors: runs with equal hashes began with equal weights, batches and data."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from torch import Tensor

LENGTH = 16  # hexadecimal digits: 64 bits tell any number of runs apart


def tensor_digest(tensors: Iterable[Tensor]) -> str:
    """Compute the first 16 hexadecimal digits of SHA-256 over types, shapes and values, in order.

    Device and memory format do not matter.

    >>> import torch
    >>> one, same, other = torch.zeros(2, 3), torch.zeros(3, 2).T, torch.zeros(6)
    >>> tensor_digest([one]) == tensor_digest([same]) != tensor_digest([other])
    True
    """
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().data)
    return sha.hexdigest()[:LENGTH]


def overlap(splits: Sequence[Tensor]) -> int:
    """Count the different images that occur in more than one of the splits, each (N, C, H, W).

    >>> import torch
    >>> overlap([torch.arange(5.0).view(5, 1, 1, 1), torch.tensor([3.0, 3, 7]).view(3, 1, 1, 1)])
    1
    """
    contents = (
        {hashlib.sha256(image).digest() for image in images.cpu().contiguous().numpy()}
        for images in splits
    )
    return sum(n > 1 for n in Counter(image for content in contents for image in content).values())
