"""The largest eigenvalues of the Hessian of the loss (Ghorbani et al. 2019, 1901.10159)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnbench.probes.passes import (
    Batch,
    Measured,
    Values,
    hessian_product,
    parameters,
    read,
)

IMAGES = 256  # the first of the reference
STEPS = 120  # of Lanczos' method: products
NUMBER = 20  # of the eigenvalue that the first is compared with


def curvature(model: nn.Module, batch: Batch) -> Values:
    """Measure the first and the 20th eigenvalue of the loss's Hessian, and their ratio.

    The loss is the mean cross-entropy on the first 256 reference images, over all parameters. The
    net is in training mode, so that BatchNorm normalises by these images as one batch; of a net
    with running statistics `population_…` are the same numbers in evaluation mode. Only at the
    first and the last point of a run: it takes 120 products.

    Returns:
        The numbers; not a number where a product is not finite, or there is no 20th eigenvalue.
        The ratio says nothing where the 20th is not positive.
    """
    if not batch.is_end or batch.reference_labels is None:
        return {}
    images, labels = batch.reference[:IMAGES], batch.reference_labels[:IMAGES]
    like = torch.cat([value.flatten() for value in parameters(model).values()])
    measured: Measured = {}
    for prefix, training in (("", True), ("population_", False)):
        if not training and not has_running_statistics(model):
            continue
        product = hessian_product(model, images, labels, training=training)
        found = largest_eigenvalues(product, like, NUMBER, STEPS)
        first, last = found[0], found[-1]
        measured["", f"{prefix}eigenvalue_1"] = first
        measured["", f"{prefix}eigenvalue_20"] = last
        measured["", f"{prefix}eigenvalue_ratio"] = first / last
    return read(measured)


def has_running_statistics(model: nn.Module) -> bool:
    """Tell whether any layer of a net keeps running statistics."""
    return any(getattr(one, "running_var", None) is not None for one in model.modules())


def largest_eigenvalues(
    product: Callable[[Tensor], Tensor], like: Tensor, number: int, steps: int
) -> Tensor:
    """Find the largest eigenvalues of a symmetric matrix that is known by its products.

    Lanczos' method from a fixed start, in float64 whatever the dtype of the products, every vector
    made orthogonal to all before it, twice. After k steps the eigenvalues of the tridiagonal matrix
    are those of the matrix within the space of k products, so that none is above the true one, and
    the outer ones are there first; of equal ones no more than one may be found. The device is never
    waited for, as it would be by ARPACK.

    Args:
        product: from v to Av, both (P,) and of the dtype of `like`.
        like: any vector (P,) of the dtype and on the device of the products.
        number: how many eigenvalues.
        steps: how many products; P at most are made.

    Returns:
        The eigenvalues in falling order, (number,) in float64: not a number where a product is not
        finite, and in the place of those that the matrix does not have.
    """
    size = len(like)
    steps = min(steps, size)
    # as irregular as drawn numbers, and made on the device: cos(k²)
    start = torch.arange(size, dtype=torch.float64, device=like.device).square().cos()
    basis = start.new_zeros(steps + 1, size)
    basis[0] = start / start.norm()
    tridiagonal = start.new_zeros(steps + 1, steps + 1)
    for k in range(steps):
        vector = product(basis[k].to(like.dtype)).double()
        tridiagonal[k, k] = basis[k] @ vector
        for _ in range(2):
            vector = vector - basis[: k + 1].T @ (basis[: k + 1] @ vector)
        length = vector.norm()
        tridiagonal[k, k + 1] = tridiagonal[k + 1, k] = length
        basis[k + 1] = vector / length.where(length > 0, 1)
    matrix = tridiagonal[:steps, :steps]
    finite = matrix.isfinite().all()
    found = torch.linalg.eigvalsh(matrix.nan_to_num(0.0, 0.0, 0.0)).flip(0)[:number]
    missing = found.new_full((number - len(found),), torch.nan)
    return torch.cat([found.where(finite, torch.nan), missing])
