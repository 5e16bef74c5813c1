"""Accuracy on images that are changed to deceive the net: FGSM and PGD within small boxes.

Goodfellow et al. 2015 (arXiv 1412.6572) and Madry et al. 2018 (arXiv 1706.06083). The net is in
evaluation mode; images keep to the range of pixels, [0, 1], in whose unit sizes are.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bnbench.probes.passes import (
    Batch,
    Measured,
    Unseen,
    Values,
    in_mode,
    parameters,
    read,
    recognised,
)

EPSILONS = {"1": 0.01, "3": 0.03, "10": 0.1}  # by their percent of the range of pixels
STEPS = 10  # of PGD …
REACH = 2.5  # … which together are as long as so many epsilons: Madry et al.'s on MNIST

Net = Callable[[Tensor], Tensor]


def adversarial(model: nn.Module, batch: Batch) -> Values:
    """Measure accuracy on unseen images as they are, and under attacks of each size.

    `unattacked`, and `fgsm_1` and `pgd_1` for epsilon = 0.01, and so on: the share of images that
    are recognised as they are and attacked, by PGD after each of its steps and by FGSM too.
    """
    assert batch.unseen
    own = parameters(model), {name: buffer.clone() for name, buffer in model.named_buffers()}
    images, labels = batch.unseen.images, batch.unseen.labels
    with in_mode(model, images.device, training=False):

        def net(x: Tensor) -> Tensor:
            return functional_call(model, own, (x,))

        with torch.no_grad():
            right = {"unattacked": (plain := recognised(net(images), labels))}
            # the first gradient is the same for all sizes
            slope = ascent(net, images, labels)
            for percent, epsilon in EPSILONS.items():
                one = fgsm(batch.unseen, epsilon, slope)
                right[f"fgsm_{percent}"] = known = plain & recognised(net(one), labels)
                for x in pgd(net, batch.unseen, epsilon, slope):
                    known = known & recognised(net(x), labels)
                right[f"pgd_{percent}"] = known
    measured: Measured = {("", metric): share.double().mean() for metric, share in right.items()}
    return read(measured)


def fgsm(unseen: Unseen, epsilon: float, slope: Tensor) -> Tensor:
    """Take the step of the fast gradient sign method, x + epsilon·sign(∇ₓ loss), into the range.

    Args:
        unseen: the images x.
        epsilon: the size, in the unit of pixels.
        slope: the gradient at these images, of any positive length: `ascent`.

    Returns:
        Normalised images, (N, C, H, W).
    """
    low, high = box(unseen, epsilon)
    return (unseen.images + column(epsilon / unseen.std) * slope.sign()).clamp(low, high)


def pgd(net: Net, unseen: Unseen, epsilon: float, slope: Tensor) -> list[Tensor]:
    """Take the steps of projected gradient descent, which ascends the loss by signs.

    It starts at the images themselves, so that nothing is drawn; each of the `STEPS` steps is
    epsilon·`REACH`/`STEPS` long in every pixel and is brought back into the box.

    Args:
        net: images -> logits.
        unseen: the images.
        epsilon: half the side of the box, in the unit of pixels.
        slope: the gradient at the images.

    Returns:
        The images after each step.
    """
    low, high = box(unseen, epsilon)
    length = column(epsilon * REACH / STEPS / unseen.std)
    x, found = unseen.images, []
    for step in range(STEPS):
        towards = ascent(net, x, unseen.labels) if step else slope
        x = (x + length * towards.sign()).clamp(low, high)
        found.append(x)
    return found


@torch.enable_grad()
def ascent(net: Net, images: Tensor, labels: Tensor) -> Tensor:
    """Compute the gradient by each image of what its cross-entropy grows with.

    The cross-entropy is ln(1 + exp(a)) of the log odds against the label, a = ln Σ_{k≠y} exp(z_k)
    - z_y. The gradient of a has the sign of that of the cross-entropy in every pixel, and is not
    rounded to zero where a net is sure: that would pass for robustness.

    Returns:
        The gradients of a, (N, C, H, W).
    """
    x = images.detach().requires_grad_()
    logits = net(x)
    own = labels[:, None]
    others = logits.scatter(1, own, -torch.inf).logsumexp(1)
    against = others - logits.gather(1, own)[:, 0]
    (gradient,) = torch.autograd.grad(against.sum(), x)
    return gradient


def box(unseen: Unseen, epsilon: float) -> tuple[Tensor, Tensor]:
    """Bound the images within epsilon of some in every pixel, and within the range of pixels."""
    mean, std = column(unseen.mean), column(unseen.std)
    low = torch.maximum(unseen.images - epsilon / std, (0 - mean) / std)
    high = torch.minimum(unseen.images + epsilon / std, (1 - mean) / std)
    return low, high


def column(of_channels: Tensor) -> Tensor:
    """Shape a number of each channel (C,) to act on images (N, C, H, W)."""
    return of_channels[:, None, None]
