"""Nets by name, their initial weights, and which of these are trained.

Begin with `mlp`, then `blocks`, which alone knows where a norm layer is placed.

A constructor's `spatial_dims` is the rank of the inputs of its norm layers: 0 for (N, C), 2 for
(N, C, H, W).
"""

from bnbench.models.init import initialise as initialise
from bnbench.models.mlp import MLP as MLP
from bnbench.models.residual import ResidualMLP as ResidualMLP
from bnbench.models.residual import ResidualNet as ResidualNet
from bnbench.models.residual import ResidualVGG as ResidualVGG
from bnbench.models.trainable import freeze as freeze
from bnbench.models.vgg import VGG as VGG
from bnbench.norms.recalibration import weight_layers as weight_layers

MODELS: dict[str, type[MLP] | type[VGG] | type[ResidualMLP] | type[ResidualVGG]] = {
    "mlp": MLP,
    "sigmoid_mlp": MLP,
    "vgg": VGG,
    "sigmoid_vgg": VGG,
    "vgg11": VGG,
    "vgg16": VGG,
    "residual_mlp": ResidualMLP,
    "residual_vgg": ResidualVGG,
}
