"""E3, E7, E8, E9: statistics of the population, of feature maps, of x_hat and of small batches.

N0 to N4 are the notes of docs/myths.md.
"""

import math

import torch
from scipy import integrate, stats
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector

from bnbench import norms
from bnbench.measured.exact.arithmetic import Bound, Check, draws, error, largest, layer, smallest


def population_estimates() -> dict[str, float]:
    """Both estimators on 500 batches of 32, drawn at random and sorted by class."""
    draw, m, num_batches = draws(), 32, 500
    iid = 3 + 2 * draw(num_batches, m, 8)
    class_means = torch.arange(5.0).double().repeat(num_batches // 5)  # of variance 2; 1 within
    sorted_by_class = class_means.view(-1, 1, 1) + draw(num_batches, m, 8)
    by_hand = torch.stack([iid.mean((0, 1)), m / (m - 1) * iid.var(1, correction=0).mean(0)])
    (_, averaged), (_, pooled) = algorithm_2(sorted_by_class), precise(sorted_by_class)
    between = sorted_by_class.mean(1).var(0, correction=0)
    return {
        "Algorithm 2": error(algorithm_2(iid), by_hand),
        "iid batches": (algorithm_2(iid)[1] / precise(iid)[1] - 1).abs().max().item(),
        "sorted batches": (averaged / pooled - 1).max().item(),
        "law of total variance": error((m - 1) / m * averaged + between, pooled),
    }


def algorithm_2(batches: Tensor) -> Tensor:
    """Mean and variance, (2, C), that a layer with `momentum=None` has gathered since a reset."""
    bn = layer(batches.shape[2], momentum=None)
    bn(1e3 * batches[0])
    bn.reset_running_stats()
    for batch in batches:
        bn(batch)
    return torch.stack([bn.running_mean, bn.running_var])


def precise(batches: Tensor) -> Tensor:
    """Mean and variance, (2, C), that the policy `precise` normalises by, read off outputs."""
    bn = layer(batches.shape[2])
    points = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, batches.shape[2])
    with norms.population(bn, "precise", batches), torch.no_grad():
        at_0, at_1 = bn(points)
    inv_std = at_1 - at_0
    return torch.stack([-at_0 / inv_std, inv_std**-2 - bn.eps])


E3 = Check(
    {
        "Algorithm 2": Bound("largest relative error of the layer's averages", "<=", 1e-12),
        "iid batches": Bound("largest relative gap to the pooled variance", "<=", 0.01),
        "sorted batches": Bound("smallest relative gap to the pooled variance", "<=", -0.5),
        "law of total variance": Bound("largest relative error of within + between", "<=", 1e-10),
    },
    population_estimates,
)


def feature_maps() -> dict[str, float]:
    """N1's example: six maps of 100×100."""
    draw, maps, size = draws(), 6, 100
    bn, x = layer(maps, spatial_dims=2), 3 + 2 * draw(2, maps, size, size)
    y = bn(x)
    parameters = parameters_to_vector(bn.parameters())
    values = x.movedim(1, -1).reshape(-1, maps)
    m = len(values)
    y_as_samples = layer(maps)(values).view(2, size, size, maps).movedim(-1, 1)
    running_var = 0.9 + 0.1 * m / (m - 1) * values.var(0, correction=0)
    variance_error = error(bn.running_var, running_var)
    for _ in range(9):
        bn(draw(2, maps, 3, 3))
    later = parameters_to_vector(bn.parameters())
    num_changed = later[: len(parameters)].ne(parameters).sum().item()
    return {
        "effective batch": error(y, y_as_samples),
        "running_var": variance_error,
        "parameters": abs(len(parameters) - 2 * maps),
        "batches": len(later) - len(parameters) + num_changed,
    }


E7 = Check(
    {
        "effective batch": Bound(
            "largest relative difference from BN of m p q samples", "<=", 1e-12
        ),
        "running_var": Bound("largest relative error of m p q / (m p q - 1) sigma2", "<=", 1e-12),
        "parameters": Bound("difference from 12 for six maps of 100×100", "<=", 0),
        "batches": Bound("parameters added or changed by 10 training batches", "<=", 0),
    },
    feature_maps,
)


def output_variance() -> dict[str, float]:
    """Var(x_hat) for batches of given sigma2, and what eps = 0 does."""
    x = draws()(64, 3)
    x = (x - x.mean(0)) / x.std(0, correction=0)
    sigma2 = torch.tensor([1e-2, 1.0, 1e2], dtype=torch.float64)

    def variance(sigma2: Tensor, eps: float) -> Tensor:
        return layer(3, eps=eps)(sigma2.sqrt() * x).var(0, correction=0)

    laws = [error(variance(sigma2, eps), sigma2 / (sigma2 + eps)) for eps in (1e-5, 1e-2, 1.0)]
    missing = 1 - variance(torch.full_like(sigma2, 1e-2), eps=1e-2)
    accepted = [accepts(module.BatchNorm1d(3, eps=0.0)) for module in (norms, nn)]
    return {"law": largest(laws), "myth": smallest(missing.tolist()), "eps of 0": sum(accepted)}


def accepts(bn: nn.Module) -> bool:
    """Whether a layer trains on an ordinary batch."""
    try:
        bn(torch.eye(3))
    except ValueError:
        return False
    return True


E8 = Check(
    {
        "law": Bound("largest difference of Var(x_hat) from sigma2 / (sigma2 + eps)", "<=", 1e-12),
        "myth": Bound("1 - Var(x_hat) in a channel of sigma2 = eps", ">=", 0.49),
        "eps of 0": Bound("layers, of ours and torch's, that train with eps = 0", "<=", 0),
    },
    output_variance,
)


BATCH_SIZES = (4, 8, 16, 32)


def inverse_variances() -> dict[str, float]:
    """E[1/sigma2_B] by integral, and E[1/(sigma2_B + eps)] by integral and by the layer.

    The layer has an eps, and needs it here: without, the variance of 1/sigma2_B is infinite up to
    m = 5, and a simulated mean would have no standard error.
    """
    law = largest(abs(mean_inverse_variance(m, 0) * (m - 3) / m - 1) for m in BATCH_SIZES)
    draw, eps, num_batches = draws(), 1e-2, 50_000
    deviations = []
    for m in BATCH_SIZES:
        x = draw(m, num_batches)  # each channel is a batch
        with torch.no_grad():
            inverse = layer(num_batches, eps=eps)(x).var(0) / x.var(0)
        standard_error = inverse.std() / math.sqrt(num_batches)
        off = inverse.mean() - mean_inverse_variance(m, eps)
        deviations.append((off / standard_error).abs().item())
    growth = mean_inverse_variance(3, 1e-10) - mean_inverse_variance(3, 1e-9)
    return {"law": law, "layer": largest(deviations), "m = 3": growth}


def mean_inverse_variance(m: int, eps: float) -> float:
    """E[1/(sigma2_B + eps)] for m standard normal values, by numerical integration.

    m sigma2_B is chi-squared with m - 1 degrees of freedom; over its logarithm the integrand is
    smooth for every eps.

    >>> round(mean_inverse_variance(8, 0), 9)  # 8 / (8 - 3)
    1.6
    """

    def integrand(log_t: float) -> float:
        t = math.exp(log_t)
        return float(m / (t + m * eps) * stats.chi2.pdf(t, m - 1) * t)

    return integrate.quad(integrand, -80, 8, limit=500, epsabs=1e-12, epsrel=1e-12)[0]


E9 = Check(
    {
        "law": Bound("largest relative difference of the integral from m/(m - 3)", "<=", 1e-9),
        "layer": Bound("largest distance of the layer from its integral in SE", "<=", 4),
        "m = 3": Bound("growth of E[1/(sigma2_B + eps)] for each factor 10 of eps", ">=", 3.4),
    },
    inverse_variances,
)
