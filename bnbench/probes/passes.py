"""Passes through a net, in training or evaluation mode, that leave no trace in it.

A net is the modules that `models/` builds: blocks with the children `weights` and `activation`,
numbered from 1 in order, and a linear `head`. No pass changes the net: each is given parameters and
copies of the buffers of its own. Modes and random states are restored.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

Values = dict[tuple[str, str], float]  # (layer, metric) -> value; the layer "" is the whole net
Measured = dict[tuple[str, str], Tensor]  # the same, each a number on the device of the net
Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Unseen:
    """Images that a net is not trained on, with what has normalised them.

    Attributes:
        images: normalised, (N, C, H, W): (pixels - mean) / std, of pixels in [0, 1].
        labels: their classes, (N,).
        mean, std: of each channel, (C,).
    """

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor


@dataclass(frozen=True)
class Batch:
    """The images that a net is probed on, with the learning rate.

    Attributes:
        images: the probe batch, (N, C, H, W).
        labels: its classes, (N,).
        rate: the learning rate of the step to come.
        reference: more images, for measurements of distributions; they begin with `images`.
        unseen: images for measurements of accuracy; None where no probe asks for any.
        reference_labels: their classes; None where no probe asks for them.
        is_end: whether this is the first or the last point of the run: what costs as much as many
            steps is measured there alone.
    """

    images: Tensor
    labels: Tensor
    rate: float
    reference: Tensor
    unseen: Unseen | None = None
    reference_labels: Tensor | None = None
    is_end: bool = True


class Probe(Protocol):
    """A measurement of a net; the object may keep state from point to point."""

    def __call__(self, model: nn.Module, batch: Batch, /) -> Values:
        """Measure, and leave the net as it was."""
        ...


def blocks(model: nn.Module) -> dict[str, nn.Module]:
    """Find the blocks of a net in order, by their paths in the net."""
    return {
        path: module
        for path, module in model.named_modules()
        if {"weights", "activation"} <= dict(module.named_children()).keys()
    }


def weight_names(model: nn.Module) -> dict[str, str]:
    """Map each layer (1, 2, …, head) to the name of its weight in the net."""
    names = [f"{path}.weights.weight" for path in blocks(model)]
    return {str(layer): name for layer, name in enumerate(names, 1)} | {"head": "head.weight"}


def parameters(model: nn.Module) -> Parameters:
    """Return the parameters of a net without gradients; they share the net's memory."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def read(measured: Measured) -> Values:
    """Copy what was measured to the host, all at once: it waits for the device at each copy."""
    numbers = [value.double() for value in measured.values()]
    return dict(zip(measured, torch.stack(numbers).cpu().tolist(), strict=True)) if numbers else {}


@torch.no_grad()
def loss_at(model: nn.Module, batch: Batch, at: Parameters) -> float:
    """Compute the training-mode loss (mean cross-entropy, nats) on a batch at given parameters."""
    return F.cross_entropy(_forward(model, at, batch.images), batch.labels).item()


@torch.enable_grad()
def loss_and_gradients(
    model: nn.Module, batch: Batch, at: Mapping[str, Tensor], of: Mapping[str, str] | None = None
) -> tuple[Tensor, Parameters]:
    """Compute the training-mode loss on a batch and its gradient.

    All passes from one state of the net see the same noise, the noise of the next training step.

    Args:
        model: the net, for everything but its parameters.
        batch: the images and labels.
        at: the parameters to use.
        of: layer -> parameter to differentiate by; None for all parameters by their own names.

    Returns:
        The mean cross-entropy in nats, on the device, and the gradients by the keys of `of`.
    """
    own = {name: value.detach().requires_grad_() for name, value in at.items()}
    loss = F.cross_entropy(_forward(model, own, batch.images), batch.labels)
    wanted = own if of is None else {layer: own[name] for layer, name in of.items()}
    gradients = torch.autograd.grad(loss, list(wanted.values()), materialize_grads=True)
    return loss.detach(), dict(zip(wanted, gradients, strict=True))


def recognised(logits: Tensor, labels: Tensor) -> Tensor:
    """Tell which images get the right class; one with a logit that is not finite does not."""
    return (logits.argmax(1) == labels) & logits.isfinite().all(1)


@torch.enable_grad()
def hessian_product(
    model: nn.Module, images: Tensor, labels: Tensor, *, training: bool
) -> Callable[[Tensor], Tensor]:
    """Make the function that multiplies the Hessian of the loss by a vector.

    The loss is the mean cross-entropy on a batch, as a function of all parameters, one behind
    another in one vector.

    Args:
        model: the net.
        images: the batch, (N, C, H, W).
        labels: its classes, (N,).
        training: the mode: BatchNorm normalises by the batch, or else by its running statistics.

    Returns:
        A function from v to Hv, both (P,) of the net's dtype. Products see the same noise.
    """
    own = {name: value.requires_grad_() for name, value in parameters(model).items()}
    at = list(own.values())
    loss = F.cross_entropy(_forward(model, own, images, training=training), labels)
    slopes = torch.autograd.grad(loss, at, create_graph=True, materialize_grads=True)
    gradient = torch.cat([slope.flatten() for slope in slopes])

    def product(vector: Tensor) -> Tensor:
        found = torch.autograd.grad(gradient, at, vector, retain_graph=True, materialize_grads=True)
        return torch.cat([one.flatten() for one in found])

    return product


@torch.no_grad()
def measure_preactivations(
    model: nn.Module, images: Tensor, measure: Callable[[str, nn.Module, Tensor], dict[str, Tensor]]
) -> Values:
    """Measure the inputs of the activation function of each block, in training mode.

    Args:
        model: the net.
        images: the input, (N, C, H, W).
        measure: (layer, block, values) -> {metric: number, a tensor on the device}. The values
            have the shape (units, M): in a convolutional net a unit is a channel and has a value at
            every location of an image.

    Returns:
        The metrics; NaN for a layer with a value that is not finite.
    """
    inputs: dict[str, Tensor] = {}

    def keep(layer: str, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        inputs[layer] = args[0].transpose(0, 1).flatten(1).contiguous()

    layers = {str(layer): block for layer, block in enumerate(blocks(model).values(), 1)}
    hooks = [
        block.get_submodule("activation").register_forward_pre_hook(partial(keep, layer))
        for layer, block in layers.items()
    ]
    try:
        _forward(model, parameters(model), images)
    finally:
        for hook in hooks:
            hook.remove()
    finite = {(layer, ""): x.isfinite().all() for layer, x in inputs.items()}
    measured = {
        (layer, metric): value
        for layer, x in inputs.items()
        for metric, value in measure(layer, layers[layer], x).items()
    }
    numbers = read(finite | measured)
    return {key: numbers[key] if numbers[key[0], ""] else math.nan for key in measured}


@torch.no_grad()
def measure_layer_inputs(
    model: nn.Module, images: Tensor, measure: Callable[[Tensor], Tensor]
) -> Values:
    """Measure the input of the weights of each layer but the first, in training mode.

    Args:
        model: the net.
        images: the input, (N, C, H, W).
        measure: values -> a number on the device. The values have the shape (units, M), as in
            `measure_preactivations`.

    Returns:
        The numbers, by layer (2, 3, …, head) and the metric ""; NaN where a value is not finite.
    """
    measured: Measured = {}

    def keep(layer: str, _: nn.Module, args: tuple[Tensor, ...]) -> None:
        x = args[0].transpose(0, 1).flatten(1).double()
        finite = x.isfinite().all()
        measured[layer, ""] = measure(x.nan_to_num(0.0, 0.0, 0.0)).where(finite, math.nan)

    layers = [(layer, name.removesuffix(".weight")) for layer, name in weight_names(model).items()]
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(partial(keep, layer))
        for layer, name in layers[1:]
    ]
    try:
        _forward(model, parameters(model), images)
    finally:
        for hook in hooks:
            hook.remove()
    return read(measured)


@torch.no_grad()
def measure_norm_inputs(
    model: nn.Module,
    images: Tensor,
    measure: Callable[[nn.Module, Tensor], Mapping[str, Tensor]],
    *,
    training: bool,
) -> Values:
    """Measure the input of the norm of each block.

    Args:
        model: the net.
        images: the input, (N, C, H, W).
        measure: (norm, values) -> {metric: number, a tensor on the device}. The values have the
            shape (units, M), as in `measure_preactivations`.
        training: pass in training mode, else in evaluation mode.

    Returns:
        The metrics; without the blocks that have no norm.
    """
    measured: Measured = {}

    def keep(layer: str, norm: nn.Module, args: tuple[Tensor, ...]) -> None:
        numbers = measure(norm, args[0].transpose(0, 1).flatten(1).contiguous())
        measured.update({(layer, metric): number for metric, number in numbers.items()})

    layers = {str(layer): block for layer, block in enumerate(blocks(model).values(), 1)}
    norms = {layer: getattr(block, "norm", None) for layer, block in layers.items()}
    hooks = [
        norm.register_forward_pre_hook(partial(keep, layer))
        for layer, norm in norms.items()
        if norm is not None
    ]
    try:
        _forward(model, parameters(model), images, training=training)
    finally:
        for hook in hooks:
            hook.remove()
    return read(measured)


def _forward(model: nn.Module, at: Parameters, images: Tensor, *, training: bool = True) -> Tensor:
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with in_mode(model, images.device, training=training):
        return functional_call(model, (at, buffers), (images,))


@contextmanager
def in_mode(model: nn.Module, device: torch.device, *, training: bool) -> Iterator[None]:
    """Hold a net in training or evaluation mode; modes and random states are put back."""
    modes = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
