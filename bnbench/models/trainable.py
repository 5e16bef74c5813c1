"""The choice of the trained parameters of a net: all, or few while the others stay as drawn.

Frankle, Schwab & Morcos (2021), "Training BatchNorm and Only BatchNorm", train the affine maps of
Batch Normalization in nets of random weights, and as a control as many weights chosen at random.
"""

import torch
from torch import Tensor, nn

from bnbench.config.arms import derive_seed
from bnbench.norms.recalibration import weight_layers

TRAINABLE = ("all", "head", "norm", "random")
PER_UNIT = 2  # parameters of an affine norm for each unit: gamma and beta


def freeze(model: nn.Module, trainable: str, seed: int) -> dict[Tensor, Tensor]:
    """Switch off the gradients of all parameters that are not to be trained.

    The statistics of norm layers are no parameters: they move in training mode all the same.

    Args:
        model: any net of linear, convolutional and norm layers; the last of the first two kinds is
            its head.
        trainable: "all"; "head": only the head; "norm": the norms' parameters and the head;
            "random": the head and two single weights per unit of the other layers, as many as
            "norm" trains where each unit has a gamma and a beta, drawn from all their weights.
        seed: the run's seed; "random" draws from `derive_seed(seed, "trainable")`.

    Returns:
        A boolean mask of the trained weights for each parameter that is trained in part only, as
        the optimisers take it.

    Raises:
        ValueError: an unknown choice.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
        >>> masks = freeze(net, "norm", seed=0)
        >>> [name for name, p in net.named_parameters() if p.requires_grad]
        ['1.weight', '1.bias', '2.weight', '2.bias']
    """
    if trainable not in TRAINABLE:
        raise ValueError(f"unknown trainable {trainable!r}; allowed: {', '.join(TRAINABLE)}")
    *hidden, head = weight_layers(model)
    of_hidden = {p for layer in hidden for p in layer.parameters()}
    of_head = set(head.parameters())
    for p in model.parameters():
        is_norm = p not in of_hidden | of_head
        p.requires_grad_(trainable == "all" or p in of_head or (trainable == "norm" and is_norm))
    if trainable != "random":
        return {}
    weights = [layer.weight.requires_grad_() for layer in hidden]
    sizes = [weight.numel() for weight in weights]
    generator = torch.Generator().manual_seed(derive_seed(seed, "trainable"))
    chosen = torch.randperm(sum(sizes), generator=generator)
    mask = torch.zeros(sum(sizes), dtype=torch.bool)
    mask[chosen[: PER_UNIT * sum(len(weight) for weight in weights)]] = True
    return {
        weight: part.view(weight.shape).to(weight.device)
        for weight, part in zip(weights, mask.split(sizes), strict=True)
    }
