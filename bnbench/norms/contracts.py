"""What every normalisation layer must fulfil, as contracts that can be run over any of them.

`broken(make, shape)` says of a layer which contracts it breaks, and by how much. `make()` makes a
new layer for inputs of that shape, in float32. A contract raises an AssertionError that says why it
does not hold, with numbers. The tests run them over every row of `NORMS`, and `bnbench check` over
a layer of the user's own.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bnbench.norms.population import MEASURED, POLICIES, has_population, population

CHANNELS = 8
SHAPES = {  # of inputs by their number of spatial dimensions; no two sizes behind the batch agree
    0: (6, CHANNELS),
    1: (6, CHANNELS, 5),
    2: (6, CHANNELS, 5, 4),
    3: (6, CHANNELS, 3, 2, 2),
}
MEMORY_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
STEP = 1e-6  # of finite differences in float64, which so have some nine digits
SLOPE_TOLERANCE = 1e-5
DIRECTIONS = 3  # along which a gradient is compared with finite differences
ROUNDINGS = 200  # sums of up to 150 values of size 1 in another order
MATES_TOLERANCE = 1e-6  # kernels may sum in another order for another batch size

Make = Callable[[], nn.Module]


def keeps_shape(make: Make, shape: Sequence[int]) -> None:
    """Give the output the shape of the input, in training and evaluation."""
    layer = make()
    for mode in modes(layer):
        if (found := layer(drawn(shape)).shape) != tuple(shape):
            raise AssertionError(f"{tuple(shape)} becomes {tuple(found)} in {mode}")


def keeps_dtype(make: Make, shape: Sequence[int]) -> None:
    """Give the output the dtype of the input, for a layer in float32 and in float64."""
    for dtype in (torch.float32, torch.float64):
        layer = make().to(dtype)
        for mode in modes(layer):
            if (found := layer(drawn(shape, dtype)).dtype) != dtype:
                raise AssertionError(f"{dtype} becomes {found} in {mode}")


def leaves_input(make: Make, shape: Sequence[int]) -> None:
    """Change no value of the input."""
    layer = make()
    for mode in modes(layer):
        x = drawn(shape)
        layer(x)
        if changed := int((x != drawn(shape)).sum()):
            raise AssertionError(f"{changed} of {x.numel()} values are others after {mode}")


def has_right_gradient(make: Make, shape: Sequence[int]) -> None:
    """Have the gradients, first and second, that finite differences find in float64.

    Every parameter has to do something. Statistics that the output depends on are no constants,
    but where the layer does not move them: the running ones in evaluation.
    """
    layer = make().double()
    drawn_parameters(layer)
    step(layer, drawn(shape, torch.float64))
    for mode in modes(layer):
        names, values = ["the input"], [2 * drawn(shape, torch.float64) + 3]
        for name, parameter in layer.named_parameters():
            names.append(name)
            values.append(parameter.detach().clone())
        weight = drawn(shape, torch.float64, seed=1)

        def loss(*given: Tensor, weight: Tensor = weight, names: list[str] = names) -> Tensor:
            twin = copy.deepcopy(layer)  # which each call finds as it was
            torch.manual_seed(0)
            parameters = dict(zip(names[1:], given[1:], strict=True))
            return (functional_call(twin, parameters, (given[0],)) * weight).sum()

        for place, name in enumerate(names):

            def gradient(*given: Tensor, place: int = place) -> Tensor:
                given = tuple(v.detach().requires_grad_() if k == place else v
                              for k, v in enumerate(given))  # fmt: skip
                (found,) = torch.autograd.grad(loss(*given), given[place], allow_unused=True)
                return torch.zeros_like(given[place]) if found is None else found

            found = gradient(*values)
            if place and not found.any():
                raise AssertionError(f"the gradient of {name} is 0 in {mode}: it does nothing")
            compare_slopes(loss, found, values, place, f"the gradient of {name} in {mode}")
        for k in range(DIRECTIONS):
            along = drawn(shape, torch.float64, seed=100 + k)
            x = values[0].clone().requires_grad_()
            compare_slopes(
                lambda *given, along=along: (slope(loss, given) * along).sum(),
                second(loss, [x, *values[1:]], along),
                values,
                0,
                f"the second gradient of the input in {mode}",
            )


def slope(loss: Callable[..., Tensor], given: Sequence[Tensor]) -> Tensor:
    """The gradient of a loss by the first of what is given; constant where it is not in it."""
    x = given[0].detach().requires_grad_()
    (found,) = torch.autograd.grad(loss(x, *given[1:]), x, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def second(loss: Callable[..., Tensor], given: Sequence[Tensor], along: Tensor) -> Tensor:
    """The gradient of a loss's slope along a direction, by the first of what is given."""
    x = given[0]
    (first,) = torch.autograd.grad(loss(*given), x, create_graph=True)
    if not first.requires_grad:  # of a layer that is linear in its input
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad((first * along).sum(), x, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def compare_slopes(
    function: Callable[..., Tensor], found: Tensor, values: Sequence[Tensor], place: int, what: str
) -> None:
    """Refuse a gradient that is not what finite differences along some directions are."""
    for k in range(DIRECTIONS):
        along = drawn(values[place].shape, torch.float64, seed=10 + k)
        ends = []
        for sign in (1, -1):
            moved = list(values)
            moved[place] = values[place] + sign * STEP * along
            ends.append(float(function(*moved).detach()))
        wanted = (ends[0] - ends[1]) / (2 * STEP)
        given = float((found * along).sum())
        if not abs(given - wanted) <= SLOPE_TOLERANCE * (1 + abs(wanted)):
            raise AssertionError(
                f"{what} is {given:.5g} along a direction, finite differences {wanted:.5g}"
            )


def is_finite(make: Make, shape: Sequence[int]) -> None:
    """Have finite outputs and gradients where a channel is constant, as one of dead units is."""
    layer = make()
    for mode in modes(layer):
        x = drawn(shape)
        x[:, 0] = 0
        x.requires_grad_()
        y = layer(x)
        (y * drawn(shape, seed=1)).sum().backward()
        found = [("the output", y), ("the gradient of the input", x.grad)]
        found += [(f"the gradient of {name}", p.grad) for name, p in layer.named_parameters()]
        for what, values in found:
            if values is not None and (bad := int((~values.isfinite()).sum())):
                raise AssertionError(
                    f"{bad} of {values.numel()} values of {what} are not finite in {mode}, where a "
                    "channel is constant"
                )
        layer.zero_grad()


def ignores_mates(make: Make, shape: Sequence[int]) -> None:
    """Give an image in evaluation the output that it has alone, whatever stands beside it."""
    layer = make()
    x = drawn(shape)
    step(layer, x)
    layer.eval()
    with torch.no_grad():
        y = layer(x)
        others = {
            "alone": (layer(x[:1]), y[:1]),
            "in another order": (layer(x.flip(0)), y.flip(0)),
            "beside others": (layer(torch.cat([x[:1], 9 * x[1:]]))[:1], y[:1]),
        }
    for how, (found, wanted) in others.items():
        off = float((found - wanted).abs().nan_to_num(torch.inf).max())
        if off > MATES_TOLERANCE * (1 + float(wanted.abs().max())):
            raise AssertionError(
                f"in evaluation an image has another output {how}, by up to {off:.3g}"
            )


def moves_state_in_training(make: Make, shape: Sequence[int]) -> None:
    """Move the buffers, where there are any, by training steps, and by no evaluation."""
    layer = make()
    own = [name for name in layer.state_dict() if name not in dict(layer.named_parameters())]
    before = copy.deepcopy(layer.state_dict())
    layer.eval()
    layer(drawn(shape))
    for name, value in layer.state_dict().items():
        if not torch.equal(value, before[name]):
            off = float((value.double() - before[name].double()).abs().max())
            raise AssertionError(f"an evaluation moves {name} by up to {off:.3g}")
    step(layer, drawn(shape))
    if own and all(torch.equal(layer.state_dict()[name], before[name]) for name in own):
        raise AssertionError(f"a training step leaves {', '.join(own)} as they were")


def saves_state(make: Make, shape: Sequence[int]) -> None:
    """Give a new layer that loads the state_dict of a trained one the same outputs, to the bit."""
    source, target = make(), make()
    drawn_parameters(source)
    x = drawn(shape)
    step(source, x)
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise AssertionError(f"load_state_dict: {' '.join(str(error).split())}") from error
    wanted, found = source.eval()(x).detach(), target.eval()(x).detach()
    if differ := int((wanted != found).sum()):
        off = float((wanted - found).abs().max())
        raise AssertionError(
            f"{differ} of {x.numel()} values of the evaluation are others after the state_dict is "
            f"loaded into a new layer, by up to {off:.3g}"
        )


def is_deterministic(make: Make, shape: Sequence[int]) -> None:
    """Give the same bits for the same input: in training from the same random state of torch."""
    layer, x = make(), drawn(shape)
    outputs = []
    for _ in range(2):
        twin = copy.deepcopy(layer)
        torch.manual_seed(0)
        outputs.append(twin.train()(x).detach())
    layer.eval()
    again = [layer(x).detach(), layer(x).detach()]
    for mode, (one, other) in (("training", outputs), ("evaluation", again)):
        if differ := int((one != other).sum()):
            raise AssertionError(
                f"{differ} of {x.numel()} values differ from one {mode} to the next, by up to "
                f"{float((one - other).abs().max()):.3g}"
            )


def keeps_memory_format(make: Make, shape: Sequence[int]) -> None:
    """Compute the same numbers for channels_last inputs, and give outputs of that format."""
    if len(shape) not in MEMORY_FORMATS:
        return
    for dtype in (torch.float32, torch.float64):
        layer = make().to(dtype)
        for mode in modes(layer):
            if mode == "training" and draws_noise(layer, drawn(shape, dtype)):
                continue  # whose values depend on where in memory they lie
            results = []
            for is_last in (False, True):
                twin, x = copy.deepcopy(layer), drawn(shape, dtype)
                if is_last:
                    x = x.to(memory_format=MEMORY_FORMATS[len(shape)])
                y = twin(x.requires_grad_())
                if is_last and not y.is_contiguous(memory_format=MEMORY_FORMATS[len(shape)]):
                    raise AssertionError(
                        f"a channels_last input has an output of strides {y.stride()} in {mode}"
                    )
                (y * drawn(shape, dtype, seed=1)).sum().backward()
                grads = [p.grad for p in (x, *twin.parameters())]
                results.append([y, *grads, *twin.buffers()])
            for one, other in zip(*results, strict=True):
                if one is None or other is None:
                    continue
                off = float((one.detach().double() - other.detach().double()).abs().max())
                allowed = ROUNDINGS * torch.finfo(dtype).eps * (1 + float(one.detach().abs().max()))
                if not off <= allowed:
                    raise AssertionError(
                        f"a channels_last input has other numbers in {mode}, by up to {off:.3g}"
                    )


def takes_policies(make: Make, shape: Sequence[int]) -> None:
    """Take every policy of population statistics, where the layer holds a BatchNorm."""
    layer = make()
    if not has_population(layer):
        return
    x = drawn(shape)
    step(layer, x)
    before = copy.deepcopy(layer.state_dict())
    for policy in POLICIES:
        with population(layer, policy, data=[x] if policy in MEASURED else None):
            y = layer(x)
        if y.shape != x.shape or not y.isfinite().all():
            raise AssertionError(f"no finite output under policy {policy}")
    if any(not torch.equal(before[name], value) for name, value in layer.state_dict().items()):
        raise AssertionError("the policies leave other statistics behind")


CONTRACTS: dict[str, Callable[[Make, Sequence[int]], None]] = {
    "shape": keeps_shape,
    "dtype": keeps_dtype,
    "input": leaves_input,
    "gradient": has_right_gradient,
    "finite": is_finite,
    "evaluation": ignores_mates,
    "training": moves_state_in_training,
    "state": saves_state,
    "determinism": is_deterministic,
    "memory format": keeps_memory_format,
    "policies": takes_policies,
}


def broken(make: Make, shape: Sequence[int]) -> Iterator[tuple[str, str | None]]:
    """Hold a layer to each contract; yields its name with what is broken, or None where it holds.

    Args:
        make: makes a new layer, in float32; what it draws is drawn from the same state each time.
        shape: of the inputs, a value of `SHAPES`.

    >>> from bnbench.norms import NORMS
    >>> {name for name, why in broken(lambda: NORMS["layernorm"](8, 0), SHAPES[0]) if why}
    set()
    """
    for name, contract in CONTRACTS.items():
        yield name, reason(contract, make, shape)


def reason(contract: Callable[..., None], *subject: Any) -> str | None:
    """Tell why something breaks a contract; None where it holds. torch's random state is kept."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        try:
            contract(*subject)
        except AssertionError as error:
            return str(error)
        except Exception as error:  # of the layer itself
            lines = str(error).splitlines()
            return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return None


def modes(layer: nn.Module) -> Iterator[str]:
    """Put a layer into evaluation, then into training; yields what it is in."""
    for mode in ("evaluation", "training"):
        yield mode if layer.train(mode == "training") else ""


def drawn(shape: Sequence[int], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Draw standard normal values, the same each time."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def drawn_parameters(layer: nn.Module) -> None:
    """Give the parameters other values than those that a new layer has."""
    with torch.no_grad():
        for k, parameter in enumerate(layer.parameters()):
            parameter.copy_(1 + drawn(parameter.shape, seed=50 + k) / 4)


def step(layer: nn.Module, x: Tensor) -> None:
    """Let a layer see a batch in training."""
    layer.train()
    layer(x)


def draws_noise(layer: nn.Module, x: Tensor) -> bool:
    """Whether a layer in training depends on torch's random state."""
    outputs = []
    for seed in range(2):
        torch.manual_seed(seed)
        outputs.append(copy.deepcopy(layer)(x))
    return not torch.equal(*outputs)
