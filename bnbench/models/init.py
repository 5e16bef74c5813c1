"""Initial weights that depend on the seed and the layer's index, and on nothing else.

So nets that differ in norm or placement alone start from bit-equal weights; Fixup rescales them.
"""

from functools import partial

import torch
from torch import nn

from bnbench.config.arms import derive_seed
from bnbench.models.residual import ResidualNet, ScalarBias, ScalarMultiplier
from bnbench.norms import L2Norm
from bnbench.norms.recalibration import weight_layers

SCALARS = (ScalarBias, ScalarMultiplier)
NORM_LAYERS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, L2Norm)

SCHEMES = {
    # N(0, 2/fan_in): He et al. 2015, eq. 10
    "he": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    # U(±sqrt(6/(fan_in + fan_out))): Glorot & Bengio 2010, eq. 16
    "xavier": nn.init.xavier_uniform_,
    # 4 times as wide: eq. 16 is for units of slope 1 at 0, the logistic sigmoid has 1/4. The factor
    # is that of the Deep Learning Tutorials (LISA lab), which take it from Glorot & Bengio 2010
    "xavier_sigmoid": partial(nn.init.xavier_uniform_, gain=4.0),
    # the "small random Gaussian values" of Ioffe & Szegedy 2015, section 4.1; the 0.1 is our choice
    "gaussian": partial(nn.init.normal_, std=0.1),
}


@torch.no_grad()
def initialise(model: nn.Module, scheme: str, seed: int, scale: float = 1.0) -> None:
    """Draw all weights anew, each layer from its own generator; all else as constructed, biases 0.

    The global random state is neither read nor moved.

    Args:
        model: any net of linear, convolutional and norm layers; a `ResidualNet` scales its own.
        scheme: a key of `SCHEMES`.
        seed: the run's seed; layer k draws from `derive_seed(seed, "init", k)`.
        scale: a factor of every weight, of the head's too: that of their standard deviation.

    Raises:
        ValueError: an unknown scheme.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"unknown init scheme {scheme!r}; allowed: {', '.join(SCHEMES)}")
    for k, layer in enumerate(weight_layers(model)):
        generator = torch.Generator().manual_seed(derive_seed(seed, "init", k))
        # on the CPU and contiguous first: the device and memory format must not change the draw
        drawn = SCHEMES[scheme](torch.empty(layer.weight.shape), generator=generator)
        layer.weight.copy_(drawn.mul_(scale))
        if layer.bias is not None:
            layer.bias.zero_()
    for module in model.modules():
        if isinstance(module, (*NORM_LAYERS, *SCALARS)):
            module.reset_parameters()
    if isinstance(model, ResidualNet):
        model.start_branches()
