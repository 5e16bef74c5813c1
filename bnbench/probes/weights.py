"""The size of weights, and the learning rate that counts where a norm takes that size away."""

from torch import nn

from bnbench.probes.gradients import norm
from bnbench.probes.passes import Batch, Measured, Values, blocks, parameters, read, weight_names


def weights(model: nn.Module, batch: Batch) -> Values:
    """Measure `weight_norm` of each layer, and `effective_rate` of those in front of a norm.

    With η the rate of the step to come and W the weights, `weight_norm` = |W| (Euclidean, of all
    entries) and `effective_rate` = η / |W|²: van Laarhoven 2017, 1706.05350, section 3. It is the
    rate at which weights of norm 1 would turn alike, where a norm stands straight behind them; of
    other layers there is none. No image passes through the net.
    """
    at = parameters(model)
    sizes = {layer: norm(at[name]) for layer, name in weight_names(model).items()}
    in_front = {str(k) for k, block in enumerate(blocks(model).values(), 1) if precedes_norm(block)}
    measured: Measured = {(layer, "weight_norm"): size for layer, size in sizes.items()}
    measured |= {
        (layer, "effective_rate"): batch.rate / size.square()
        for layer, size in sizes.items()
        if layer in in_front
    }
    return read(measured)


def precedes_norm(block: nn.Module) -> bool:
    """Whether a block's norm stands straight behind its weights."""
    names = [name for name, _ in block.named_children()]
    return names[names.index("weights") + 1 :][:1] == ["norm"]
